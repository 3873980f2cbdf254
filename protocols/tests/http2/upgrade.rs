//! `Upgrade: h2c`: the request is HTTP/1.1, its response HTTP/2.

use wirespan_protocols::Settings;
use wirespan_protocols::{Progress, Role, http1};

use crate::bytes::{END_STREAM, Peer, data, greetings};
use crate::replay::{self, assert_balanced};
use crate::wire::{Wire, text};

const ASKS: &str = "GET /users/1 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
                    HTTP2-Settings: AAMAAABk\r\n\r\n";
const GRANTS: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";

/// A connection that begins in HTTP/1.1.
fn older() -> Wire {
    let mut wire = Wire::server();
    wire.parser = http1::parser(Settings::of(Role::Server));
    wire
}

#[test]
fn the_request_that_asks_is_the_first_stream() {
    let (mut client, mut server) = (Peer::new(), Peer::new());
    let (greeting, answer) = greetings();
    let mut wire = older();
    // The server's first frames come with its consent.
    wire.request(ASKS).response([GRANTS.as_bytes(), &answer, &server.status(0, 1, "404")].concat());
    wire.request([greeting, client.get(3, "/b")].concat());
    wire.response([data(END_STREAM, 1, b"none"), server.status(END_STREAM, 3, "204")].concat());
    assert_eq!(wire.summary(), ["GET /users/{id} 404", "GET /b 204"]);
    let [first, second] = wire.finished()[..] else { panic!("two") };
    assert_eq!(text(first, "network.protocol.version"), Some("1.1"));
    assert_eq!(text(second, "network.protocol.version"), Some("2"));
    assert_balanced(&wire.out, "");
}

#[test]
fn a_server_that_does_not_grant_it_answers_as_ever() {
    let mut wire = older();
    wire.request(ASKS).response("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    wire.request("GET /b HTTP/1.1\r\nHost: h\r\n\r\n").response("HTTP/1.1 204 X\r\n\r\n");
    assert_eq!(wire.summary(), ["GET /users/{id} 200", "GET /b 204"]);
}

#[test]
fn a_recorded_upgrade_is_read_however_it_is_split() {
    let capture = replay::captures("http2", 12).into_iter().find(|c| c.name.contains("upgrade")).unwrap();
    let whole = |cut_in: usize, at: usize| {
        capture.replay(Role::Server, |wire, n, direction, bytes| {
            if n == 0 {
                wire.parser = older().parser;
            }
            let cut = if n == cut_in { at } else { 0 };
            wire.data(direction, &bytes[..cut]).data(direction, &bytes[cut..]);
        })
    };
    let expected = whole(0, 0);
    assert_eq!(expected.summary(), capture.exchanges);
    assert_eq!(expected.progress, Progress::Continue);
    for (n, at, _) in capture.offsets() {
        assert_eq!(whole(n, at).out, expected.out, "operation {n} at {at}");
    }
}
