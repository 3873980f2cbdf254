//! Whether container runtimes that are to be asked for names can be asked.

use std::path::Path;

use super::{Check, State, check};
use crate::config::{Config, ContainerSocket};
use crate::containers::socket::{self, SocketError};
use crate::discovery;

const NAME: &str = "names of containers";
/// An id that no container has: whoever says so can be asked.
const NOBODY: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// One of each socket; one in all where there is none.
pub(super) fn checks(config: &Config) -> Vec<Check> {
    if config.container_sockets.is_empty() {
        let files = "from the files of Docker, Podman and the kubelet alone; no runtime is asked";
        let remedy =
            "`--container-sockets /run/podman/podman.sock` asks one, where files do not say (docs/kubernetes.md)";
        return vec![check(NAME, State::Partial, files, remedy)];
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return vec![check(NAME, State::Unavailable, error.to_string(), "")],
    };
    let roots = discovery::processes::roots(Path::new("/proc"));
    let answer = |asked: &ContainerSocket| runtime.block_on(socket::ask(asked, &roots, NOBODY)).map(drop);
    config.container_sockets.iter().map(|asked| judge(asked, answer(asked))).collect()
}

fn judge(asked: &ContainerSocket, answer: Result<(), SocketError>) -> Check {
    let path = asked.path.display();
    match answer {
        Ok(()) => check(NAME, State::Available, format!("from files, and asked at {path}"), ""),
        Err(error) => {
            let remedy = "start its service, mount it into the container, or leave it out of container-sockets";
            check(NAME, State::Unavailable, format!("{path}: {error}"), remedy)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Speech;

    #[test]
    fn a_socket_that_is_not_there_is_said_with_what_to_do() {
        let asked = ContainerSocket { speech: Speech::Docker, path: "/nonexistent/docker.sock".into() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answer = runtime.block_on(socket::ask(&asked, &[], NOBODY)).map(drop);
        let said = judge(&asked, answer);
        assert_eq!(said.state, State::Unavailable);
        assert!(said.detail.starts_with("/nonexistent/docker.sock: No such file"), "{}", said.detail);
        assert!(said.remedy.contains("container-sockets"));
        assert_eq!(judge(&asked, Ok(())).state, State::Available);
    }
}
