//! Waiting on conditions, never for a fixed time.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

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
    // As `proc_pid_net(5)` says: the local address is the second field, and the fourth is the state, `0A` for TCP_LISTEN.
    let (end, listen) = (format!(":{port:04X}"), "0A");
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|table| {
        let table = std::fs::read_to_string(table).unwrap_or_default();
        table.lines().skip(1).any(|line| {
            let mut fields = line.split_ascii_whitespace().skip(1);
            fields.next().is_some_and(|local| local.ends_with(&end)) && fields.nth(1) == Some(listen)
        })
    })
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
