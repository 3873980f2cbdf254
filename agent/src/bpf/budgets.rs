//! How much one socket and one process may put on a ring that fills up (`ebpf/src/budget.rs`).

use wirespan_common::Limits;

/// Bytes in a millisecond of one socket: what the agent can look at in any case, beside all others.
const SOCKET_RATE: u64 = 2 << 10;
/// The part of the ring that one socket may take at once.
const SOCKET_BURST: u64 = 64;
/// Bytes in a millisecond of one process.
const PROCESS_RATE: u64 = 16 << 10;
/// The part of the ring that one process may take at once.
const PROCESS_BURST: u64 = 16;

/// The limits for a ring of so many bytes.
pub fn limits(ring_bytes: u32) -> Limits {
    let ring = u64::from(ring_bytes);
    Limits {
        ring,
        socket_rate: SOCKET_RATE,
        socket_burst: ring / SOCKET_BURST,
        process_rate: PROCESS_RATE,
        process_burst: ring / PROCESS_BURST,
    }
}
