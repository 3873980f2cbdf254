//! The wirespan agent. `docs/architecture.md` shows how the parts fit.
//!
//! | module | what it is |
//! |---|---|
//! | [`cli`] | the command line |
//! | [`config`] | one validated struct from flags, environment and YAML |
//! | [`discovery`] | which processes there are, what they are called, which are traced |
//! | [`session`] | a running agent, from start to stop |
//! | [`run`], [`doctor`] | the commands |
//! | [`client`] | the commands that ask a running agent |
//! | [`top`] | services and operations in a table |
//! | [`demo`] | a small shop of real processes |
//! | [`span`] | what leaves the agent: spans, traces, resources (crate `wirespan-signals`) |
//! | [`bpf`] | kernel programs: load, attach, read |
//! | [`stages`] | records into signals: discovery and connections, put together |
//! | [`units`] | where the units of traced programs' runtimes are |
//! | [`connections`] | records into exchanges |
//! | `overheard` | connections that are not traced, read for whether telemetry is exported by them |
//! | [`traces`] | exchanges into traces: every link is made there (crate `wirespan-links`) |
//! | [`clock`] | the kernel's time and Unix time |
//! | [`operations`] | names of operations, learnt by service |
//! | [`inventory`] | which processes there are, for who asks |
//! | [`kubernetes`] | what the Kubernetes API says of this node's pods |
//! | [`containers`] | what container runtimes say of containers, where they may be asked |
//! | [`pipeline`] | wires the stages |
//! | [`export`] | spans out: OTLP and the console |
//! | [`ingest`] | OTLP in: spans that applications make themselves |
//! | [`memory`] | one bound on all that grows with what arrives |
//! | [`sandbox`] | what the agent gives up once it traces |
//! | [`metrics`] | the agent's own counters |

pub mod bpf;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connections;
pub mod containers;
pub mod demo;
pub mod discovery;
pub mod doctor;
pub mod export;
pub mod ingest;
pub mod inventory;
pub mod kubernetes;
pub mod lines;
pub mod losses;
pub mod memory;
pub mod metrics;
pub mod operations;
mod overheard;
pub mod pipeline;
pub mod remarks;
pub mod run;
pub mod sandbox;
pub mod session;
pub mod stages;
pub mod tls;
pub mod top;
pub mod units;

pub use wirespan_delivery::vital;
pub use wirespan_links as traces;
pub use wirespan_signals as span;
pub use wirespan_view::{client, store, web};
