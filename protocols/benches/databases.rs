//! What reading databases' protocols costs: nanoseconds per exchange, and bytes per second.
//! `cargo bench -p wirespan-protocols --bench databases`.
#![allow(missing_docs, reason = "criterion's macro makes a public function")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wirespan_protocols::Direction::{Request, Response};
use wirespan_protocols::exchange::{Mark, Output};
use wirespan_protocols::registry::PROTOCOLS;
use wirespan_protocols::sql::{Dialect, Query};
use wirespan_protocols::{Direction, Role, Settings};

type Operation = (Direction, Vec<u8>);

const SQL: &str = "SELECT o.id, o.name, c.name FROM orders o JOIN customers c ON c.id = o.customer WHERE o.status = 'open' \
    AND o.total > 100.50 AND c.country IN ('DE', 'FR', 'IT') ORDER BY o.created DESC LIMIT 20";

fn run(criterion: &mut Criterion, protocol: &str, name: &str, exchanges: usize, operations: &[Operation]) {
    let bytes = operations.iter().map(|(_, data)| data.len() as u64).sum();
    let found = PROTOCOLS.iter().find(|p| p.name == protocol).unwrap();
    let mut group = criterion.benchmark_group(format!("{protocol}: {name}"));
    for (unit, throughput) in
        [("exchange", Throughput::Elements(exchanges as u64)), ("bytes", Throughput::Bytes(bytes))]
    {
        group.throughput(throughput).bench_function(unit, |bencher| {
            let mut parser = (found.parser)(Settings::of(Role::Server));
            let mut out: Vec<Output> = Vec::new();
            let (mut mark, mut positions) = (Mark::default(), [0; 2]);
            // What comes first may be dropped: the connection's beginning was not seen.
            let mut round = |out: &mut Vec<Output>| {
                for (direction, data) in operations {
                    mark.time += 1;
                    (mark.position, mark.opposite) =
                        (positions[*direction as usize], positions[1 - *direction as usize]);
                    parser.data(*direction, black_box(data), &mark, out);
                    positions[*direction as usize] += data.len() as u64;
                }
            };
            round(&mut out);
            bencher.iter(|| {
                out.clear();
                round(&mut out);
                assert_eq!(out.len(), 2 * exchanges, "started and finished");
            });
        });
    }
    group.finish();
}

fn pg(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
}

fn my(sequence: u8, body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_le_bytes()[..3], &[sequence], body].concat()
}

fn postgresql(criterion: &mut Criterion) {
    let row =
        pg(b'D', &[b"\0\x03\0\0\0\x0412345\0\0\0\x08a name..\0\0\0\x08another."[..].to_vec(), vec![b'x'; 40]].concat());
    let end = [pg(b'C', b"SELECT 20\0"), pg(b'Z', b"I")].concat();
    let rows = |n: usize| [pg(b'T', &[0; 90]), row.repeat(n), end.clone()].concat();
    let query = pg(b'Q', format!("{SQL}\0").as_bytes());
    run(criterion, "postgresql", "simple query, 20 rows", 1, &[(Request, query.clone()), (Response, rows(20))]);
    run(criterion, "postgresql", "simple query, 10 000 rows", 1, &[(Request, query), (Response, rows(10_000))]);
    let call = [pg(b'B', b"\0S_1\0\0\0\0\x01\0\0\0\x0212\0\0"), pg(b'E', b"\0\0\0\0\0"), pg(b'S', b"")].concat();
    let answer = [pg(b'2', b""), row.clone(), end].concat();
    run(criterion, "postgresql", "prepared statement, 1 row", 1, &[(Request, call), (Response, answer)]);
}

fn mysql(criterion: &mut Criterion) {
    let row = my(4, b"\x0512345\x08a name..\x08another.\x28xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    let column = my(2, b"\x03def\x04shop\x01t\x01t\x02id\x02id\x0c\x3f\0\x0b\0\0\0\x03\0\0\0\0\0");
    let eof = my(5, &[0xfe, 0, 0, 2, 0]);
    let rows = |n: usize| [my(1, &[4]), column.repeat(4), eof.clone(), row.repeat(n), eof.clone()].concat();
    let query = my(0, format!("\x03{SQL}").as_bytes());
    run(criterion, "mysql", "text query, 20 rows", 1, &[(Request, query.clone()), (Response, rows(20))]);
    run(criterion, "mysql", "text query, 10 000 rows", 1, &[(Request, query), (Response, rows(10_000))]);
}

fn redis(criterion: &mut Criterion) {
    let get = b"*2\r\n$3\r\nGET\r\n$12\r\nuser:1234567\r\n";
    let value = [b"$64\r\n", &[b'x'; 64][..], b"\r\n"].concat();
    run(criterion, "redis", "GET", 1, &[(Request, get.to_vec()), (Response, value.clone())]);
    run(criterion, "redis", "16 GET in a pipeline", 16, &[(Request, get.repeat(16)), (Response, value.repeat(16))]);
    let list = [b"*1000\r\n".to_vec(), value.repeat(1000)].concat();
    run(
        criterion,
        "redis",
        "LRANGE of 1000",
        1,
        &[(Request, b"*4\r\n$6\r\nLRANGE\r\n$1\r\nl\r\n$1\r\n0\r\n$2\r\n-1\r\n".to_vec()), (Response, list)],
    );
}

fn memcached(criterion: &mut Criterion) {
    let value = [b"VALUE user:1234567 0 64\r\n", &[b'x'; 64][..], b"\r\nEND\r\n"].concat();
    run(criterion, "memcached", "get", 1, &[(Request, b"get user:1234567\r\n".to_vec()), (Response, value)]);
    let frame = |magic: u8, key: u8, body: usize| {
        [&[magic, 0, 0, key, 0, 0, 0, 0, 0, 0, 0, body as u8][..], &[0; 12], &vec![b'x'; body]].concat()
    };
    run(criterion, "memcached", "binary get", 1, &[(Request, frame(0x80, 12, 12)), (Response, frame(0x81, 0, 68))]);
}

fn sql(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("SQL");
    group.throughput(Throughput::Bytes(SQL.len() as u64));
    group.bench_function("text and summary", |b| {
        b.iter(|| Query::read(black_box(SQL.as_bytes()), Dialect::POSTGRESQL, false))
    });
    group.finish();
}

criterion_group!(all, postgresql, mysql, redis, memcached, sql);
criterion_main!(all);
