//! Prints raw events (development aid).
use wirespan_agent::{bpf::*, metrics::Counters};
fn main() {
    let c = Counters::default();
    let mut cap = Capture::start(&CaptureSettings {
        capture_bytes: 4096,
        ring_bytes: 1 << 23,
        force_fallback: std::env::args().any(|a| a == "fallback"),
    })
    .unwrap();
    println!("{:?}", cap.mode());
    let end =
        std::time::Instant::now() + std::time::Duration::from_secs(std::env::args().nth(1).unwrap().parse().unwrap());
    while std::time::Instant::now() < end {
        cap.drain(10000, &c, |r| match r {
            Record::Io(e, b) => println!(
                "io dir={} res={} cap={} fl={} tgid={} tid={} cookie={} tx={} rx={} {:?}:{}->{:?}:{} peer={} {:?}",
                e.direction,
                e.result,
                e.captured,
                e.flags,
                e.unit.tgid,
                e.unit.tid,
                e.cookie,
                e.tx_position,
                e.rx_position,
                &e.endpoints.local[..4],
                e.endpoints.local_port,
                &e.endpoints.peer[..4],
                e.endpoints.peer_port,
                e.endpoints.peer_cookie,
                String::from_utf8_lossy(&b[..b.len().min(60)])
            ),
            Record::State(e) => println!("state {}->{} cookie={} {}", e.old, e.new, e.cookie, e.unit.tgid),
            Record::Fork(e) => println!("fork {e:?}"),
            Record::Exit(e) => println!("exit {} {}", e.tgid, e.tid),
            Record::Exec(e, a, v) => println!(
                "exec {} ppid={} {:?} env {} bytes",
                e.tgid,
                e.parent_tgid,
                String::from_utf8_lossy(a),
                v.len()
            ),
        });
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    cap.read_counters(&c);
    for (n, _, v) in c.snapshot() {
        if v > 0 {
            println!("{n} {v}")
        }
    }
}
