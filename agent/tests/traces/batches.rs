//! Many calls that are one, at the end that asks, at the end that answers, or at both.

use wirespan_agent::span::KeyValue;

use super::*;

const QUERY: &str = "\x10\0\0\0\x03INSERT INTO t X";
const FINE: &str = "\x07\0\0\x01\0\0\0\x02\0\0\0";

fn attribute<'s>(span: &'s Span, key: &str) -> Option<&'s Value> {
    span.attributes.iter().find(|KeyValue { key: name, .. }| name == key).map(|a| &a.value)
}

#[test]
fn what_a_server_answers_one_by_one_hangs_below_the_batch_that_asked_for_it() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(80);
    let (mut c, mut d) = world.connect(3306);
    let (request, query) = (get("/", ""), QUERY);
    // That it is MySQL shows with this.
    world.pass(&mut c, FRONT, &mut d, BACK, query);
    world.pass(&mut d, BACK, &mut c, FRONT, FINE);
    assert_eq!(world.traces().len(), 1);
    world.pass(&mut a, CLIENT, &mut b, FRONT, &request);
    world.send(&mut c, FRONT, &query.repeat(40));
    for _ in 0..40 {
        world.receive(&mut d, BACK, query);
        world.send(&mut d, BACK, FINE);
    }
    world.receive(&mut c, FRONT, &FINE.repeat(40));
    world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
    let traces = world.traces();
    assert_eq!(traces.len(), 1);
    let mut lines = describe(&traces[0]);
    let served = lines.split_off(3);
    assert_eq!(
        lines,
        ["Client GET / parent=None", "Server GET / parent=Some(0)", "Client BATCH INSERT t parent=Some(1)"]
    );
    assert_eq!(served, vec!["Server INSERT t parent=Some(2)"; 40]);
    assert_eq!(attribute(&traces[0][2], "db.operation.batch.size"), Some(&Value::Int(40)));
}

/// As Redis reads: as much as its buffer holds, which may end within a command.
#[test]
fn what_a_server_reads_of_one_pipeline_in_pieces_is_one_span() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(6379);
    world.pass(&mut a, CLIENT, &mut b, BACK, "*1\r\n$4\r\nPING\r\n");
    world.pass(&mut b, BACK, &mut a, CLIENT, "+PONG\r\n");
    assert_eq!(world.traces().len(), 1);
    let all = "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n".repeat(100);
    world.send(&mut a, CLIENT, &all);
    // Of 20 bytes each; of the last piece each is told by itself.
    let none = "$-1\r\n";
    let answers = [none.repeat(45), none.repeat(46), [&none.repeat(7), "-ERR no\r\n", none].concat()];
    for (piece, answer) in all.as_bytes().chunks(915).zip(&answers) {
        world.receive(&mut b, BACK, std::str::from_utf8(piece).unwrap());
        world.send(&mut b, BACK, answer);
    }
    world.receive(&mut a, CLIENT, &answers.concat());
    let traces = world.traces();
    assert_eq!(traces.len(), 1);
    let [call, served] = &traces[0][..] else { panic!("{:?}", describe(&traces[0])) };
    assert_eq!((&*call.name, &*served.name), ("PIPELINE GET", "PIPELINE GET"));
    assert_eq!(served.parent_span_id, call.span_id);
    for end in [call, served] {
        assert_eq!(attribute(end, "db.operation.batch.size"), Some(&Value::Int(100)));
        assert_eq!(attribute(end, "db.query.text"), Some(&Value::Str("GET ?".into())));
    }
    assert_eq!(attribute(served, "wirespan.batch.shared"), None);
    for end in [call, served] {
        let places: Vec<_> = end.events.iter().map(|event| event.attributes[0].value.clone()).collect();
        assert_eq!(places, [Value::Int(98)]);
        assert_eq!(attribute(end, "error.type"), Some(&Value::Str("ERR".into())));
    }
}

#[test]
fn a_server_that_reads_several_calls_at_once_says_that_its_span_is_of_all_of_them() {
    for (calls, shared) in [(vec![20, 20], true), (vec![40], false), (vec![36, 4], true)] {
        let mut world = World::new();
        let (mut a, mut b) = world.connect(6379);
        // That it is Redis shows with this.
        world.pass(&mut a, CLIENT, &mut b, BACK, "*1\r\n$4\r\nPING\r\n");
        world.pass(&mut b, BACK, &mut a, CLIENT, "+PONG\r\n");
        let command = "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
        for commands in &calls {
            world.send(&mut a, CLIENT, &command.repeat(*commands));
        }
        let all: usize = calls.iter().sum();
        world.receive(&mut b, BACK, &command.repeat(all));
        world.pass(&mut b, BACK, &mut a, CLIENT, &"$-1\r\n".repeat(all));
        let traces = world.traces();
        let spans: Vec<&Span> = traces.iter().flatten().filter(|span| span.name != "PING").collect();
        let served: Vec<_> = spans.iter().filter(|span| span.kind == SpanKind::Server).collect();
        assert_eq!(served.len(), 1, "{calls:?}");
        assert_eq!(attribute(served[0], "db.operation.batch.size"), Some(&Value::Int(40)));
        assert_eq!(attribute(served[0], "wirespan.batch.shared").is_some(), shared, "{calls:?}");
    }
}
