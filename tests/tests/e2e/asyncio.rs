//! Event loops of Python: what a task asks is asked for the request that it answers, however many there are at a time.

use wirespan_tests::receiver::{Protocol, Receiver};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::databases::Database;
use wirespan_tests::services::loops::{Hops, Server};
use wirespan_tests::services::node::Node;
use wirespan_tests::services::python::Python;

use crate::crowds::{Asked, all, assert_linked};

fn assert_hops(server: Server, asked: &[Asked]) {
    let scene = Scene::receiving(Receiver::start(Protocol::Http));
    let orders = Node::orders(&scene, "");
    let hops = Hops::start(&scene, server, &orders.url(""), &[]);
    assert_linked(scene, hops.port, server.service(), asked);
}

#[test]
fn the_calls_of_aiohttps_handlers_are_below_their_requests() {
    let scene = Scene::receiving(Receiver::start(Protocol::Http));
    let orders = Node::orders(&scene, "");
    let catalog = Python::catalog(&scene, &orders.url(""));
    assert_linked(scene, catalog.port, "catalog", &[all("/hop/N/0", 1, "exact")]);
}

#[test]
fn the_queries_of_aiohttps_handlers_over_a_pool_are_below_their_requests() {
    let scene = Scene::receiving(Receiver::start(Protocol::Http));
    let postgres = Database::postgres(&scene);
    let tables = Python::tables(&scene, postgres.port);
    assert_linked(scene, tables.port, "tables", &[all("/q/N", 2, "exact")]);
}

#[test]
fn the_calls_of_fastapis_handlers_and_of_whom_they_hand_work_to_are_below_their_requests() {
    let later = Asked { roots: true, ..all("/later/N/0", 2, "after_answer") };
    assert_hops(
        Server::Uvicorn,
        &[
            all("/hop/N/0", 2, "exact"),
            all("/parallel/N/0", 2, "child_unit"),
            all("/sync/N/0", 2, "child_unit"),
            all("/to_thread/N/0", 2, "child_unit"),
            // They may come so late that their request's trace has left.
            later,
        ],
    );
}

#[test]
fn the_calls_of_fastapis_handlers_under_httptools_are_below_their_requests() {
    assert_hops(Server::Httptools, &[all("/hop/N/0", 2, "exact")]);
}

#[test]
fn the_calls_of_fastapis_handlers_under_gunicorn_are_below_their_requests() {
    assert_hops(Server::Gunicorn, &[all("/hop/N/0", 2, "exact")]);
}

#[test]
fn the_calls_of_fastapis_handlers_and_of_whom_they_hand_work_to_under_uvloop_are_below_their_requests() {
    let (parallel, sync) = (all("/parallel/N/0", 2, "child_unit"), all("/sync/N/0", 2, "child_unit"));
    assert_hops(Server::Uvloop, &[all("/hop/N/0", 2, "exact"), parallel, sync]);
}

#[test]
fn the_calls_of_fastapis_handlers_under_gunicorn_and_uvloop_are_below_their_requests() {
    assert_hops(Server::GunicornUvloop, &[all("/hop/N/0", 2, "exact")]);
}

#[test]
fn the_calls_of_fastapis_handlers_under_hypercorn_are_below_their_requests() {
    assert_hops(Server::Hypercorn, &[all("/hop/N/0", 2, "exact"), all("/sync/N/0", 2, "child_unit")]);
}

#[test]
fn the_calls_of_djangos_views_under_uvicorn_are_below_their_requests() {
    assert_hops(Server::Django, &[all("/hop/N/0", 2, "exact"), all("/sync/N/0", 2, "child_unit")]);
}

#[test]
fn the_calls_of_tornados_handlers_are_below_their_requests_or_nobodys_where_they_wait_for_each_other() {
    // Ten at a time; the task of one that is through begins the next.
    assert_hops(Server::Tornado, &[Asked { roots: true, ..all("/hop/N/0", 2, "child_unit") }]);
}

#[test]
fn the_calls_of_flasks_handlers_under_gevent_are_below_their_requests() {
    // (What a greenlet calls that a handler made and waits for is not promised: it is known to have ended when its object is gone,
    // and who waits for several keeps them beyond the answer.)
    assert_hops(Server::Gevent, &[all("/hop/N/0", 2, "same_greenlet")]);
}

#[test]
fn what_workers_and_threads_do_for_who_waits_for_their_results_is_below_that_ones_request() {
    assert_hops(Server::Stores, &[all("/queue/N", 1, "resolved"), all("/executor/N", 1, "resolved")]);
}

#[test]
fn what_fastapis_handlers_ask_of_services_and_stores_is_below_their_requests() {
    let scene = Scene::receiving(Receiver::start(Protocol::Http));
    let (orders, postgres, redis) = (Node::orders(&scene, ""), Database::postgres(&scene), Database::redis(&scene));
    let hops_of_grpc = Python::teller(&scene, &orders.url(""));
    let has = [
        ("POSTGRES", postgres.port.to_string()),
        ("REDIS", redis.port.to_string()),
        ("GRPC", format!("127.0.0.1:{}", hops_of_grpc.port)),
    ];
    let stores = Hops::start(&scene, Server::Stores, &orders.url(""), &has);
    // What is sent together with another's call is sent by no task.
    let grpc = Asked { roots: true, ..all("/grpc/N", 1, "child_unit") };
    let redis = all("/redis/N", 2, "child_unit");
    let asked = [all("/order/N", 2, "exact"), all("/psycopg/N", 2, "exact"), redis, grpc];
    assert_linked(scene, stores.port, Server::Stores.service(), &asked);
}

#[test]
fn the_calls_of_an_event_loop_of_the_newest_cpython_are_below_their_requests() {
    let scene = Scene::receiving(Receiver::start(Protocol::Http));
    let orders = Node::orders(&scene, "");
    let plain = Hops::plain(&scene, orders.port);
    assert!(plain.program.log().starts_with("3.14."), "{}", plain.program.log());
    let (hop, parallel) = (all("/hop/N/0", 2, "exact"), all("/parallel/N/0", 2, "child_unit"));
    assert_linked(scene, plain.port, "plain_loop", &[hop, parallel, all("/queue/N/0", 1, "resolved")]);
}
