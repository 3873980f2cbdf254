//! Every conversation is recognised as what it is, or not at all, wherever one begins to listen.

use wirespan_protocols::Detection;
use wirespan_protocols::registry::PROTOCOLS;

use crate::captures::{Operation, folder};

/// Folders of captures; the folder is the protocol's name in the registry, but for HTTP/1.
const FOLDERS: [(&str, &str); 7] = [
    ("amqp", "amqp"),
    ("http1", "http"),
    ("http2", "http2"),
    ("memcached", "memcached"),
    ("mysql", "mysql"),
    ("postgresql", "postgresql"),
    ("redis", "redis"),
];

/// A master sends commands to its replica, and the replica to its master. An upgrade begins as another protocol.
const APART: [&str; 2] = ["redis/replica", "http2/curl-upgrade-hypercorn"];

#[test]
fn each_operation_is_recognised_as_itself_or_not_at_all() {
    for (name, protocol) in FOLDERS {
        for capture in folder(name) {
            if APART.contains(&capture.name.as_str()) {
                continue;
            }
            // What goes through a tunnel is another protocol's.
            for operation in capture.operations.iter().take(if capture.leaves { 1 } else { usize::MAX }) {
                let Operation::Bytes(direction, bytes) = operation else { continue };
                for other in PROTOCOLS {
                    let Detection::Match(found) = (other.detect)(bytes) else { continue };
                    let what = format!("{}: {}", capture.name, bytes[..bytes.len().min(80)].escape_ascii());
                    assert_eq!((other.name, found), (protocol, *direction), "{what}");
                }
            }
        }
    }
}

#[test]
fn the_first_request_is_recognised() {
    // HTTP/2 and AMQP may begin with less than a frame, or with the server's: their own tests say more.
    for (name, protocol) in FOLDERS.into_iter().filter(|(name, _)| !["http2", "amqp"].contains(name)) {
        for capture in folder(name) {
            let Operation::Bytes(direction, bytes) = &capture.operations[0] else { panic!("{}", capture.name) };
            let found = PROTOCOLS.iter().find_map(|p| match (p.detect)(bytes) {
                Detection::Match(found) => Some((p.name, found)),
                _ => None,
            });
            assert_eq!(found, Some((protocol, *direction)), "{}", capture.name);
        }
    }
}

#[test]
fn nobody_waits_for_ever() {
    for protocol in PROTOCOLS {
        for byte in 0..=255u8 {
            let answer = (protocol.detect)(&[byte; 8192]);
            assert_ne!(answer, Detection::NeedMore, "{} for ever more of {byte:#x}", protocol.name);
        }
    }
}
