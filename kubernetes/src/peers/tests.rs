//! Addresses that are given, taken back, and given to others.

use serde_json::json;

use super::*;
use crate::claims::{of_pod, of_service, of_slice, peer};
use crate::names::Wanted;
use crate::objects::{PodObject, ServiceObject, SliceObject};
use crate::pod::Pod;

const SECOND: u64 = 1_000_000_000;
const IP: &str = "10.1.2.3";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn followed() -> Peers {
    let mut peers = Peers::default();
    [Feed::Pods, Feed::Slices, Feed::Services].into_iter().for_each(|feed| peers.follows(feed));
    peers
}

/// A slice of the Service `cart` with one pod, which may have been told to end.
fn slice(pod: &str, address: &str, terminating: bool) -> SliceObject {
    serde_json::from_value(json!({
        "metadata": {"name": "cart-x", "namespace": "prod", "uid": "slice", "labels": {"kubernetes.io/service-name": "cart"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": !terminating, "terminating": terminating},
            "nodeName": "node-2", "targetRef": {"kind": "Pod", "namespace": "prod", "name": pod, "uid": pod}}],
    }))
    .unwrap()
}

fn pod(name: &str, more: serde_json::Value) -> PodObject {
    let mut object = json!({
        "metadata": {"name": name, "namespace": "prod", "uid": name,
            "ownerReferences": [{"kind": "StatefulSet", "name": "cart", "uid": "s", "controller": true}]},
        "spec": {"nodeName": "node-2", "containers": []},
        "status": {"phase": "Running", "podIPs": [{"ip": IP}], "hostIPs": [{"ip": "192.168.0.2"}]},
    });
    for (key, value) in more.as_object().unwrap() {
        for (inner, value) in value.as_object().unwrap() {
            object[key][inner] = value.clone();
        }
    }
    serde_json::from_value(object).unwrap()
}

fn learned(object: &PodObject) -> Option<Arc<Peer>> {
    Some(Arc::new(peer(object, Pod::of(object, |_| false).unwrap(), &Wanted::default()).unwrap()))
}

/// A pod of another node is there, and what it is was asked.
fn comes(peers: &mut Peers, name: &str, now: u64) {
    peers.put(Feed::Slices, "slice", of_slice(&slice(name, IP, false)), now);
    peers.learn(ip(IP), name, learned(&pod(name, json!({}))));
}

fn name(answer: Answer) -> Option<String> {
    match answer {
        Answer::Is(peer) => Some(peer.name.to_string()),
        _ => None,
    }
}

#[test]
fn a_pod_of_another_node_is_named_once_it_was_asked_about() {
    let mut peers = followed();
    peers.put(Feed::Slices, "slice", of_slice(&slice("cart-0", IP, false)), SECOND);
    let Answer::Ask(asked) = peers.who(ip(IP), 2 * SECOND) else { panic!("it is not asked about") };
    assert_eq!((&*asked.namespace, &*asked.name, &*asked.uid), ("prod", "cart-0", "cart-0"));
    peers.learn(ip(IP), "cart-0", learned(&pod("cart-0", json!({}))));
    let Answer::Is(peer) = peers.who(ip(IP), 2 * SECOND) else { panic!("it has no name") };
    assert_eq!((&*peer.service, &*peer.service_namespace, &*peer.node), ("cart", "prod", "node-2"));
    assert_eq!(peer.owner, Some(("StatefulSet", "cart".into())));
    assert_eq!(peers.who(ip("::ffff:10.1.2.3"), 2 * SECOND), Answer::Is(peer), "the same address in its other form");
    assert_eq!(peers.who(ip("10.1.2.4"), 2 * SECOND), Answer::Unknown);
}

#[test]
fn what_began_before_a_pod_had_its_address_is_not_its() {
    let mut peers = followed();
    comes(&mut peers, "cart-0", 5 * SECOND);
    assert_eq!(name(peers.who(ip(IP), 5 * SECOND - 1)), None);
    assert_eq!(name(peers.who(ip(IP), 5 * SECOND)).as_deref(), Some("cart-0"));
}

#[test]
fn an_address_that_is_used_again_names_nobody_for_a_while_and_then_the_next() {
    let mut peers = followed();
    comes(&mut peers, "cart-0", SECOND);
    // It is told to end: it may hand over its address any time from now on.
    peers.put(Feed::Slices, "slice", of_slice(&slice("cart-0", IP, true)), 100 * SECOND);
    assert_eq!(name(peers.who(ip(IP), 99 * SECOND)), None);
    comes(&mut peers, "cart-1", 103 * SECOND);
    for began in [99, 100, 101, 103, 109] {
        assert_eq!(name(peers.who(ip(IP), began * SECOND)), None, "{began}");
    }
    assert_eq!(name(peers.who(ip(IP), 110 * SECOND)).as_deref(), Some("cart-1"));
}

#[test]
fn an_address_that_two_pods_claim_is_nobodys_until_long_after_one_has_let_go() {
    let mut peers = followed();
    comes(&mut peers, "cart-0", SECOND);
    peers.put(Feed::Slices, "other", of_slice(&slice("cart-1", IP, false)), 50 * SECOND);
    peers.learn(ip(IP), "cart-1", learned(&pod("cart-1", json!({}))));
    assert_eq!(name(peers.who(ip(IP), 51 * SECOND)), None);
    peers.remove(Feed::Slices, "slice", 60 * SECOND);
    assert_eq!(name(peers.who(ip(IP), 69 * SECOND)), None);
    assert_eq!(name(peers.who(ip(IP), 70 * SECOND)).as_deref(), Some("cart-1"));
}

#[test]
fn a_pod_that_moves_from_one_slice_to_another_or_is_in_two_keeps_its_name() {
    let mut peers = followed();
    comes(&mut peers, "cart-0", SECOND);
    let claims = of_slice(&slice("cart-0", IP, false));
    peers.put(Feed::Slices, "second", claims.clone(), 10 * SECOND);
    peers.remove(Feed::Slices, "slice", 20 * SECOND);
    assert_eq!(name(peers.who(ip(IP), 15 * SECOND)).as_deref(), Some("cart-0"));
    peers.remove(Feed::Slices, "second", 30 * SECOND);
    assert_eq!(name(peers.who(ip(IP), 15 * SECOND)), None);
    peers.put(Feed::Slices, "third", claims, 31 * SECOND);
    assert_eq!(name(peers.who(ip(IP), 15 * SECOND)).as_deref(), Some("cart-0"));
}

#[test]
fn a_service_is_named_by_its_own_address() {
    let mut peers = followed();
    let service = |ips: serde_json::Value| -> ServiceObject {
        let object =
            json!({"metadata": {"name": "cart", "namespace": "prod", "uid": "v"}, "spec": {"clusterIPs": ips}});
        serde_json::from_value(object).unwrap()
    };
    peers.put(Feed::Services, "v", of_service(&service(json!(["10.96.0.7", "fd00::7"]))), SECOND);
    for address in ["10.96.0.7", "fd00::7"] {
        let Answer::Is(peer) = peers.who(ip(address), SECOND) else { panic!("{address}") };
        assert_eq!((peer.kind, &*peer.name, &*peer.service), (PeerKind::Service, "cart", "cart"));
    }
    peers.put(Feed::Services, "v", of_service(&service(json!(["None"]))), 2 * SECOND);
    assert_eq!(peers.who(ip("10.96.0.7"), SECOND), Answer::Unknown, "it has no address of its own any more");
}

#[test]
fn pods_with_their_nodes_network_are_their_node() {
    let mut peers = followed();
    let own = pod("cart-0", json!({}));
    peers.put(Feed::Pods, "cart-0", of_pod(&own), SECOND);
    let exporter =
        pod("exporter", json!({"spec": {"hostNetwork": true}, "status": {"podIPs": [{"ip": "192.168.0.2"}]}}));
    peers.put(Feed::Pods, "exporter", of_pod(&exporter), SECOND);
    for object in [&own, &exporter] {
        let uid = &*object.metadata.uid;
        peers.own(uid, Peer::clone(&learned(object).unwrap()));
    }
    // A Service with that pod says its address as any pod's.
    peers.put(Feed::Slices, "slice", of_slice(&slice("exporter", "192.168.0.2", false)), SECOND);
    let Answer::Is(node) = peers.who(ip("192.168.0.2"), SECOND) else { panic!("the node has no name") };
    assert_eq!((node.kind, &*node.name, &*node.service), (PeerKind::Node, "node-2", ""));
    assert_eq!(name(peers.who(ip(IP), SECOND)).as_deref(), Some("cart-0"), "a pod of this node needs no asking");
}

#[test]
fn what_has_ended_or_is_about_to_has_no_address() {
    let ending = json!({"metadata": {"deletionTimestamp": "2026-11-30T08:00:00Z"}});
    for more in [json!({"status": {"phase": "Succeeded"}}), json!({"status": {"phase": "Failed"}}), ending] {
        let claims = of_pod(&pod("cart-0", more));
        assert!(claims.iter().all(|(_, subject)| matches!(subject, Subject::Is(_))), "{claims:?}");
    }
}

#[test]
fn nobody_is_named_while_the_api_is_not_followed() {
    let mut peers = Peers::default();
    comes(&mut peers, "cart-0", SECOND);
    assert_eq!(peers.who(ip(IP), 2 * SECOND), Answer::Unknown, "a list that has not ended may have others");
    [Feed::Pods, Feed::Slices, Feed::Services].into_iter().for_each(|feed| peers.follows(feed));
    assert!(name(peers.who(ip(IP), 2 * SECOND)).is_some());
    peers.lost(Feed::Slices, 100 * SECOND);
    peers.lost(Feed::Slices, 200 * SECOND);
    assert!(name(peers.who(ip(IP), 105 * SECOND)).is_some(), "what began before is still told");
    assert_eq!(name(peers.who(ip(IP), 150 * SECOND)), None);
    peers.follows(Feed::Slices);
    assert!(name(peers.who(ip(IP), 150 * SECOND)).is_some(), "it was that pod's all the while");
}

#[test]
fn what_a_list_does_not_have_any_more_is_gone() {
    let mut peers = followed();
    comes(&mut peers, "cart-0", SECOND);
    peers.keep(Feed::Slices, &FxHashSet::from_iter(["slice".into()]), 2 * SECOND);
    assert!(name(peers.who(ip(IP), 2 * SECOND)).is_some());
    peers.keep(Feed::Slices, &FxHashSet::default(), 3 * SECOND);
    assert_eq!(peers.who(ip(IP), 2 * SECOND), Answer::Unknown);
}

#[test]
fn an_answer_about_a_pod_that_is_gone_is_not_kept() {
    let mut peers = followed();
    peers.put(Feed::Slices, "slice", of_slice(&slice("cart-0", IP, false)), SECOND);
    peers.remove(Feed::Slices, "slice", 2 * SECOND);
    peers.learn(ip(IP), "cart-0", learned(&pod("cart-0", json!({}))));
    peers.put(Feed::Slices, "x", Vec::new(), 100 * SECOND);
    assert_eq!((peers.bytes(), peers.len()), (0, 0), "everything is forgotten");
}

/// A slice with a hundred pods.
fn hundred(number: usize) -> SliceObject {
    let endpoint = |n: usize| {
        let (all, address) = (number * 100 + n, format!("10.{}.{}.{n}", number / 256, number % 256));
        json!({"addresses": [address], "conditions": {"ready": true}, "nodeName": format!("node-{}", all % 200),
            "targetRef": {"kind": "Pod", "namespace": "prod", "name": format!("cart-7d4b9c6f5-{all:05}"),
                "uid": format!("{all:08x}-0000-4000-8000-000000000000")}})
    };
    let endpoints: Vec<_> = (0..100).map(endpoint).collect();
    let object = json!({"metadata": {"uid": format!("s{number}"), "namespace": "prod"}, "endpoints": endpoints});
    serde_json::from_value(object).unwrap()
}

#[test]
fn five_thousand_pods_have_room_and_no_flood_takes_more_than_its_own() {
    let mut peers = followed();
    for number in 0..50 {
        peers.put(Feed::Slices, &format!("s{number}"), of_slice(&hundred(number)), SECOND);
    }
    assert_eq!((peers.len(), peers.refused()), (5000, 0));
    assert!(peers.bytes() < 5000 * 500, "{}", peers.bytes());
    for number in 50..450 {
        peers.put(Feed::Slices, &format!("s{number}"), of_slice(&hundred(number)), SECOND);
    }
    assert!(peers.refused() > 0 && peers.bytes() <= MAX_BYTES, "{} of {}", peers.refused(), peers.bytes());
    peers.keep(Feed::Slices, &FxHashSet::default(), 2 * SECOND);
    peers.put(Feed::Slices, "x", Vec::new(), 100 * SECOND);
    assert_eq!((peers.len(), peers.bytes()), (0, 0));
}

#[test]
fn more_ends_at_once_than_are_remembered_name_nobody_for_a_while() {
    let mut peers = followed();
    comes(&mut peers, "cart-0", SECOND);
    for turn in 0..2 * MAX_ENDED as u64 / 100 {
        peers.put(Feed::Slices, "flood", of_slice(&hundred(turn as usize % 2)), 50 * SECOND + turn);
    }
    assert!(peers.ended.len() <= MAX_ENDED + 200);
    assert_eq!(name(peers.who(ip(IP), 55 * SECOND)), None);
    assert_eq!(name(peers.who(ip(IP), 61 * SECOND)).as_deref(), Some("cart-0"));
}

/// Pods that come and go on few addresses, with an API that tells of everything late, by up to a second; each calls as soon as it
/// is there and until it ends, and each call is looked at half a second later.
#[test]
fn ten_thousand_pods_on_few_addresses_are_never_taken_for_one_another() {
    let (mut peers, mut state) = (followed(), 7_u64);
    // (Numerical Recipes' generator, its upper half.)
    let mut random = |range: std::ops::Range<u64>| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        range.start + (state >> 33) % (range.end - range.start)
    };
    let (mut right, mut none) = (0, 0);
    // What happens when: the true holder of an address, what the API tells, and calls.
    let mut events: Vec<(u64, u8, usize, usize)> = Vec::new();
    for address in 0..16 {
        let mut now = SECOND * (1 + random(0..30));
        for turn in 0..625 {
            let pod = address * 625 + turn;
            let (life, idle) = (SECOND * random(1..60), SECOND * random(2..20));
            events.push((now + random(0..1000) * SECOND / 1000, 0, address, pod));
            events.extend((0..4).map(|_| (now + random(0..life / 1000) * 1000, 2, address, pod)));
            // It is told to end, and lives on a little.
            events.push((now + life + random(0..1000) * SECOND / 1000, 1, address, pod));
            now += life + idle;
        }
    }
    let looks: Vec<_> =
        events.iter().filter(|event| event.1 == 2).map(|(at, _, a, p)| (at + SECOND / 2, 3, *a, *p, *at)).collect();
    let mut all: Vec<_> =
        events.iter().filter(|event| event.1 < 2).map(|(at, kind, a, p)| (*at, *kind, *a, *p, 0)).collect();
    all.extend(looks);
    all.sort_unstable();
    for (now, kind, address, pod_number, began) in all {
        let (uid, text) = (format!("p{pod_number}"), format!("10.9.0.{address}"));
        match kind {
            0 => {
                peers.put(Feed::Slices, &uid, of_slice(&slice(&uid, &text, false)), now);
                peers.learn(ip(&text), &uid, learned(&pod(&uid, json!({}))));
            }
            1 => peers.remove(Feed::Slices, &uid, now),
            _ => match name(peers.who(ip(&text), began)) {
                Some(name) => {
                    assert_eq!(name, uid);
                    right += 1;
                }
                None => none += 1,
            },
        }
    }
    assert_eq!(right + none, 40_000);
    assert!(right > 20_000, "{right} of 40 000 are named");
}
