//! Both ends of one exchange on this host, found by facts that they share: addresses and stream position, the peers'
//! identities for Unix sockets, a session of TLS and the position in its plaintext, the positions of both directions behind an address translation, and for datagrams the
//! client's address and what the protocol says.

use rustc_hash::FxHashMap as HashMap;

use wirespan_common::{AF_INET6, AF_UNIX, Endpoints};
use wirespan_protocols::Role;
use wirespan_protocols::exchange::Mark;

use super::live::SpanKey;
use crate::signal::ConnectionInfo;
use wirespan_signals::Slim as _;

/// A fact that both ends know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JoinKey {
    /// The connection as both ends name it, and where the request begins in the client's stream.
    Tcp { client: ([u8; 16], u16), server: ([u8; 16], u16), position: u32 },
    /// The client's and the server's socket, and where the request begins in both streams.
    Unix { client: u64, server: u64, position: u64, opposite: u64 },
    /// The session of TLS, and where the request begins in the client's plaintext.
    Tls { random: [u8; 16], position: u64 },
    /// The connection as both ends name it, and where the record of TLS begins in the client's stream that the request begins with.
    Record { client: ([u8; 16], u16), server: ([u8; 16], u16), position: u32 },
    /// A datagram's client, and what names the request among its others.
    Datagram { client: Option<[u8; 16]>, port: u16, message: u64 },
    /// 64 bits that two random initial sequence numbers and the bytes since then make up: what is left when the
    /// addresses were translated on the way.
    Positions { position: u32, opposite: u32 },
}

/// The keys of one end: the exact one first.
pub fn keys(connection: &ConnectionInfo, first: &Mark) -> [Option<JoinKey>; 2] {
    if connection.opening {
        return [None, None];
    }
    if let Some(inside) = connection.inside {
        let key = JoinKey::Tls { random: inside.random, position: first.position };
        let (client, server) = names(connection);
        // (Unix sockets have no addresses that would tell them apart.)
        let below = first.below().filter(|_| connection.endpoints.family != AF_UNIX);
        let record = below.map(|position| JoinKey::Record { client, server, position });
        return [inside.whole.then_some(key), record];
    }
    let ends = &connection.endpoints;
    let local_is_client = connection.role == Role::Client;
    if connection.datagrams {
        return datagram_keys(ends, local_is_client, first.position);
    }
    if ends.family == AF_UNIX {
        let (local, peer) = (connection.cookie, ends.peer_cookie);
        let (client, server) = if local_is_client { (local, peer) } else { (peer, local) };
        let key = JoinKey::Unix { client, server, position: first.position, opposite: first.opposite };
        return [(peer != 0).then_some(key), None];
    }
    let (client, server) = names(connection);
    let position = first.position as u32;
    [
        Some(JoinKey::Tcp { client, server, position }),
        Some(JoinKey::Positions { position, opposite: first.opposite as u32 }),
    ]
}

/// The client's address and port, and the server's.
fn names(connection: &ConnectionInfo) -> (([u8; 16], u16), ([u8; 16], u16)) {
    let ends = &connection.endpoints;
    let local = (address(ends, ends.local), ends.local_port);
    let peer = (address(ends, ends.peer), ends.peer_port);
    if connection.role == Role::Client { (local, peer) } else { (peer, local) }
}

/// The client's address and port, and what its protocol says of the request. A client whose socket has no peer does not know
/// its own address, and a server that has not answered not yet whom.
fn datagram_keys(ends: &Endpoints, local_is_client: bool, message: u64) -> [Option<JoinKey>; 2] {
    let (host, port) = if local_is_client { (ends.local, ends.local_port) } else { (ends.peer, ends.peer_port) };
    if port == 0 {
        return [None, None];
    }
    let unknown = host == [0; 16];
    let exact = JoinKey::Datagram { client: Some(address(ends, host)), port, message };
    let by_port = JoinKey::Datagram { client: None, port, message };
    [(!unknown).then_some(exact), (unknown || !local_is_client).then_some(by_port)]
}

/// IPv4 addresses in their mapped form, so that a dual-stack end agrees with a plain one.
fn address(ends: &Endpoints, address: [u8; 16]) -> [u8; 16] {
    if ends.family == AF_INET6 {
        return address;
    }
    let mut mapped = [0; 16];
    mapped[10..12].fill(0xff);
    mapped[12..].copy_from_slice(&address[..4]);
    mapped
}

/// Ends that wait for their other end.
#[derive(Debug, Default)]
pub struct Joins {
    clients: HashMap<JoinKey, SpanKey>,
    servers: HashMap<JoinKey, SpanKey>,
}

impl Joins {
    /// Finds the other end of an exchange, or lets this end wait. The caller makes the found end [`forget`](Self::forget)
    /// its second key.
    pub fn meet(&mut self, keys: [Option<JoinKey>; 2], role: Role, span: SpanKey) -> Option<SpanKey> {
        let (own, other) = match role {
            Role::Client => (&mut self.clients, &mut self.servers),
            Role::Server => (&mut self.servers, &mut self.clients),
        };
        for key in keys.into_iter().flatten() {
            if let Some(found) = other.remove(&key) {
                return Some(found);
            }
        }
        for key in keys.into_iter().flatten() {
            own.insert(key, span);
        }
        None
    }

    /// Gives room back that is not needed.
    pub fn slim(&mut self) {
        self.clients.slim();
        self.servers.slim();
    }

    /// Keys that are waited for.
    pub fn len(&self) -> usize {
        self.clients.len() + self.servers.len()
    }

    /// An end waits no longer.
    pub fn forget(&mut self, keys: [Option<JoinKey>; 2], role: Role, span: SpanKey) {
        let own = match role {
            Role::Client => &mut self.clients,
            Role::Server => &mut self.servers,
        };
        for key in keys.into_iter().flatten() {
            if own.get(&key) == Some(&span) {
                own.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use wirespan_common::AF_INET;
    use wirespan_protocols::exchange::Wire;

    use super::*;
    use crate::signal::Inside;

    /// One end of a connection from port 5000 to port 443 that is older than what is known of its session, or not.
    fn end(role: Role, whole: bool) -> ConnectionInfo {
        let (local_port, peer_port) = if role == Role::Client { (5000, 443) } else { (443, 5000) };
        let endpoints = Endpoints { local_port, peer_port, family: AF_INET, ..Endpoints::default() };
        let inside = Some(Inside { random: [7; 16], whole });
        ConnectionInfo { endpoints, role, inside, ..ConnectionInfo::unknown(u64::from(local_port)) }
    }

    /// A request that begins at `position` of the plaintext, by an operation that begins at `began` and on the wire at `below`.
    fn request(position: u64, began: u32, below: u32) -> Mark {
        Mark { position, wire: Some(Wire::new(began.into(), below.try_into().expect("not 0"))), ..Mark::default() }
    }

    fn meet(client: (&ConnectionInfo, Mark), server: (&ConnectionInfo, Mark)) -> bool {
        let mut joins = Joins::default();
        assert_eq!(joins.meet(keys(client.0, &client.1), Role::Client, SpanKey::default()), None);
        joins.meet(keys(server.0, &server.1), Role::Server, SpanKey::default()).is_some()
    }

    #[test]
    fn ends_of_a_session_of_which_no_beginning_was_seen_are_joined_by_the_record_that_a_request_begins_with() {
        let (client, server) = (end(Role::Client, false), end(Role::Server, false));
        assert!(meet((&client, request(0, 0, 900)), (&server, request(300, 300, 900))));
        assert!(!meet((&client, request(0, 0, 900)), (&server, request(0, 0, 901))));
        // One of them may know more.
        let whole = end(Role::Client, true);
        assert!(meet((&whole, request(500, 500, 900)), (&server, request(0, 0, 900))));
    }

    #[test]
    fn a_request_that_begins_within_an_operation_has_no_record_of_its_own() {
        let (client, server) = (end(Role::Client, false), end(Role::Server, false));
        assert!(!meet((&client, request(40, 0, 900)), (&server, request(40, 0, 900))));
        assert!(!meet((&client, Mark::default()), (&server, Mark::default())));
    }

    #[test]
    fn unix_sockets_are_not_joined_by_records() {
        let unix = Endpoints { family: AF_UNIX, ..Endpoints::default() };
        let [client, server] =
            [Role::Client, Role::Server].map(|role| ConnectionInfo { endpoints: unix, ..end(role, false) });
        assert!(!meet((&client, request(0, 0, 900)), (&server, request(0, 0, 900))));
    }
}
