//! Waiting on conditions, never for a fixed time.

use std::net::TcpListener;
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

/// A port that nobody listened on a moment ago, on every address of both families.
pub fn free_port() -> u16 {
    loop {
        let v6 = TcpListener::bind(("::", 0)).expect("bind to any port");
        let port = v6.local_addr().expect("a bound address").port();
        drop(v6);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
