//! What reading HTTP/1 costs: nanoseconds per exchange, and bytes per second. `cargo bench -p wirespan-protocols`.
#![allow(missing_docs, reason = "criterion's macro makes a public function")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wirespan_protocols::exchange::{Mark, Output};
use wirespan_protocols::http1::Http1;
use wirespan_protocols::{Direction, Parser, Role, Settings};

const GET: &[u8] = b"GET /users/42/orders?status=open&page=2 HTTP/1.1\r\nHost: shop.example.com:8080\r\nUser-Agent: curl/8.5.0\r\n\
    Accept: */*\r\nAccept-Encoding: gzip, deflate\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\
    Connection: keep-alive\r\n\r\n";
const SMALL: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx/1.25\r\nDate: Mon, 23 Nov 2026 00:20:28 GMT\r\nContent-Type: application/json\r\n\
    Content-Length: 27\r\nConnection: keep-alive\r\n\r\n{\"orders\":[1,2,3],\"page\":2}";
const LARGE: &[u8] =
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.25\r\nContent-Type: image/png\r\nContent-Length: 1048576\r\n\r\n";
const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Bytes captured and bytes not, of one operation.
type Operation = (Direction, Vec<u8>, u64);

fn run(criterion: &mut Criterion, name: &str, operations: Vec<Operation>) {
    let bytes = operations.iter().map(|(_, data, gap)| data.len() as u64 + gap).sum();
    let mut group = criterion.benchmark_group(name);
    for (unit, throughput) in [("exchange", Throughput::Elements(1)), ("bytes", Throughput::Bytes(bytes))] {
        group.throughput(throughput).bench_function(unit, |bencher| {
            let mut parser = Http1::new(Settings::of(Role::Server));
            let mut out: Vec<Output> = Vec::new();
            let (mut mark, mut positions) = (Mark::default(), [0; 2]);
            bencher.iter(|| {
                for (direction, data, gap) in &operations {
                    mark.time += 1;
                    (mark.position, mark.opposite) =
                        (positions[*direction as usize], positions[1 - *direction as usize]);
                    parser.data(*direction, black_box(data), &mark, &mut out);
                    positions[*direction as usize] += data.len() as u64;
                    mark.position = positions[*direction as usize];
                    parser.gap(*direction, *gap, &mark, &mut out);
                    positions[*direction as usize] += gap;
                }
                assert_eq!(out.len(), 2, "started and finished");
                out.clear();
            });
        });
    }
    group.finish();
}

fn benches(criterion: &mut Criterion) {
    let request = || (Direction::Request, GET.to_vec(), 0);
    run(criterion, "small GET, keep-alive", vec![request(), (Direction::Response, SMALL.to_vec(), 0)]);

    // Capture of 1 KiB of each write of 64 KiB.
    let mut large = vec![request(), (Direction::Response, LARGE.to_vec(), 0)];
    large.extend((0..16).map(|_| (Direction::Response, vec![b'x'; 1024], 63 * 1024)));
    run(criterion, "1 MiB with gaps", large);

    let mut chunks = CHUNKED.to_vec();
    for _ in 0..64 {
        chunks.extend_from_slice(b"400\r\n");
        chunks.extend_from_slice(&[b'x'; 1024]);
        chunks.extend_from_slice(b"\r\n");
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    run(criterion, "64 KiB chunked", vec![request(), (Direction::Response, chunks, 0)]);
}

criterion_group!(all, benches);
criterion_main!(all);
