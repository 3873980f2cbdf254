//! What the end of a connection says of an answer that was not seen.

use wirespan_protocols::exchange::Value;

use super::*;

/// What became of each exchange: its `error.type`, `ok`, or `dropped`.
fn fates(server: &Server) -> Vec<String> {
    let fate = |signal: &Signal| match signal {
        Signal::Finished(_, exchange) => {
            let error = exchange.attributes.iter().find(|a| a.key == "error.type").map(|a| &a.value);
            Some(match error {
                Some(Value::Str(error)) => error.to_string(),
                _ => "ok".to_owned(),
            })
        }
        Signal::Dropped(_) => Some("dropped".to_owned()),
        _ => None,
    };
    server.out.iter().filter_map(fate).collect()
}

/// A client: what it sends are requests.
fn ask(server: &mut Server, socket: &mut Socket) {
    let Said::Request(bytes) = request("/x") else { unreachable!() };
    server.response(socket, &bytes);
}

#[test]
fn a_connection_that_ends_where_the_last_answer_was_seen_was_closed_without_another() {
    let mut server = Server::new();
    let mut socket = Socket::new(1);
    ask(&mut server, &mut socket);
    server.operation(&socket, INGRESS, 0, b"");
    assert_eq!(fates(&server), ["connection_closed"]);
}

#[test]
fn an_answer_that_was_lost_before_the_end_is_no_error() {
    let mut server = Server::new();
    let mut socket = Socket::new(1);
    ask(&mut server, &mut socket);
    // The record of the answer was lost; the end says where it stands.
    socket.received += 120;
    server.operation(&socket, INGRESS, 0, b"");
    server.connections.finish(server.now, &mut server.out);
    assert_eq!(fates(&server), ["dropped"]);
    assert_eq!((server.counters.gaps.get(), server.counters.gap_bytes.get()), (1, 120));
}

#[test]
fn an_answer_that_was_lost_before_a_reset_is_no_error() {
    let mut server = Server::new();
    let mut socket = Socket::new(1);
    ask(&mut server, &mut socket);
    socket.received += 120;
    server.operation(&socket, INGRESS, -104, b"");
    server.connections.finish(server.now, &mut server.out);
    assert_eq!(fates(&server), ["dropped"]);
}

#[test]
fn the_end_of_an_answer_whose_middle_was_lost_is_where_the_connection_ended() {
    let mut server = Server::new();
    let mut socket = Socket::new(1);
    ask(&mut server, &mut socket);
    let begins = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789";
    socket.received += begins.len() as u64;
    server.operation(&socket, INGRESS, begins.len() as i32, begins);
    socket.received += 90;
    server.operation(&socket, INGRESS, 0, b"");
    assert_eq!(fates(&server), ["ok"]);
}
