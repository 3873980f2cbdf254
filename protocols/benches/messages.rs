//! What reading AMQP, Celery and DNS costs: nanoseconds per exchange, and bytes per second.
#![allow(missing_docs, reason = "criterion's macro makes a public function")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wirespan_protocols::exchange::{Mark, Output};
use wirespan_protocols::registry::PROTOCOLS;
use wirespan_protocols::{Direction, Parser, Role, Settings, celery};

/// Bytes captured and bytes not, of one operation.
type Operation = (Direction, Vec<u8>, u64);

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&[kind, 0, 1][..], &(payload.len() as u32).to_be_bytes(), payload, &[0xce]].concat()
}

fn header(body: u64, flags: u16, properties: &[u8]) -> Vec<u8> {
    frame(2, &[&[0, 60, 0, 0][..], &body.to_be_bytes(), &flags.to_be_bytes(), properties].concat())
}

const PUBLISH: &[u8] = b"\0\x3c\0\x28\0\0\x04shop\x0dorder.created\0";
const DELIVER: &[u8] = b"\0\x3c\0\x3c\x04ctag\0\0\0\0\0\0\0\x01\0\x04shop\x0dorder.created";
const ACK: &[u8] = b"\0\x3c\0\x50\0\0\0\0\0\0\0\x01\0";
const CONSUME: &[u8] = b"\0\x3c\0\x14\0\0\x04jobs\x04ctag\0\0\0\0\0";
/// `content-type`, `message-id`.
const PROPERTIES: (u16, &[u8]) = (1 << 15 | 1 << 7, b"\x10application/json\x24d2f4284d-8369-4e44-ac60-7c56ebc279d4");
const QUERY: &[u8] =
    b"\x12\x34\x01\0\0\x01\0\0\0\0\0\x01\x03www\x07example\x03com\0\0\x01\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0";
const ANSWER: &[u8] = b"\x12\x34\x81\x80\0\x01\0\x02\0\0\0\0\x03www\x07example\x03com\0\0\x01\0\x01\
    \xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x06\x03web\xc0\x10\xc0\x2d\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01";
const TASK: &str = r#"{"body": "W1sxLCAyXSwge30sIHsiY2FsbGJhY2tzIjogbnVsbCwgImVycmJhY2tzIjogbnVsbCwgImNoYWluIjogbnVsbCwgImNob3JkIjogbnVsbH1d", "content-encoding": "utf-8", "content-type": "application/json", "headers": {"lang": "py", "task": "shop.add", "id": "d2f4284d-8369-4e44-ac60-7c56ebc279d4", "shadow": null, "eta": null, "expires": null, "group": null, "group_index": null, "retries": 0, "timelimit": [null, null], "root_id": "d2f4284d-8369-4e44-ac60-7c56ebc279d4", "parent_id": null, "argsrepr": "(1, 2)", "kwargsrepr": "{}", "origin": "gen4711@host", "ignore_result": false}, "properties": {"correlation_id": "d2f4284d-8369-4e44-ac60-7c56ebc279d4", "reply_to": "", "delivery_mode": 2, "delivery_info": {"exchange": "", "routing_key": "celery"}, "priority": 0, "body_encoding": "base64", "delivery_tag": "f8b5"}}"#;

fn run(criterion: &mut Criterion, name: &str, protocol: &str, before: &[Operation], operations: &[Operation]) {
    let bytes = operations.iter().map(|(_, data, gap)| data.len() as u64 + gap).sum();
    let protocol = PROTOCOLS.iter().find(|p| p.name == protocol).expect("it is registered");
    let mut group = criterion.benchmark_group(name);
    for (unit, throughput) in [("exchange", Throughput::Elements(1)), ("bytes", Throughput::Bytes(bytes))] {
        group.throughput(throughput).bench_function(unit, |bencher| {
            let mut parser = (protocol.parser)(Settings::of(Role::Client));
            let mut out: Vec<Output> = Vec::new();
            let mut mark = Mark::default();
            let mut feed = |parser: &mut dyn Parser, operations: &[Operation], out: &mut Vec<Output>| {
                for (direction, data, gap) in operations {
                    mark.time += 1;
                    parser.data(*direction, black_box(data), &mark, out);
                    parser.gap(*direction, *gap, &mark, out);
                }
            };
            feed(&mut *parser, before, &mut out);
            bencher.iter(|| {
                out.clear();
                feed(&mut *parser, operations, &mut out);
                assert_eq!(out.len(), 2, "started and finished");
            });
        });
    }
    group.finish();
}

fn benches(criterion: &mut Criterion) {
    let (flags, properties) = PROPERTIES;
    let content = |size: usize| [header(size as u64, flags, properties), frame(3, &vec![b'x'; size])].concat();
    let publish = [frame(1, PUBLISH), content(256)].concat();
    run(criterion, "AMQP publish of 256 bytes", "amqp", &[], &[(Direction::Request, publish, 0)]);

    let deliver = [frame(1, DELIVER), content(256)].concat();
    let consume = [(Direction::Request, frame(1, CONSUME), 0)];
    let settled = [(Direction::Response, deliver, 0), (Direction::Request, frame(1, ACK), 0)];
    run(criterion, "AMQP deliver of 256 bytes and ack", "amqp", &consume, &settled);

    // 1 MiB in frames of 128 KiB, of which 4 KiB of each of 16 writes are captured.
    let mut large = [frame(1, PUBLISH), header(1 << 20, flags, properties)].concat();
    vec![b'x'; 1 << 20].chunks(131_064).for_each(|piece| large.extend(frame(3, piece)));
    let cut = |piece: &[u8]| {
        let captured = piece.len().min(4096);
        (Direction::Request, piece[..captured].to_vec(), (piece.len() - captured) as u64)
    };
    let pieces: Vec<_> = large.chunks(65_536).map(cut).collect();
    run(criterion, "AMQP publish of 1 MiB with gaps", "amqp", &[], &pieces);

    let lookup = [(Direction::Request, QUERY.to_vec(), 0), (Direction::Response, ANSWER.to_vec(), 0)];
    run(criterion, "DNS query and answer", "dns", &[], &lookup);

    let mut group = criterion.benchmark_group("Celery task in LPUSH");
    group.throughput(Throughput::Bytes(TASK.len() as u64)).bench_function("bytes", |bencher| {
        bencher.iter(|| {
            let write = celery::write(b"LPUSH", b"celery", black_box(TASK.as_bytes()));
            assert!(matches!(write, Some(celery::Write::Task(_))));
        });
    });
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
