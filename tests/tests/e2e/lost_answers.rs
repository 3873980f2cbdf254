//! Answers whose records were lost: who waited for them was not left alone by the other end, and gave nothing up.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::process::Signal;
use wirespan_tests::scene::Scene;
use wirespan_tests::span::Span;
use wirespan_tests::trace;

/// Connections: what is said of their ends while the agent is stopped fits what is left of its ring.
const PAIRS: usize = 20;
/// More than a hold, and than the agent waits until it asks after a socket again.
const QUIET: Duration = Duration::from_millis(1500);

/// Exchanges a request and a long answer on each connection and closes it, all while the agent is stopped. Records of answers
/// find no room any more when what is said of ends still does, which is less: those of connections come first whose answers
/// were lost.
fn exchange_unseen<S: Read + Write>(scene: &mut Scene, pairs: Vec<(S, S)>) -> Vec<Span> {
    scene.trace_with(&["--ring-bytes=64KiB", "--stats"]);
    scene.agent().signal(Signal::STOP);
    let mut pairs: Vec<(S, S)> = pairs;
    for (n, (client, server)) in pairs.iter_mut().enumerate() {
        pass(client, server, format!("GET /lost-answer/{n} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    }
    let answer = [b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n".as_slice(), &[b'x'; 5000]].concat();
    for (client, server) in &mut pairs {
        pass(server, client, &answer);
    }
    for (n, (client, mut server)) in pairs.into_iter().enumerate().rev() {
        // Either end leaves first, and the other may notice or not.
        if n % 2 == 0 {
            drop(client);
            if n % 4 == 0 {
                assert_eq!(server.read(&mut [0]).expect("the end"), 0);
            }
        } else {
            drop(server);
        }
    }
    scene.agent().signal(Signal::CONT);
    assert!(scene.settles(QUIET), "spans keep arriving");
    scene.agent().stop();
    scene.receiver.spans().into_iter().filter(|span| span.path().starts_with("/lost-answer/")).collect()
}

fn pass(from: &mut impl Write, to: &mut impl Read, bytes: &[u8]) {
    from.write_all(bytes).expect("it is open");
    to.read_exact(&mut vec![0; bytes.len()]).expect("what was written");
}

/// What was answered is told to be, what may have been is not told at all, and counted.
fn assert_honest(scene: &mut Scene, spans: &[Span]) {
    let lost = scene.agent().counter("kernel_over_budget") + scene.agent().counter("kernel_ring_full");
    let dropped = scene.agent().counter("exchanges_dropped");
    eprintln!("{} spans, {dropped} dropped, {lost} records lost", spans.len());
    for span in spans {
        let error = span.text("error.type");
        assert_eq!((span.int("http.response.status_code"), error), (Some(200), None), "{}", trace::line(span));
    }
    assert!(lost > 0 && dropped > 0, "nothing was lost: {}", scene.agent().log());
    assert!(!spans.is_empty() && spans.len() < 2 * PAIRS, "{}", scene.agent().log());
}

#[test]
fn a_tcp_connection_whose_answer_was_lost_is_not_said_to_have_been_closed_without() {
    let mut scene = Scene::new();
    let listener = TcpListener::bind(("127.0.0.1", scene.port())).expect("a port");
    let pair = || {
        let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        (client, listener.accept().expect("the same connection").0)
    };
    let pairs = (0..PAIRS).map(|_| pair()).collect();
    let spans = exchange_unseen(&mut scene, pairs);
    assert_honest(&mut scene, &spans);
}

#[test]
fn a_unix_socket_whose_answer_was_lost_is_not_said_to_have_been_closed_without() {
    let mut scene = Scene::new();
    let pairs = (0..PAIRS).map(|_| UnixStream::pair().expect("a pair")).collect();
    let spans = exchange_unseen(&mut scene, pairs);
    assert_honest(&mut scene, &spans);
}
