//! Sockets of container runtimes that are asked for names.

use std::path::{Path, PathBuf};

use super::option::{Kind, Opt, opt};
use super::options::NAMES;

/// `container-sockets`.
pub(super) const SOCKETS: Opt = opt(
    "container-sockets",
    NAMES,
    Kind::Words,
    "Sockets of container runtimes that are asked what containers are called whose names no file says: docker:PATH (Docker, \
     Podman), cri:PATH (containerd, CRI-O), or a path alone that shows which. They are only read. None is asked unless it is \
     stated, for whoever may use such a socket may do anything with it.",
)
.like("[docker:/run/podman/podman.sock, cri:/run/containerd/containerd.sock]");

/// What a runtime's socket understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// Docker's API: JSON over HTTP. Podman has it, too.
    Docker,
    /// Kubernetes' interface to container runtimes: gRPC.
    Cri,
}

/// A socket of a runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSocket {
    /// What it understands.
    pub speech: Speech,
    /// Where it is, as the machine sees it.
    pub path: PathBuf,
}

impl ContainerSocket {
    /// Reads one.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (stated, path) = match text.split_once(':') {
            Some(("docker", path)) => (Some(Speech::Docker), path),
            Some(("cri", path)) => (Some(Speech::Cri), path),
            _ => (None, text),
        };
        let path = Path::new(path.strip_prefix("unix://").unwrap_or(path));
        if !path.is_absolute() {
            return Err("is no socket; write docker:/run/docker.sock or cri:/run/containerd/containerd.sock".into());
        }
        let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let has = |names: &[&str]| names.iter().any(|name| file.contains(name));
        let shown = || match () {
            () if has(&["docker", "podman"]) => Some(Speech::Docker),
            () if has(&["containerd", "crio", "cri-o"]) => Some(Speech::Cri),
            () => None,
        };
        let speech = stated.or_else(shown).ok_or("does not show whose it is; write docker: or cri: in front of it")?;
        Ok(Self { speech, path: path.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_what_is_stated_or_what_its_name_shows() {
        for (text, speech, path) in [
            ("docker:/run/my.sock", Speech::Docker, "/run/my.sock"),
            ("cri:unix:///run/my.sock", Speech::Cri, "/run/my.sock"),
            ("/run/podman/podman.sock", Speech::Docker, "/run/podman/podman.sock"),
            ("unix:///run/containerd/containerd.sock", Speech::Cri, "/run/containerd/containerd.sock"),
            ("/run/crio/crio.sock", Speech::Cri, "/run/crio/crio.sock"),
        ] {
            assert_eq!(ContainerSocket::parse(text), Ok(ContainerSocket { speech, path: path.into() }), "{text}");
        }
        for text in ["", "docker:", "podman.sock", "cri:run/crio.sock", "/run/my.sock", "tcp://10.0.0.1:2375"] {
            assert!(ContainerSocket::parse(text).is_err(), "{text}");
        }
    }
}
