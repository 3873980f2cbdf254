//! Bytes that are meant to hurt: the agent survives, and other connections do not notice.

use std::net::TcpListener;

use wirespan_tests::curl;
use wirespan_tests::expect::Expected;
use wirespan_tests::http;
use wirespan_tests::raw::{self, Client};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::node::Node;

/// Bytes without any order, the same on each run (xorshift).
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    })
    .take(length)
    .collect()
}

/// A request and a response, each of which may be anything.
fn attacks() -> Vec<(Vec<u8>, Vec<u8>)> {
    let request = b"GET /hostile HTTP/1.1\r\nHost: x\r\n\r\n".to_vec();
    let response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec();
    let with = |parts: &[&[u8]]| parts.concat();
    let long = vec![b'a'; 2 << 20];
    vec![
        (noise(100_000, 7), noise(100_000, 9)),
        (with(&[b"GET ", &noise(3000, 11)]), response.clone()),
        (with(&[b"GET /", &long, b" HTTP/1.1\r\n\r\n"]), response.clone()),
        (with(&[b"GET / HTTP/1.1\r\nX: ", &long, b"\r\n\r\n"]), response.clone()),
        (with(&[b"GET / HTTP/1.1\r\n", &b"A: b\r\n".repeat(100_000)]), response.clone()),
        (b"POST / HTTP/1.1\r\nContent-Length: 18446744073709551616\r\n\r\n".to_vec(), response.clone()),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n".to_vec(), response.clone()),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd".to_vec(), response.clone()),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n".to_vec(), response.clone()),
        (b"GET /truncated HTTP/1.1\r\nHo".to_vec(), response.clone()),
        (b"\0GET / HTTP/1.1\r\n\r\n".to_vec(), response.clone()),
        (b"GET / HTTP/9.9\r\n\r\n".to_vec(), response.clone()),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), noise(500, 13)),
        (request.clone(), noise(50_000, 17)),
        (request.clone(), with(&[b"HTTP/1.1 200 OK\r\nX: ", &long])),
        (request.clone(), b"HTTP/1.1 99999 \xff\xfe\r\n\r\n".to_vec()),
        (request.clone(), b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\nshort".to_vec()),
        (request.clone(), b"HTTP/1.1 100 Continue\r\n\r\n".repeat(5000)),
        (request.repeat(5000), response.repeat(3)),
        (response, request),
    ]
}

#[test]
fn hostile_bytes_harm_neither_the_agent_nor_other_connections() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    scene.trace();
    let mut traces: Vec<Expected> = Vec::new();
    for (n, (request, response)) in attacks().into_iter().enumerate() {
        // Not a port of the scene: what spans such bytes make, if any, is not this test's matter.
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("a bound address");
        let server = raw::serve(listener, 1, response);
        // Not on the thread that starts curl: some of these bytes make a server of whoever reads them.
        let attack = std::thread::spawn(move || {
            let mut attacker = Client::connect(address);
            attacker.try_send(&request);
            attacker.half_close();
            attacker.drain();
        });
        attack.join().expect("the attacker ends");
        server.join().expect("the server ends");
        let url = faults.url(&format!("/calm-{}", char::from(b'a' + n as u8)));
        curl::get(&url, 200);
        traces.push(http::curl("faults", "GET", &url, 200));
        assert!(scene.agent().is_running(), "attack {n} ended the agent");
    }
    scene.expect(&traces);
    let log = scene.agent().log();
    assert!(!log.contains("panicked"), "{log}");
}
