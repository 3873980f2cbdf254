//! What messages become: spans, their ends, attributes, links.

use wirespan_protocols::Direction::{Request, Response};
use wirespan_protocols::End;
use wirespan_protocols::exchange::{MessageKey, SpanKind, Value};

use crate::wire::*;

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// Flags of content headers.
const HEADERS: u16 = 1 << 13;
const CORRELATION: u16 = 1 << 10;
const MESSAGE_ID: u16 = 1 << 7;

fn consuming(mode_no_ack: bool) -> Wire {
    let mut wire = Wire::opened();
    wire.request(consume("c", "jobs", mode_no_ack)).response(method(1, 60, 21, &short("c")));
    wire
}

fn confirming() -> Wire {
    let mut wire = Wire::opened();
    wire.request(confirm_select()).response(method(1, 85, 11, b""));
    wire
}

#[test]
fn a_publish_ends_with_its_last_byte() {
    let mut wire = Wire::opened();
    let at = wire.time;
    wire.request(publish_method(1, "shop", "order.created", false)).request(header(1, 4));
    wire.request(frame(3, 1, b"bo")).request(frame(3, 1, b"dy"));
    let span = wire.only();
    assert_eq!(wire.started()[0].kind, SpanKind::Producer);
    assert_eq!(span.name, "publish shop:order.created");
    assert_eq!((span.request.first.time, span.request.last.time, span.end), (at + TICK, at + 4 * TICK, at + 4 * TICK));
    assert_eq!(span.response, None);
    assert_eq!(text(span, "messaging.system"), Some("rabbitmq"));
    assert_eq!(text(span, "messaging.operation.name"), Some("publish"));
    assert_eq!(text(span, "messaging.operation.type"), Some("send"));
    assert_eq!(text(span, "messaging.destination.name"), Some("shop:order.created"));
    assert_eq!(text(span, "messaging.rabbitmq.destination.routing_key"), Some("order.created"));
    assert_eq!(int(span, "messaging.message.body.size"), Some(4));
}

#[test]
fn an_exchange_without_a_key_and_a_key_without_an_exchange_are_names_by_themselves() {
    let mut wire = Wire::opened();
    wire.request(publish("logs", "", b"x")).request(publish("", "queue", b"x")).request(publish("", "", b"x"));
    assert_eq!(wire.summary(), ["producer publish logs", "producer publish queue", "producer publish amq.default"]);
}

#[test]
fn what_varies_in_a_destination_is_not_in_the_name() {
    let mut wire = Wire::opened();
    wire.request(publish("shop", "user.4711.created", b"x")).request(publish("", "amq.gen-JzTY20BRgKO", b"x"));
    assert_eq!(wire.summary(), ["producer publish shop:user.{id}.created", "producer publish"]);
    let spans = wire.finished();
    assert_eq!(text(spans[0], "messaging.destination.name"), Some("shop:user.4711.created"));
    assert_eq!(text(spans[0], "messaging.destination.template"), Some("shop:user.{id}.created"));
    assert_eq!(value(spans[1], "messaging.destination.anonymous"), Some(&Value::Bool(true)));
    assert_eq!(value(spans[1], "messaging.destination.template"), None);
}

#[test]
fn a_confirmed_publish_ends_with_its_confirmation() {
    let mut wire = confirming();
    wire.request(publish("", "a", b"1")).request(publish("", "b", b"2")).request(publish("", "c", b"3"));
    assert!(wire.finished().is_empty());
    wire.response(ack(2, false));
    assert_eq!(wire.summary(), ["producer publish b"]);
    assert_eq!(wire.finished()[0].end, wire.time);
    wire.response(ack(3, true));
    assert_eq!(wire.summary(), ["producer publish a", "producer publish b", "producer publish c"]);
    assert!(wire.finished().iter().all(|e| e.response.is_some()));
}

#[test]
fn a_refused_publish_is_an_error() {
    let mut wire = confirming();
    wire.request(publish("", "a", b"1")).response(nack(1, false));
    assert_eq!(wire.summary(), ["producer publish a error nack"]);
}

#[test]
fn a_returned_publish_is_an_error_once_it_is_confirmed() {
    let mut wire = confirming();
    let mandatory = |key| [publish_method(1, "", key, true), header(1, 1), frame(3, 1, b"x")].concat();
    wire.request(mandatory("a")).request(mandatory("b")).request(publish("", "b", b"x"));
    let arguments = [&[1, 56][..], &short("NO_ROUTE"), &short(""), &short("b")].concat();
    wire.response([method(1, 60, 50, &arguments), header(1, 1), frame(3, 1, b"x")].concat()).response(ack(3, true));
    assert_eq!(wire.summary(), ["producer publish a", "producer publish b error no-route", "producer publish b"]);
}

#[test]
fn a_delivery_lasts_until_it_is_settled() {
    let mut wire = consuming(false);
    wire.response(deliver("c", 1, "jobs", b"one")).response(deliver("c", 2, "jobs", b"two"));
    wire.response(deliver("c", 3, "jobs", b"three"));
    assert!(wire.finished().is_empty());
    wire.request(ack(1, false));
    let span = wire.only();
    assert_eq!(wire.started()[0].kind, SpanKind::Consumer);
    assert_eq!((span.name.as_ref(), span.end), ("process jobs", wire.time));
    assert_eq!(text(span, "messaging.operation.type"), Some("process"));
    assert_eq!(int(span, "messaging.rabbitmq.message.delivery_tag"), Some(1));
    wire.request(nack(2, false)).request(method(1, 60, 90, &[0, 0, 0, 0, 0, 0, 0, 3, 1]));
    assert_eq!(
        wire.summary(),
        ["consumer process jobs", "consumer process jobs error nack", "consumer process jobs error reject"]
    );
}

#[test]
fn zero_acknowledges_all() {
    let mut wire = consuming(false);
    wire.response(deliver("c", 1, "jobs", b"x")).response(deliver("c", 2, "jobs", b"y")).request(ack(0, true));
    assert_eq!(wire.summary(), ["consumer process jobs"; 2]);
}

#[test]
fn a_delivery_that_nobody_settles_ends_with_itself() {
    let mut wire = consuming(true);
    wire.response(deliver("c", 1, "jobs", b"one"));
    assert_eq!((wire.only().end, wire.only().response), (wire.time, None));
}

#[test]
fn a_consumer_whose_beginning_was_missed_is_known_by_its_first_acknowledgement() {
    let mut wire = Wire::client();
    wire.response(deliver("c", 7, "jobs", b"x"));
    assert_eq!(wire.summary(), ["consumer process jobs"], "who settles is not known");
    wire.request(ack(7, false)).response(deliver("c", 8, "jobs", b"x"));
    assert_eq!(wire.finished().len(), 1, "it does");
    wire.request(ack(8, false));
    assert_eq!(wire.finished()[1].end, wire.time);
}

#[test]
fn a_queue_is_named_where_the_key_does_not_name_it() {
    let mut wire = Wire::opened();
    wire.response(method(1, 50, 11, &[&short("audit")[..], &[0; 8]].concat()));
    wire.request(consume("c", "", true));
    wire.response([deliver_method("c", 1, "shop", "order.created"), header(1, 0)].concat());
    assert_eq!(wire.summary(), ["consumer process shop:order.created:audit"]);
    assert_eq!(text(wire.only(), "messaging.destination.name"), Some("shop:order.created:audit"));
}

#[test]
fn the_broker_may_name_the_consumer() {
    let mut wire = Wire::opened();
    wire.request(consume("", "jobs", false)).response(method(1, 60, 21, &short("amq.ctag-x")));
    wire.response(deliver("amq.ctag-x", 1, "jobs", b"x"));
    assert!(wire.finished().is_empty());
    wire.request(ack(1, false));
    assert_eq!(wire.summary(), ["consumer process jobs"]);
}

#[test]
fn a_get_is_a_call_that_returns_a_message_or_none() {
    let mut wire = Wire::opened();
    wire.request(get("jobs"));
    assert!(wire.out.is_empty(), "what it brings decides what it is linked to");
    wire.response(got(1, "jobs", b"body")).request(get("jobs")).response(method(1, 60, 72, b"\0"));
    assert_eq!(wire.summary(), ["client receive jobs"; 2]);
    let [full, empty] = wire.finished()[..] else { panic!() };
    assert_eq!(int(full, "messaging.message.body.size"), Some(4));
    assert_eq!(full.request.first.time + TICK, full.response.unwrap().first.time);
    assert_eq!(int(empty, "messaging.batch.message_count"), Some(0));
    assert_eq!(text(empty, "messaging.operation.type"), Some("receive"));
}

#[test]
fn gets_that_overlap_are_left_alone() {
    let mut wire = Wire::opened();
    wire.request([get("a"), get("b")].concat()).response([got(1, "a", b"x"), got(2, "b", b"y")].concat());
    wire.request(get("c")).response(got(3, "c", b"z"));
    assert!(wire.out.is_empty());
}

#[test]
fn a_context_in_the_message_is_the_sender_s_parent_and_the_receiver_s_link() {
    let properties = table(&[("traceparent", TRACEPARENT)]);
    let message = |method| [method, header_with(1, 0, HEADERS, &properties)].concat();
    let mut wire = Wire::opened();
    wire.request(message(publish_method(1, "", "q", false)));
    let sent = wire.started()[0].clone();
    assert!(sent.context.is_some() && sent.links.is_empty() && sent.message.is_none());
    wire.request(consume("c", "q", true)).response(message(deliver_method("c", 1, "", "q")));
    let received = wire.started()[1].clone();
    assert_eq!((received.context, received.links, received.message), (None, vec![sent.context.unwrap()], None));
}

#[test]
fn an_id_makes_a_key_that_both_sides_share() {
    let with = |method, flags, id: &str| [method, header_with(1, 0, flags, &short(id))].concat();
    let mut wire = consuming(true);
    wire.request(with(publish_method(1, "e", "k", false), MESSAGE_ID, "m1"));
    wire.response(with(deliver_method("c", 1, "e", "k"), MESSAGE_ID, "m1"));
    let [sent, received] = wire.started()[..] else { panic!() };
    assert_eq!(sent.message, Some(MessageKey { system: "rabbitmq", id: "e:k:message:m1".into() }));
    assert_eq!(sent.message, received.message);
    assert_eq!(text(wire.finished()[0], "messaging.message.id"), Some("m1"));
}

#[test]
fn a_reply_does_not_share_the_key_of_its_request() {
    let with = |key| [publish_method(1, "", key, false), header_with(1, 0, CORRELATION, &short("c1"))].concat();
    let mut wire = Wire::opened();
    wire.request(with("rpc")).request(with("amq.gen-reply"));
    let keys: Vec<_> = wire.started().iter().map(|s| s.message.clone().unwrap()).collect();
    assert_ne!(keys[0], keys[1]);
    assert_eq!(text(wire.finished()[0], "messaging.message.conversation_id"), Some("c1"));
}

#[test]
fn a_message_without_ids_has_no_key() {
    let mut wire = Wire::opened();
    wire.request(publish("", "q", b"x"));
    assert_eq!(wire.started()[0].message, None);
}

#[test]
fn a_channel_that_the_broker_closes_fails_what_was_open_on_it() {
    let mut wire = confirming();
    wire.request(publish("nowhere", "k", b"x"));
    wire.response(method(1, 20, 40, &[&[1, 148][..], &short("NOT_FOUND"), &[0, 60, 0, 40]].concat()));
    assert_eq!(wire.summary(), ["producer publish nowhere:k error not-found"]);
}

#[test]
fn a_close_in_order_leaves_what_was_sent_and_forgets_what_goes_back() {
    let mut wire = consuming(false);
    wire.request(confirm_select()).request(publish("", "q", b"x")).response(deliver("c", 1, "jobs", b"x"));
    let sent_at = wire.time - TICK;
    wire.request(method(0, 10, 50, &[&[0, 200][..], &short("bye"), &[0; 4]].concat()));
    assert_eq!(wire.summary(), ["producer publish q"]);
    assert_eq!((wire.only().end, wire.dropped()), (sent_at, vec![1]));
}

#[test]
fn what_comes_after_a_close_is_for_nobody() {
    let mut wire = consuming(false);
    let close = |id| method(1, 20, id, &[&[0, 200][..], &short("bye"), &[0; 4]].concat());
    wire.request(close(40)).response(deliver("c", 1, "jobs", b"x")).response(method(1, 20, 41, b""));
    assert!(wire.out.is_empty());
    wire.request(method(1, 20, 10, b"\0")).request(publish("", "q", b"x"));
    assert_eq!(wire.summary(), ["producer publish q"], "the channel is used again");
}

#[test]
fn a_connection_that_breaks_fails_what_was_open_on_it() {
    for (end, error) in [(End::Reset, "connection_reset"), (End::Closed, "connection_closed")] {
        let mut wire = consuming(false);
        wire.request(confirm_select()).request(publish("", "q", b"x")).response(deliver("c", 1, "jobs", b"x"));
        wire.request([publish_method(1, "", "half", false), header(1, 100), frame(3, 1, b"x")].concat());
        wire.request(get("jobs")).end(Response, end);
        let expected = ["producer publish q", "consumer process jobs", "producer publish half", "client receive jobs"];
        assert_eq!(wire.summary(), expected.map(|span| format!("{span} error {error}")));
        assert!(wire.finished().iter().all(|e| e.end == wire.time));
    }
}

#[test]
fn a_client_that_sends_no_more_settles_no_more_but_may_still_be_confirmed() {
    let mut wire = consuming(false);
    wire.request(confirm_select()).request(publish("", "q", b"x")).response(deliver("c", 1, "jobs", b"x"));
    wire.end(Request, End::Finished);
    assert_eq!(wire.summary(), ["consumer process jobs error connection_closed"]);
    wire.response(ack(1, false));
    assert_eq!(wire.finished().len(), 2);
    assert_eq!(wire.summary()[0], "producer publish q");
}

#[test]
fn a_connection_that_is_not_watched_to_its_end_drops_what_was_open() {
    let mut wire = consuming(false);
    wire.response(deliver("c", 1, "jobs", b"x")).end(Response, End::Unwatched);
    assert_eq!((wire.finished().len(), wire.dropped()), (0, vec![0]));
}

#[test]
fn what_is_recovered_comes_again() {
    let mut wire = consuming(false);
    wire.response(deliver("c", 1, "jobs", b"x")).request(method(1, 60, 110, b"\x01"));
    assert_eq!(wire.dropped(), [0]);
    wire.response(method(1, 60, 111, b"")).response(deliver("c", 2, "jobs", b"x")).request(ack(2, false));
    assert_eq!(wire.summary(), ["consumer process jobs"]);
}

#[test]
fn channels_do_not_mix() {
    let mut wire = Wire::opened();
    wire.request(method(2, 20, 10, b"\0")).request(confirm_select());
    wire.request([publish_method(1, "", "a", false), publish_method(2, "", "b", false)].concat());
    wire.request([header(2, 3), header(1, 2), frame(3, 2, b"x"), frame(3, 1, b"12"), frame(3, 2, b"yz")].concat());
    assert_eq!(wire.summary(), ["producer publish b"], "channel 2 does not confirm");
    wire.response(method(2, 60, 80, &[0, 0, 0, 0, 0, 0, 0, 1, 0]));
    assert_eq!(wire.finished().len(), 1);
    wire.response(ack(1, false));
    assert_eq!(wire.summary(), ["producer publish b", "producer publish a"]);
}

#[test]
fn heartbeats_say_nothing() {
    let mut wire = Wire::opened();
    wire.request(heartbeat()).response(heartbeat()).request([heartbeat(), publish("", "q", b"x")].concat());
    assert_eq!(wire.summary(), ["producer publish q"]);
}
