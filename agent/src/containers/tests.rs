//! Runtimes that answer, refuse, lie and fall silent.

use std::convert::Infallible;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderName, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use prost::Message as _;
use serde_json::json;

use super::socket::SocketError;
use super::*;
use crate::config::Speech;

const ID: &str = "3f1c0e8a9b7d6c5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e";
const LONG: Duration = Duration::from_secs(60);

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Answers Docker's API: `answer` is what comes back for a path, all of it.
fn docker(path: &Path, answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> ContainerSocket {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        // (They are kept open: what follows never comes.)
        let mut open = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let path = lines.next().and_then(|line| line.split(' ').nth(1).map(str::to_owned)).unwrap_or_default();
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let _ = stream.write_all(&answer(&path));
            open.push(stream);
        }
    });
    ContainerSocket { speech: Speech::Docker, path: path.into() }
}

fn reply(status: u16, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn described(name: &str) -> String {
    let labels = json!({"com.docker.compose.service": "cart"});
    json!({"Name": name, "Config": {"Image": "acme/shop:1.2", "Labels": labels}}).to_string()
}

/// Answers CRI with these containers, or with a status of gRPC.
fn cri(path: &Path, status: u16, containers: Vec<cri::Container>) -> ContainerSocket {
    let listener = UnixListener::bind(path).unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut message = vec![0];
    let body = cri::Response { containers }.encode_to_vec();
    message.extend((body.len() as u32).to_be_bytes());
    message.extend(body);
    std::thread::spawn(move || {
        let serve = async move {
            let listener = tokio::net::UnixListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let message = Bytes::from(message.clone());
                let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let message = message.clone();
                    async move {
                        assert_eq!(request.uri().path(), super::cri::LIST);
                        let asked = request.into_body().collect().await.unwrap().to_bytes().slice(5..);
                        assert_eq!(super::cri::Request::decode(asked).unwrap().filter.unwrap().id, ID);
                        let end = http::HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), status.into())]);
                        let body = Full::new(message).with_trailers(std::future::ready(Some(Ok(end))));
                        Ok::<_, Infallible>(Response::new(body))
                    }
                });
                let connection = TokioIo::new(stream);
                let builder = auto::Builder::new(TokioExecutor::new());
                tokio::spawn(async move { builder.serve_connection(connection, service).await.map_err(drop) });
            }
        };
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(serve);
    });
    ContainerSocket { speech: Speech::Cri, path: path.into() }
}

fn container(id: &str, name: &str, image: &str, labels: &[(&str, &str)]) -> cri::Container {
    cri::Container {
        id: id.into(),
        metadata: Some(cri::Metadata { name: name.into() }),
        image: Some(cri::Image { image: image.into() }),
        labels: labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
    }
}

fn ask(socket: &ContainerSocket) -> Result<Option<Container>, SocketError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(socket::ask(socket, &[], ID))
}

fn follow_all(sockets: Vec<ContainerSocket>) -> (Arc<Runtimes>, Arc<Counters>, tokio::runtime::Runtime) {
    let (runtimes, counters) = (Arc::<Runtimes>::default(), Arc::<Counters>::default());
    let runtime = crate::session::io_runtime().unwrap();
    runtime.spawn(follow(Arc::clone(&runtimes), sockets, Vec::new(), Arc::clone(&counters)));
    (runtimes, counters, runtime)
}

#[test]
fn docker_says_what_a_container_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let socket = docker(&folder.path().join("s"), |path| {
        assert_eq!(path, format!("/containers/{ID}/json"));
        reply(200, &described("/shop-1"))
    });
    let named = ask(&socket).unwrap().unwrap();
    assert_eq!((&*named.name, &*named.service), ("shop-1", "cart"));
    assert_eq!(named.attributes, [("container.image.name", "acme/shop".to_owned())]);
}

#[test]
fn a_runtime_of_kubernetes_says_which_pod_a_container_is_of() {
    let folder = tempfile::tempdir().unwrap();
    let labels = [
        ("io.kubernetes.container.name", "web"),
        ("io.kubernetes.pod.name", "shop-7d4b9c6f5-x2k8q"),
        ("io.kubernetes.pod.namespace", "prod"),
    ];
    let other = container("other", "other", "x", &[]);
    let socket = cri(&folder.path().join("s"), 0, vec![other, container(ID, "web", "acme/shop:1.2", &labels)]);
    let named = ask(&socket).unwrap().unwrap();
    assert_eq!((&*named.name, &*named.service), ("web", "shop"));
    let says = |key: &str| named.attributes.iter().find(|(other, _)| *other == key).map(|(_, value)| value.as_str());
    for (key, value) in [
        ("k8s.pod.name", "shop-7d4b9c6f5-x2k8q"),
        ("k8s.namespace.name", "prod"),
        ("k8s.deployment.name", "shop"),
        ("container.image.name", "acme/shop"),
    ] {
        assert_eq!(says(key), Some(value), "{key}");
    }
    // One of nobody's pod, whose image has no name.
    let socket = cri(&folder.path().join("t"), 0, vec![container(ID, "alone", "sha256:00", &[])]);
    assert_eq!(ask(&socket).unwrap(), Some(Container::named("alone")));
    let socket = cri(&folder.path().join("u"), 0, vec![]);
    assert_eq!(ask(&socket).unwrap(), None);
    let socket = cri(&folder.path().join("v"), 7, vec![container(ID, "forbidden", "", &[])]);
    assert!(matches!(ask(&socket), Err(SocketError::Status(7))));
}

#[test]
fn a_runtime_that_lies_gives_no_name_and_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let endless = [&b"HTTP/1.1 200 x\r\nContent-Length: 9000000\r\n\r\n"[..], &[b'['; 2 << 20]].concat();
    let answers: [Vec<u8>; 8] = [
        Vec::new(),
        b"nonsense\r\n".to_vec(),
        endless,
        reply(200, "7"),
        reply(200, &"[".repeat(100_000)),
        reply(200, &described("/a\u{1b}[2Jb")),
        reply(200, &described(&"x".repeat(2000))),
        reply(500, "{}"),
    ];
    for (n, answer) in answers.into_iter().enumerate() {
        let socket = docker(&folder.path().join(n.to_string()), move |_| answer.clone());
        assert!(!matches!(ask(&socket), Ok(Some(_))), "{n}");
    }
    // Who speaks HTTP does not speak gRPC.
    let socket = docker(&folder.path().join("h"), |_| reply(200, "{}"));
    assert!(ask(&ContainerSocket { speech: Speech::Cri, ..socket }).is_err());
    assert!(begun.elapsed() < LONG);
    assert!(matches!(
        ask(&ContainerSocket { speech: Speech::Docker, path: "/nonexistent".into() }),
        Err(SocketError::Closed(_))
    ));
}

#[test]
fn a_container_is_asked_about_once_and_who_asks_meanwhile_does_not_wait() {
    let folder = tempfile::tempdir().unwrap();
    let counted = Arc::<AtomicUsize>::default();
    let counts = Arc::clone(&counted);
    let socket = docker(&folder.path().join("s"), move |path| {
        counts.fetch_add(1, Ordering::Relaxed);
        if path.contains(ID) { reply(200, &described("/shop")) } else { reply(404, "{}") }
    });
    let (runtimes, counters, _runtime) = follow_all(vec![socket]);
    assert_eq!(runtimes.get(ID), None);
    assert_eq!(runtimes.get("unheard-of"), None);
    for id in ["../../../etc", "a b", "", "a\r\nb"] {
        assert_eq!(runtimes.get(id), None);
    }
    until("it has a name", || runtimes.get(ID).is_some() && counted.load(Ordering::Relaxed) == 2);
    assert_eq!(runtimes.take_learned().keys().map(|id| &**id).collect::<Vec<_>>(), [ID]);
    assert!(runtimes.take_learned().is_empty());
    assert_eq!(runtimes.get("unheard-of"), None);
    assert_eq!(counted.load(Ordering::Relaxed), 2);
    assert_eq!((counters.container_questions.get(), counters.container_troubles.get()), (2, 0));
}

#[test]
fn a_runtime_that_comes_later_is_asked_then_and_another_is_not_held_up() {
    let folder = tempfile::tempdir().unwrap();
    let away = ContainerSocket { speech: Speech::Docker, path: folder.path().join("away") };
    let there = docker(&folder.path().join("there"), |path| match path.contains(ID) {
        true => reply(200, &described("/shop")),
        false => reply(404, "{}"),
    });
    let (runtimes, counters, _runtime) = follow_all(vec![away.clone(), there]);
    assert_eq!(runtimes.get("elsewhere"), None);
    until("what the one knows has a name", || runtimes.get(ID).is_some());
    assert!(counters.container_troubles.get() > 0);

    let (runtimes, counters, _runtime) = follow_all(vec![away.clone()]);
    assert_eq!(runtimes.get(ID), None);
    until("it cannot be asked", || counters.container_troubles.get() > 0);
    let _late = docker(&away.path, |_| reply(200, &described("/shop")));
    until("it is asked", || runtimes.get(ID).is_some());
}

#[test]
fn what_is_remembered_and_what_waits_is_bounded() {
    let runtimes = Runtimes::default();
    (0..3 * MAX).for_each(|n| drop(runtimes.get(&format!("{n:064x}"))));
    assert_eq!(runtimes.lock().queue.len(), MAX_ASKED);
    (0..3 * MAX).for_each(|n| runtimes.named(format!("{n:064x}").into(), Container::named("x")));
    assert!(runtimes.lock().learned.len() <= MAX && runtimes.lock().known.len() <= MAX);
}
