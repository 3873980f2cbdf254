//! The assembled pipeline under records that a fuzzer chooses: `agent/tests/assembled` says how an input becomes records
//! and what must hold.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/assembled/captures.rs"]
mod captures;
#[path = "../../tests/assembled/choices.rs"]
mod choices;
#[path = "../../tests/assembled/heap.rs"]
mod heap;
#[path = "../../tests/assembled/ledger.rs"]
mod ledger;
#[path = "../../tests/assembled/machine.rs"]
mod machine;
#[path = "../../tests/assembled/pipeline.rs"]
mod pipeline;

fuzz_target!(|input: &[u8]| {
    pipeline::run(input);
});
