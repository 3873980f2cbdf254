//! The assembled pipeline under hostile records: what `cargo xtask fuzz` found before (`agent/fuzz/corpus`), and some
//! thousand inputs of chance. `agent/fuzz` asks the same with a fuzzer that looks for new ways.

use std::path::Path;

mod captures;
mod choices;
mod heap;
mod ledger;
mod machine;
mod pipeline;

/// Inputs of chance.
const ROUNDS: u64 = 1500;

#[test]
fn the_corpus_breaks_nothing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/assembled");
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let (mut requests, mut spans) = (0, 0);
    for file in &files {
        println!("{}", file.display());
        let outcome = pipeline::run(&std::fs::read(file).unwrap());
        (requests, spans) = (requests + outcome.requests, spans + outcome.spans);
    }
    let seen = format!("{} files: {requests} requests, {spans} spans", files.len());
    println!("{seen}");
    assert!(files.len() >= 20 && requests > 150 && spans > 100, "{seen}");
}

#[test]
fn every_capture_alone_is_read_at_both_ends() {
    for (number, capture) in captures::all().iter().enumerate() {
        // Begin it, then go on six operations at a time.
        let rounds = capture.operations.len().div_ceil(6).min(150);
        let input = [&[0, 7, number as u8, 0][..], &vec![5; rounds], &[12, 30]].concat();
        let outcome = pipeline::run(&input);
        assert!(outcome.bytes > 0 && outcome.records >= 2, "{number}: {outcome:?}");
    }
}

#[test]
fn chance_breaks_nothing() {
    let mut most = pipeline::Outcome::default();
    let (mut requests, mut spans) = (0, 0);
    for seed in 0..ROUNDS {
        let mut random = fastrand::Rng::with_seed(seed);
        let input: Vec<u8> = (0..random.usize(1..600)).map(|_| random.u8(..)).collect();
        println!("seed {seed}");
        let outcome = pipeline::run(&input);
        (requests, spans) = (requests + outcome.requests, spans + outcome.spans);
        most.held = most.held.max(outcome.held);
        most.asked = most.asked.max(outcome.asked / (outcome.records + outcome.bytes / 64 + 1));
    }
    println!("{requests} requests, {spans} spans; held {} at most, asked for {} a record", most.held, most.asked);
    assert!(requests > 5 * ROUNDS && spans > ROUNDS, "{requests} requests, {spans} spans: little was tried");
}
