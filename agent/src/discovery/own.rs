//! The agent's own server: who looks at traces makes no traces.
//!
//! The agent is not traced, so the callee's span does not exist; this is about the caller's, a browser's or curl's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use wirespan_common::{AF_INET, AF_INET6, Endpoints};

/// A server of this process.
#[derive(Debug)]
pub struct OwnServer {
    address: SocketAddr,
    proc: PathBuf,
    /// `net:[4026531840]`.
    namespace: Option<PathBuf>,
}

impl OwnServer {
    /// A server that listens on `address`.
    pub fn new(address: SocketAddr) -> Self {
        let proc = PathBuf::from("/proc");
        Self { address, namespace: namespace(&proc, "self"), proc }
    }

    /// Whether the other end of a connection of process `tgid` is this server.
    pub fn is_peer(&self, ends: &Endpoints, tgid: u32) -> bool {
        ends.peer_port == self.address.port() && self.is_address(ends) && self.shares_network(tgid)
    }

    fn is_address(&self, ends: &Endpoints) -> bool {
        let (Some(local), Some(peer)) = (address(ends, ends.local), address(ends, ends.peer)) else { return false };
        match self.address.ip() {
            // A connection to one of this machine's own addresses comes from that same address.
            ip if ip.is_unspecified() => peer.is_loopback() || peer == local,
            ip => ip.to_canonical() == peer,
        }
    }

    /// A container has a loopback address of its own, where another server may have the same port. A process that is gone
    /// by now is taken for one of ours.
    fn shares_network(&self, tgid: u32) -> bool {
        match (&self.namespace, namespace(&self.proc, &tgid.to_string())) {
            (Some(own), Some(theirs)) => *own == theirs,
            _ => true,
        }
    }
}

fn namespace(proc: &Path, pid: &str) -> Option<PathBuf> {
    std::fs::read_link(proc.join(pid).join("ns/net")).ok()
}

fn address(ends: &Endpoints, bytes: [u8; 16]) -> Option<IpAddr> {
    match ends.family {
        AF_INET => Some(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into()),
        AF_INET6 => Some(Ipv6Addr::from(bytes).to_canonical()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(local: &str, peer: &str, port: u16) -> Endpoints {
        let bytes = |text: &str| match text.parse().unwrap() {
            IpAddr::V4(ip) => std::array::from_fn(|at| ip.octets().get(at).copied().unwrap_or(0)),
            IpAddr::V6(ip) => ip.octets(),
        };
        let family = if peer.contains(':') { AF_INET6 } else { AF_INET };
        Endpoints { family, local: bytes(local), peer: bytes(peer), peer_port: port, ..Endpoints::default() }
    }

    #[test]
    fn only_a_connection_to_the_server_itself_is_left_alone() {
        let own =
            |listen: &str, ends: &Endpoints| OwnServer::new(listen.parse().unwrap()).is_peer(ends, std::process::id());
        let loopback = to("127.0.0.1", "127.0.0.1", 4316);
        assert!(own("127.0.0.1:4316", &loopback) && own("0.0.0.0:4316", &loopback) && own("[::]:4316", &loopback));
        assert!(own("[::1]:4316", &to("::1", "::1", 4316)));
        assert!(own("0.0.0.0:4316", &to("192.0.2.7", "192.0.2.7", 4316)), "this machine's own address");
        assert!(own("[::]:4316", &to("::ffff:127.0.0.1", "::ffff:127.0.0.1", 4316)));
        assert!(!own("127.0.0.1:4316", &to("127.0.0.1", "127.0.0.1", 4317)), "another port");
        assert!(!own("127.0.0.1:4316", &to("127.0.0.2", "127.0.0.2", 4316)), "another address");
        assert!(!own("0.0.0.0:4316", &to("192.0.2.7", "192.0.2.8", 4316)), "another machine");
    }
}
