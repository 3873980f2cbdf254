//! Go programs however they are built, and with the HTTP/2 that does not come with Go: the calls of each are below their
//! requests.

use wirespan_tests::services::clients::{self, Build};

use crate::goroutines_calls::shapes_of;

#[test]
fn a_stripped_programs_calls_are_below_their_requests() {
    let start = |scene: &_, arguments: &[&str]| clients::start_built(scene, "relay.go", Build::Stripped, arguments);
    shapes_of(start, "h1", &[("chain", 8), ("queue", 4)], &[16]);
}

#[test]
fn the_calls_of_a_stripped_program_that_runs_at_any_address_are_below_their_requests() {
    let start =
        |scene: &_, arguments: &[&str]| clients::start_built(scene, "relay.go", Build::StrippedAnywhere, arguments);
    shapes_of(start, "h2", &[("chain", 8), ("queue", 4)], &[16]);
}

#[test]
fn calls_over_the_http2_of_another_module_are_below_their_requests() {
    let start = |scene: &_, arguments: &[&str]| clients::start(scene, "h2_relay.go", arguments);
    shapes_of(start, "h2", &[("chain", 8), ("queue", 4)], &[16]);
}
