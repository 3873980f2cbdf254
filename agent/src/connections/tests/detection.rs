//! Conversations that made detection call itself for ever, and that it finds its way back from.

use super::*;

/// Reads a conversation on little stack; then a good request on another connection is read. Returns whether one is read
/// on the same connection, too.
fn survives(name: &str, conversation: Vec<Said>) -> bool {
    let name = name.to_owned();
    let (tell, told) = std::sync::mpsc::channel();
    on_a_small_stack(move || {
        let mut server = Server::new();
        let (mut socket, mut other) = (Socket::new(1), Socket::new(2));
        server.converse(&mut socket, &conversation);
        assert!(server.is_read(&mut other), "{name}: another connection");
        tell.send(server.is_read(&mut socket)).unwrap();
    });
    told.recv().unwrap()
}

#[test]
fn bytes_that_one_protocol_may_know_and_an_answer_in_another_end() {
    let conversations: &[(&str, &[Said])] = &[
        ("eight bytes", &[client(b"J\0\0\0\n8.0"), bad_request()]),
        ("eight bytes and more", &[client(b"J\0\0\0\n8.0.30\r\n\r\n"), bad_request()]),
        ("half a command", &[client(b"*1\r\n$4\r\n"), bad_request()]),
        ("a line end and a command", &[server(b"\n"), client(b"*1\r\n$4\r\nPING\r\n")]),
        ("a digit and a status", &[client(b"1\r"), server(b"HTTP/1.1 500 ")]),
        ("two lengths", &[client(b"\0\0\0\x04"), server(b"2\0\0\0\x04")]),
        ("zeroes and a tag", &[client(b"\0\0\0\0"), server(b"C\0\0\0\nBEGIN\0")]),
        ("half a SETTINGS", &[server(b"\0\x04\0\0\0"), client(b"P\0\0\0\x37\0SET plication_name = 'PostgreSQL")]),
        ("a letter and the rest", &[server(b"g"), client(b"E 2 HTTP/1.1\n")]),
        ("a letter and a request", &[server(b"g"), request("/x")]),
        ("a line end and a request", &[server(b"\r\n"), request("/x")]),
        ("a greeting", &[server(b"+OK\r\n"), client(b"get a\r\n")]),
    ];
    for (name, conversation) in conversations {
        survives(name, conversation.to_vec());
    }
}

#[test]
fn a_letter_after_a_genuine_upgrade_is_survived() {
    let upgrade = [
        client(b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
        server(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
        server(b"G"),
        request("/x"),
    ];
    survives("an upgrade", upgrade.to_vec());
}

#[test]
fn a_server_that_was_sent_nonsense_once_is_read_by_the_same_connection_afterwards() {
    assert!(survives("half a command", vec![client(b"*1\r\n$4\r\n"), bad_request()]));
    assert!(survives("eight bytes", vec![client(b"J\0\0\0\n8.0"), bad_request()]));
    assert!(survives("a line end", vec![server(b"\r\n")]));
}

#[test]
fn one_capture_after_another_on_the_same_connection_is_read() {
    let captures = captures();
    on_a_small_stack(move || {
        let alone: Vec<usize> = captures.iter().map(|(_, said)| read(&mut Server::new(), said)).collect();
        assert!(alone.iter().sum::<usize>() > 500, "captures are read");
        for (first, _) in captures.iter().zip(0..) {
            let mut server = Server::new();
            for (cookie, (second, expected)) in (1..).zip(captures.iter().zip(&alone)) {
                let mut socket = Socket::new(cookie);
                server.converse(&mut socket, &first.1);
                server.out.clear();
                server.converse(&mut socket, &second.1);
                let found = server.finished().len();
                // (What comes before may hide the beginning; what no bytes were said of is never found.)
                assert!(found <= 2 * expected + 2, "{} after {}: {found}, not {expected}", second.0, first.0);
            }
            assert_eq!(server.counters.connections_failed.get(), 0);
        }
    });
}

/// Exchanges in a conversation, on a socket of its own.
fn read(server: &mut Server, said: &[Said]) -> usize {
    server.converse(&mut Socket::new(1), said);
    server.finished().len()
}

#[test]
fn another_protocol_after_the_first_is_read_as_well() {
    let captures = captures();
    let named = |name: &str| captures.iter().find(|(n, _)| n == name).unwrap().1.clone();
    let mut server = Server::new();
    let mut socket = Socket::new(1);
    server.converse(&mut socket, &named("curl-keepalive-node"));
    let first = server.finished().len();
    assert!(first > 1);
    server.converse(&mut socket, &named("redis-py"));
    assert!(server.finished().len() > 1, "redis after http");
}

#[test]
fn what_a_parser_finished_an_exchange_with_is_read_by_no_other() {
    let mut server = Server::new();
    let mut socket = Socket::new(1);
    server.converse(&mut socket, &[request("/a"), response(), request("/b")]);
    // The end of an exchange, and then nonsense: were it offered again, the response would be seen twice.
    server.converse(
        &mut socket,
        &[Said::Response(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n\0\x01nonsense".to_vec())],
    );
    server.converse(&mut socket, &[request("/c"), response()]);
    assert_eq!(server.finished(), ["GET /a", "GET /b", "GET /c"]);
}
