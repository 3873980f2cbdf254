//! What RFC 9113 forbids, said to a real server after a sound request: no span but that request's.

use std::process::Command;

use wirespan_tests::program::Program;
use wirespan_tests::raw::Client;
use wirespan_tests::scene::Scene;
use wirespan_tests::span::Kind;
use wirespan_tests::trace;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// GET, http, `/` by HPACK's static table, and the authority `x`.
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'x'];
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Each with the section that forbids it. None asks for anything in a sound way.
fn violations() -> Vec<(&'static str, Vec<u8>)> {
    let ends = END_STREAM | END_HEADERS;
    let mut large = frame(0, 0, 1, &[0; 100]);
    large[..3].copy_from_slice(&[0xff, 0xff, 0xff]);
    vec![
        ("4.2 a frame larger than allowed", large),
        ("4.3 a header block that is none", frame(1, ends, 3, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff])),
        ("5.1 DATA on an idle stream", frame(0, END_STREAM, 7, b"idle")),
        ("5.1 RST_STREAM on an idle stream", frame(3, 0, 7, &[0, 0, 0, 8])),
        ("5.1 WINDOW_UPDATE on an idle stream", frame(8, 0, 7, &[0, 0, 0, 1])),
        ("5.1 CONTINUATION on an idle stream", frame(9, END_HEADERS, 7, GET)),
        ("5.1.1 an even stream", frame(1, ends, 2, GET)),
        ("6.1 DATA on stream 0", frame(0, END_STREAM, 0, b"zero")),
        ("6.1 more padding than payload", frame(0, END_STREAM | PADDED, 1, &[200, 1, 2, 3])),
        ("6.2 HEADERS on stream 0", frame(1, ends, 0, GET)),
        ("6.2 HEADERS with too much padding", frame(1, ends | PADDED, 3, GET)),
        ("6.2 HEADERS cut short by its priority", frame(1, ends | PRIORITY, 3, &[0, 0])),
        ("6.2 PING within a header block", [frame(1, END_STREAM, 3, GET), frame(6, 0, 0, &[0; 8])].concat()),
        ("6.3 PRIORITY of four bytes", frame(2, 0, 3, &[0; 4])),
        ("6.4 RST_STREAM of three bytes", frame(3, 0, 1, &[0; 3])),
        ("6.5 SETTINGS of five bytes", frame(4, 0, 0, &[0; 5])),
        ("6.5 SETTINGS on a stream", frame(4, 0, 1, &[])),
        ("6.5 an acknowledgement with settings", frame(4, 1, 0, &[0; 6])),
        ("6.6 PUSH_PROMISE from a client", frame(5, END_HEADERS, 1, &[&[0, 0, 0, 2], GET].concat())),
        ("6.7 PING of seven bytes", frame(6, 0, 0, &[0; 7])),
        ("6.8 GOAWAY on a stream", frame(7, 0, 1, &[0; 8])),
        ("6.9 a window that grows by nothing", frame(8, 0, 0, &[0; 4])),
        ("6.10 CONTINUATION without a beginning", frame(9, END_HEADERS, 1, GET)),
        ("not HTTP/2 at all", b"GET /not-http2 HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
    ]
}

#[test]
fn violations_of_http2_make_no_span() {
    let mut scene = Scene::new();
    let port = scene.port();
    let mut command = Command::new("nghttpd");
    command.args(["--no-tls", "--address=127.0.0.1", "-d"]).arg(scene.dir()).arg(port.to_string());
    let _server = Program::start("nghttpd", scene.dir(), &mut command).listens_on(port);
    std::fs::write(scene.dir().join("index.html"), "sound\n").expect("a file to serve");
    scene.trace();
    let violations = violations();
    for (_, bytes) in &violations {
        let mut client = Client::to_port(port);
        client.send([PREFACE, &frame(4, 0, 0, &[]), &frame(1, END_STREAM | END_HEADERS, 1, GET)].concat());
        client.read_until(b"sound\n");
        client.try_send(bytes);
        client.half_close();
        client.drain();
    }
    let spans = scene.finish(2 * violations.len());
    let forest = trace::forest(&spans);
    let shown = || forest.iter().flat_map(trace::Node::flat).map(trace::line).collect::<Vec<_>>().join("\n");
    for root in &forest {
        let callee = root.children.first().map(|child| (child.span.kind, child.span.name.as_str()));
        assert_eq!((root.span.kind, root.span.name.as_str()), (Kind::Client, "GET /"), "{}", shown());
        assert_eq!((root.children.len(), callee), (1, Some((Kind::Server, "GET /"))), "{}", shown());
    }
    assert_eq!(forest.len(), violations.len(), "one sound request on each connection\n{}", shown());
}
