//! HTTP/1 is recognised by grammar.

use wirespan_protocols::Detection::{self, Match, NeedMore, No};
use wirespan_protocols::Direction::{Request, Response};
use wirespan_protocols::http1::detect;

fn assert_all(cases: &[&[u8]], expected: Detection) {
    for case in cases {
        assert_eq!(detect(case), expected, "{}", case.escape_ascii());
    }
}

#[test]
fn any_method_will_do() {
    assert_all(
        &[
            b"GET / HTTP/1.1\r\n",
            b"get / HTTP/1.0\r\n",
            b"PROPFIND /dav HTTP/1.1\r\nHost: a\r\n",
            b"M-SEARCH * HTTP/1.1\r\n",
            b"X!#$%&'*+-.^_`|~9 /x HTTP/1.1\r\n",
            b"CONNECT example.com:443 HTTP/1.1\r\n",
            b"OPTIONS * HTTP/1.1\r\n",
            b"GET http://example.com/a?b HTTP/1.1\r\n",
            b"GET /\xff\xfe HTTP/1.1\r\n",
            b"GET / HTTP/1.1\n",
            b"\r\nGET / HTTP/1.1\r\n",
        ],
        Match(Request),
    );
}

#[test]
fn status_lines_are_responses() {
    assert_all(
        &[b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 404 ", b"HTTP/1.1 204\r\n", b"HTTP/1.1 999 What?"],
        Match(Response),
    );
}

#[test]
fn a_plausible_prefix_needs_more() {
    for line in ["GET /some/path?q=1 HTTP/1.1\r\n", "PROPFIND / HTTP/1.0\r\n", "HTTP/1.1 200 OK\r\n"] {
        for cut in 0..line.len() {
            let expected = if line.starts_with("HTTP") && cut >= 13 { Match(Response) } else { NeedMore };
            assert_eq!(detect(&line.as_bytes()[..cut]), expected, "{}", &line[..cut]);
        }
    }
}

#[test]
fn the_wait_for_more_is_bounded() {
    assert_eq!(detect(&[b'a'; 33]), No);
    assert_eq!(detect(&[b"GET /".as_slice(), &[b'a'; 20_000]].concat()), No);
    assert_eq!(detect(b"\r\n\r\n\r\n\r\n"), No);
}

#[test]
fn other_protocols_are_not_http() {
    assert_all(
        &[
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
            b"*1\r\n$4\r\nPING\r\n",
            b"PING\r\n",
            b"get key\r\n",
            b"EHLO client.example.com\r\n",
            b"220 mail.example.com ESMTP\r\n",
            b"INVITE sip:bob@biloxi.com SIP/2.0\r\n",
            b"DESCRIBE rtsp://a/b RTSP/1.0\r\n",
            b"\0\0\0\x08\x04\xd2\x16\x2f",
            b"{\"json\": true}",
            b"HTTP/2 200\r\n",
            b"HTTP/1.2 200 OK\r\n",
            b"HTTP/1.1 20x OK\r\n",
            b"HTTP/1.1 2000 OK\r\n",
            b"HTTP/1.1200 OK\r\n",
            b"GET  / HTTP/1.1\r\n",
            b"GET / HTTP/1.1 x\r\n",
            b"GET /a b HTTP/1.1\r\n",
            b"GET /\x01 HTTP/1.1\r\n",
            b" GET / HTTP/1.1\r\n",
            b"<html><body>",
        ],
        No,
    );
}

#[test]
fn the_registry_asks_for_http() {
    let found: Vec<_> = wirespan_protocols::registry::PROTOCOLS
        .iter()
        .filter(|p| (p.detect)(b"GET / HTTP/1.1\r\n") == Match(Request))
        .map(|p| p.name)
        .collect();
    assert_eq!(found, ["http"]);
}
