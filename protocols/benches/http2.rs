//! What reading HTTP/2 costs: nanoseconds per exchange, and bytes per second. `cargo bench -p wirespan-protocols`.
#![allow(missing_docs, reason = "criterion's macro makes a public function")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use wirespan_protocols::exchange::{Mark, Output};
use wirespan_protocols::http2::Http2;
use wirespan_protocols::{Direction, Parser, Role, Settings};

/// The client's preface and both SETTINGS, then a call and a GET whose fields go into the tables.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const GREETING: &[u8] = b"\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0";
const TRACEPARENT: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn literal(first: &[u8], value: &[u8]) -> Vec<u8> {
    [first, &[value.len() as u8], value].concat()
}

/// A request's fields, all inserted; later requests name them by their place.
fn filling(method: u8, path: &[u8]) -> Vec<u8> {
    [
        &[method, 0x86][..],
        &literal(&[0x44], path),
        &literal(&[0x41], b"shop.example.com:8080"),
        &literal(&[0x7a], b"bench-client/1.0"),
        &literal(&[0x5f], b"application/grpc"),
    ]
    .concat()
}

/// The same fields by index, and a `traceparent` of its own.
fn indexed(method: u8) -> Vec<u8> {
    [&[method, 0x86, 0xc1, 0xc0, 0xbf, 0xbe][..], &literal(b"\x10\x0btraceparent", TRACEPARENT)].concat()
}

fn run(criterion: &mut Criterion, name: &str, method: u8, path: &[u8], streams: u32, call: bool) {
    let response = |stream| match call {
        true => [
            frame(1, 4, stream, b"\x88"),
            frame(0, 0, stream, b"\0\0\0\0\x20aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb"),
            frame(1, 5, stream, b"\x10\x0bgrpc-status\x010"),
        ]
        .concat(),
        false => [frame(1, 4, stream, b"\x88"), frame(0, 1, stream, &[b'x'; 27])].concat(),
    };
    let request = |stream| match call {
        true => [frame(1, 4, stream, &indexed(method)), frame(0, 1, stream, b"\0\0\0\0\x04ping")].concat(),
        false => frame(1, 5, stream, &indexed(method)),
    };
    let bytes = (request(1).len() + response(1).len()) as u64 * u64::from(streams);
    let mut group = criterion.benchmark_group(name);
    for (unit, throughput) in
        [("exchange", Throughput::Elements(u64::from(streams))), ("bytes", Throughput::Bytes(bytes))]
    {
        group.throughput(throughput).bench_function(unit, |bencher| {
            let mut parser = Http2::new(Settings::of(Role::Server));
            let (mut out, mut mark): (Vec<Output>, _) = (Vec::new(), Mark::default());
            parser.data(Direction::Request, PREFACE, &mark, &mut out);
            parser.data(Direction::Response, GREETING, &mark, &mut out);
            parser.data(Direction::Request, &frame(1, 5, 1, &filling(method, path)), &mark, &mut out);
            parser.data(Direction::Response, &response(1), &mark, &mut out);
            out.clear();
            let mut stream = 3;
            let batch = || {
                let numbers = (0..streams).map(|n| stream + 2 * n);
                let requests: Vec<u8> = numbers.clone().flat_map(request).collect();
                let responses: Vec<u8> = numbers.flat_map(response).collect();
                stream += 2 * streams;
                (requests, responses)
            };
            let read = |(requests, responses): (Vec<u8>, Vec<u8>)| {
                mark.time += 1;
                parser.data(Direction::Request, black_box(&requests), &mark, &mut out);
                parser.data(Direction::Response, black_box(&responses), &mark, &mut out);
                assert_eq!(out.len(), 2 * streams as usize, "started and finished");
                out.clear();
            };
            bencher.iter_batched(batch, read, BatchSize::SmallInput);
        });
    }
    group.finish();
}

fn benches(criterion: &mut Criterion) {
    run(criterion, "GET, one stream", 0x82, b"/users/42/orders?status=open&page=2", 1, false);
    run(criterion, "GET, 100 streams at once", 0x82, b"/users/42/orders?status=open&page=2", 100, false);
    run(criterion, "unary call, one stream", 0x83, b"/shop.v1.Stock/Reserve", 1, true);
    run(criterion, "unary call, 100 streams at once", 0x83, b"/shop.v1.Stock/Reserve", 100, true);
}

criterion_group!(all, benches);
criterion_main!(all);
