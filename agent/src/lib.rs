//! The wirespan agent. `docs/architecture.md` shows how the parts fit.
//!
//! | module | what it is |
//! |---|---|
//! | [`config`] | one validated struct from flags, environment and YAML |
//! | [`discovery`] | which processes there are, what they are called, which are traced |
//! | [`span`] | what leaves the agent: spans, traces, resources |
//! | [`export`] | spans out: OTLP and the console |
//! | [`metrics`] | the agent's own counters |

pub mod bpf;
pub mod config;
pub mod discovery;
pub mod export;
pub mod metrics;
pub mod span;
