//! Waiting on conditions, never for a fixed time.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// How long what is sure to come may take, on a machine that is busy with other things: nobody waits for so long where all is well.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
const TICK: Duration = Duration::from_millis(10);

/// Asks `condition` until it gives a value; `None` when `deadline` has passed.
pub fn until<T>(deadline: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(TICK);
    }
}

/// Like [`until`], for a condition that is true or false.
pub fn until_true(deadline: Duration, mut condition: impl FnMut() -> bool) -> bool {
    until(deadline, || condition().then_some(())).is_some()
}

/// Whether somebody on this host listens on a TCP port. Looked up, not tried: a refused connection is a span.
pub fn listens(port: u16) -> bool {
    sockets(port, "0A") > 0
}

/// How many connections a TCP port of this host has.
pub fn connections(port: u16) -> usize {
    sockets(port, "01")
}

/// Sockets with this local port in this state, as `proc_pid_net(5)` says: the local address is the second field, and the fourth is the
/// state, `0A` for TCP_LISTEN and `01` for TCP_ESTABLISHED.
fn sockets(port: u16, state: &str) -> usize {
    let end = format!(":{port:04X}");
    let is_one = |line: &&str| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        fields.next().is_some_and(|local| local.ends_with(&end)) && fields.nth(1) == Some(state)
    };
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| std::fs::read_to_string(table).unwrap_or_default());
    tables.iter().map(|table| table.lines().skip(1).filter(is_one).count()).sum()
}

/// A port that nobody used a moment ago, on any address of either family. It lies below those that the kernel gives to
/// outgoing connections, so that none of these takes it before the service does.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = u16::try_from(std::process::id() % 20_000).expect("a small number");
    loop {
        let port = 10_000 + (offset + NEXT.fetch_add(7, Ordering::Relaxed)) % 20_000;
        if TcpListener::bind(("::", port)).is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
