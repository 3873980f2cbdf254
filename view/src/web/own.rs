//! The agent's own server: who looks at traces makes no traces.
//!
//! The agent is not traced, so the callee's span does not exist; this is about the caller's, a browser's or curl's.

use std::collections::{HashSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wirespan_common::{AF_INET, AF_INET6, AF_UNIX, Endpoints};

/// The server of this process: where it listens, and whose ends are its own.
#[derive(Debug)]
pub struct OwnServer {
    address: Option<SocketAddr>,
    cookies: Arc<Cookies>,
    proc: PathBuf,
    /// `net:[4026531840]`.
    namespace: Option<PathBuf>,
}

/// Connections that are closed and still kept in mind.
const MAX_CLOSED: usize = 4096;

/// Ends of connections, by their cookies, which no other socket ever has.
#[derive(Debug, Default)]
struct Ends {
    open: HashSet<u64>,
    /// The latest that were closed, oldest first: what passed on them may still be on its way to who asks.
    closed: VecDeque<u64>,
}

/// The connections over Unix sockets that this process serves, or has served lately.
#[derive(Debug, Default)]
pub struct Cookies {
    now: Mutex<Ends>,
    /// Spares a look where there are none.
    some: AtomicBool,
}

/// A connection that is known as the server's, as long as this lives.
#[derive(Debug)]
pub struct Known {
    cookies: Arc<Cookies>,
    cookie: u64,
}

impl Cookies {
    /// Keeps in mind that this is the server's end of a connection.
    pub fn keep(self: &Arc<Self>, end: &impl AsFd) -> Known {
        // Every socket has one since Linux 4.12.
        let cookie = rustix::net::sockopt::socket_cookie(end).unwrap_or_default();
        self.now().open.insert(cookie);
        self.some.store(true, Ordering::Release);
        Known { cookies: Arc::clone(self), cookie }
    }

    fn has(&self, cookie: u64) -> bool {
        if !self.some.load(Ordering::Acquire) {
            return false;
        }
        let now = self.now();
        now.open.contains(&cookie) || now.closed.contains(&cookie)
    }

    fn now(&self) -> MutexGuard<'_, Ends> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        let mut now = self.cookies.now();
        now.open.remove(&self.cookie);
        if now.closed.len() == MAX_CLOSED {
            now.closed.pop_front();
        }
        now.closed.push_back(self.cookie);
    }
}

impl OwnServer {
    /// A server that listens on `address`, if on any, and has these ends of Unix sockets.
    pub fn new(address: Option<SocketAddr>, cookies: Arc<Cookies>) -> Self {
        let proc = PathBuf::from("/proc");
        Self { address, cookies, namespace: namespace(&proc, "self"), proc }
    }

    /// Whether the other end of a connection of process `tgid` is this server.
    pub fn is_peer(&self, ends: &Endpoints, tgid: u32) -> bool {
        if ends.family == AF_UNIX {
            return self.cookies.has(ends.peer_cookie);
        }
        let Some(address) = self.address else { return false };
        ends.peer_port == address.port() && is_address(address, ends) && self.shares_network(tgid)
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

fn is_address(own: SocketAddr, ends: &Endpoints) -> bool {
    let (Some(local), Some(peer)) = (address(ends, ends.local), address(ends, ends.peer)) else { return false };
    match own.ip() {
        // A connection to one of this machine's own addresses comes from that same address.
        ip if ip.is_unspecified() => peer.is_loopback() || peer == local,
        ip => ip.to_canonical() == peer,
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
        let own = |listen: &str, ends: &Endpoints| {
            OwnServer::new(Some(listen.parse().unwrap()), Arc::default()).is_peer(ends, std::process::id())
        };
        let loopback = to("127.0.0.1", "127.0.0.1", 4316);
        assert!(own("127.0.0.1:4316", &loopback) && own("0.0.0.0:4316", &loopback) && own("[::]:4316", &loopback));
        assert!(own("[::1]:4316", &to("::1", "::1", 4316)));
        assert!(own("0.0.0.0:4316", &to("192.0.2.7", "192.0.2.7", 4316)), "this machine's own address");
        assert!(own("[::]:4316", &to("::ffff:127.0.0.1", "::ffff:127.0.0.1", 4316)));
        assert!(!own("127.0.0.1:4316", &to("127.0.0.1", "127.0.0.1", 4317)), "another port");
        assert!(!own("127.0.0.1:4316", &to("127.0.0.2", "127.0.0.2", 4316)), "another address");
        assert!(!own("0.0.0.0:4316", &to("192.0.2.7", "192.0.2.8", 4316)), "another machine");
    }

    #[test]
    fn whoever_is_at_the_other_end_of_an_own_unix_socket_is_left_alone_and_what_is_told_late_as_well() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let cookie = |end: &std::os::unix::net::UnixStream| rustix::net::sockopt::socket_cookie(end).unwrap();
        let ends = |peer_cookie| Endpoints { family: AF_UNIX, peer_cookie, ..Endpoints::default() };
        let cookies: Arc<Cookies> = Arc::default();
        let own = OwnServer::new(None, Arc::clone(&cookies));
        let known = cookies.keep(&ours);
        assert!(own.is_peer(&ends(cookie(&ours)), 1) && !own.is_peer(&ends(cookie(&theirs)), 1));
        drop(known);
        assert!(own.is_peer(&ends(cookie(&ours)), 1), "its records come after it was closed");
        for _ in 0..MAX_CLOSED {
            drop(cookies.keep(&theirs));
        }
        assert!(!own.is_peer(&ends(cookie(&ours)), 1), "that is bounded");
    }
}
