//! Unix sockets that cannot be connected: nobody listens there, or the program may not. Each is a call that failed.

use std::sync::Arc;

use opentelemetry_semantic_conventions::attribute::{ERROR_TYPE, NETWORK_PEER_ADDRESS, SERVER_ADDRESS};
use wirespan_common::{AF_UNIX, Endpoints, PathEvent};
use wirespan_links::{Connect, Signal};
use wirespan_protocols::exchange::KeyValue;

use super::attempts;
use crate::discovery::Process;
use crate::metrics::Counters;

/// What libraries try by themselves and do without: caches of names (`nscd`, which the C library asks for each user and
/// host), the system log, the system's buses. Nobody's call failed.
const OPTIONAL: [&str; 7] =
    ["/var/run/nscd/", "/run/nscd/", "/dev/log", "/run/systemd/", "/var/run/systemd/", "/run/dbus/", "/var/run/dbus/"];

/// The socket's name as people write it: one that is no file's begins with `@`.
fn name(event: &PathEvent) -> String {
    let bytes = &event.path[..usize::from(event.path_len).min(event.path.len())];
    match bytes.split_first() {
        Some((0, rest)) => {
            let shown = rest.iter().map(|b| if *b == 0 { b'@' } else { *b }).collect::<Vec<_>>();
            format!("@{}", String::from_utf8_lossy(&shown))
        }
        _ => {
            let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
            String::from_utf8_lossy(&bytes[..end]).into_owned()
        }
    }
}

/// `error.type` of an `errno`.
fn reason(error: u32) -> &'static str {
    match error {
        2 | 20 => "not_found",
        11 => "queue_full",
        _ => attempts::reason(error, false),
    }
}

/// Tells a failed attempt. Returns how many there are: none, if nobody needs to know.
pub fn tell(event: &PathEvent, process: Arc<Process>, id: u64, counters: &Counters, out: &mut Vec<Signal>) -> u64 {
    let path = name(event);
    if path.is_empty() || OPTIONAL.iter().any(|optional| path.starts_with(optional)) {
        return 0;
    }
    counters.connects_failed.inc();
    let connect = Connect { time: event.time, unit: super::unit_of(&event.unit) };
    let endpoints = Endpoints { family: AF_UNIX, ..Endpoints::default() };
    out.push(attempts::announced(id, "unix", process, (0, endpoints), connect));
    let attributes = vec![
        KeyValue::str(ERROR_TYPE, reason(event.error)),
        KeyValue::str(NETWORK_PEER_ADDRESS, path.clone()),
        KeyValue::str(SERVER_ADDRESS, path.clone()),
    ];
    let exchange = attempts::failed(format!("connect {path}").into(), connect, event.time, attributes);
    let weight = exchange.weight();
    out.push(Signal::Finished(attempts::key(id), Box::new(exchange), weight));
    1
}

#[cfg(test)]
mod tests {
    use wirespan_common::{Kind, MAX_PATH, UnitId};

    use super::*;

    fn event(path: &[u8]) -> PathEvent {
        let mut event = PathEvent {
            kind: Kind::Path as u8,
            path_len: path.len() as u8,
            reserved: [0; 2],
            error: 2,
            time: 1,
            unit: UnitId::default(),
            path: [0; MAX_PATH],
            reserved2: [0; 4],
        };
        event.path[..path.len()].copy_from_slice(path);
        event
    }

    #[test]
    fn names_are_as_people_write_them() {
        assert_eq!(name(&event(b"/run/a.sock\0")), "/run/a.sock");
        assert_eq!(name(&event(b"/run/a.sock")), "/run/a.sock");
        assert_eq!(name(&event(b"\0bus\0x")), "@bus@x");
        assert_eq!(name(&event(&[b'a'; MAX_PATH])).len(), MAX_PATH);
        assert_eq!(name(&PathEvent { path_len: 255, ..event(b"a") }), "a");
    }
}
