//! Node: one thread, many requests, and each call below the request that it was made for.

use wirespan_tests::receiver::{Protocol, Receiver};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::databases::Database;
use wirespan_tests::services::node::Node;

use crate::crowds::{Asked, all, assert_linked};

/// What tells whose the calls are that a request's own code makes.
const OWN: &str = "async_id|turn";

/// And of calls for which others may have to be waited for.
const WAITED_FOR: &str = "async_id|turn|answer";

/// Where only what was answered tells it, for some or all: not before enough was answered.
const fn answered(path: &'static str, evidence: &'static str) -> Asked {
    Asked { roots: true, ..all(path, 1, evidence) }
}

fn assert_hops(server: &str, asked: &[Asked]) {
    let scene = Scene::receiving(Receiver::start(Protocol::Http));
    let leaf = Node::leaf(&scene);
    let hops = Node::hops(&scene, server, &leaf.url(""));
    assert_linked(scene, hops.port, server, asked);
}

#[test]
fn the_calls_of_handlers_of_nodes_http_are_below_their_requests() {
    let [kept, apart, fetch] = ["/kept/N/0", "/apart/N/0", "/fetch/N/0"].map(|path| all(path, 2, OWN));
    // (One in some hundred stays a root at 64 at a time.)
    let parallel = Asked { roots: true, ..all("/parallel/N/0", 2, OWN) };
    assert_hops("http", &[kept, apart, fetch, parallel]);
}

#[test]
fn what_handlers_of_node_do_behind_timers_and_queues_is_below_their_requests() {
    assert_hops("http", &[answered("/timer/N/0", "answer"), answered("/queue/N/0", WAITED_FOR)]);
}

#[test]
fn the_calls_of_expresss_handlers_are_below_their_requests() {
    assert_hops("express", &[all("/kept/N/0", 2, OWN), all("/fetch/N/0", 2, OWN)]);
}

#[test]
fn the_calls_of_fastifys_handlers_are_below_their_requests() {
    assert_hops("fastify", &[all("/kept/N/0", 2, OWN), all("/fetch/N/0", 2, OWN)]);
}

#[test]
fn the_calls_of_nests_controllers_are_below_their_requests() {
    assert_hops("nest", &[all("/kept/N/0", 2, OWN), all("/fetch/N/0", 2, OWN)]);
}

#[test]
fn what_handlers_of_node_ask_of_stores_is_below_their_requests() {
    let scene = Scene::receiving(Receiver::start(Protocol::Http));
    let (postgres, mariadb, redis) = (Database::postgres(&scene), Database::mariadb(&scene), Database::redis(&scene));
    let ports = [("POSTGRES", postgres.port), ("MARIADB", mariadb.port), ("REDIS", redis.port)];
    let stores = Node::stores(&scene, &ports.map(|(name, port)| (name, port.to_string())));
    let asked = [
        all("/pg/N", 2, OWN),
        answered("/few/N", WAITED_FOR),
        all("/mysql/N", 2, OWN),
        // (All requests ask on one connection, whose answers come together.)
        answered("/redis/N", WAITED_FOR),
    ];
    assert_linked(scene, stores.port, "stores", &asked);
}
