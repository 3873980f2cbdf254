//! Context that a request carries.

use super::*;

const CONTEXT: &str = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: k=v\r\n";

#[test]
fn a_request_that_states_its_context_continues_that_trace_on_both_ends() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(80);
    let request = get("/", CONTEXT);
    world.pass(&mut a, CLIENT, &mut b, FRONT, &request);
    world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
    let traces = world.traces();
    let [client, server] = traces[0].as_slice() else { panic!("{:?}", describe(&traces[0])) };
    assert_eq!(client.trace_id[..2], [0x0a, 0xf7]);
    assert_eq!(client.parent_span_id, [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]);
    assert!(client.parent_is_remote && !server.parent_is_remote);
    assert_eq!((server.trace_id, server.parent_span_id), (client.trace_id, client.span_id));
    assert_eq!((&*client.trace_state, &*server.trace_state), ("k=v", "k=v"));
}

#[test]
fn a_context_that_is_not_sampled_leaves_no_span_below_it_either() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(80);
    let (mut c, mut d) = world.connect(81);
    let (first, second) = (get("/", &CONTEXT.replace("31-01", "31-00")), get("/x", ""));
    world.pass(&mut a, CLIENT, &mut b, FRONT, &first);
    world.pass(&mut c, FRONT, &mut d, BACK, &second);
    world.pass(&mut d, BACK, &mut c, FRONT, OK);
    world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
    assert!(world.traces().is_empty());
    assert_eq!(world.counters.links.spans_unsampled.get(), 4);
}

#[test]
fn a_sender_that_denies_recording_without_naming_a_trace_is_obeyed() {
    for header in ["b3: 0\r\n", "X-B3-Sampled: 0\r\n", "x-datadog-sampling-priority: 0\r\n"] {
        let mut world = World::new();
        let (mut a, mut b) = world.connect(80);
        let request = get("/", header);
        world.pass(&mut a, CLIENT, &mut b, FRONT, &request);
        world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
        assert!(world.traces().is_empty(), "{header}");
        assert_eq!(world.counters.links.spans_unsampled.get(), 2);
    }
}

#[test]
fn a_call_that_names_another_trace_than_its_thread_serves_follows_the_wire() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(80);
    let (mut c, mut d) = world.connect(81);
    let (first, second) = (get("/", ""), get("/x", CONTEXT));
    world.pass(&mut a, CLIENT, &mut b, FRONT, &first);
    world.pass(&mut c, FRONT, &mut d, BACK, &second);
    world.pass(&mut d, BACK, &mut c, FRONT, OK);
    world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
    let traces = world.traces();
    assert_eq!(traces.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
    assert!(traces.iter().any(|t| t[0].trace_id[..2] == [0x0a, 0xf7]));
}
