//! What the end-to-end tests stand on: the real agent, real programs, an OTLP receiver, and a language for traces.
//!
//! A test builds a [`scene::Scene`], starts [`services`], makes requests, and says which traces must have arrived and
//! that no other did.
//!
//! | module | what it is |
//! |---|---|
//! | [`scene`] | one test: the receiver, the agent, and which spans are this test's own |
//! | [`agent`] | the agent's process: start, wait until it traces, stop, counters |
//! | [`receiver`] | OTLP over gRPC and HTTP, inside the test |
//! | [`span`], [`log`] | a span, and a record of a log, as they arrived |
//! | [`expect`] | a span, and a tree of them, as it must arrive |
//! | [`http`], [`grpc`] | the OpenTelemetry conventions of HTTP and gRPC in terms of [`expect`] |
//! | [`db`] | the same for calls of databases |
//! | [`trace`] | compares the two, and prints both |
//! | [`tmux`] | a program in a real terminal |
//! | [`view`] | the agent's local view, asked by curl |
//! | [`kubernetes`] | control groups of pods, and a server that tells of pods |
//! | [`known`] | programs that are asked until the agent knows them |
//! | [`program`] | a process that a test started, with its log, ended by pid |
//! | [`browser`] | the agent's page in Chromium, driven by `tests/browser` |
//! | [`services`] | nginx, gunicorn, Node, PHP, Java, Python, databases, brokers, started as shipped with a generated configuration |
//! | [`services`] | nginx, gunicorn, Node, PHP, Java, Python, databases, brokers, started as shipped with a generated configuration; clients of databases |
//! | [`curl`], [`raw`] | the requesters: a real client, and bytes written by the test |
//! | [`python`], [`node_modules`] | what the tests need from PyPI and from npm |
#![forbid(unsafe_code)]

pub mod agent;
pub mod browser;
pub mod curl;
pub mod db;
pub mod expect;
pub mod grpc;
pub mod http;
pub mod known;
pub mod kubernetes;
pub mod log;
pub mod node_modules;
pub mod program;
pub mod python;
pub mod raw;
pub mod receiver;
pub mod scene;
pub mod services;
pub mod span;
pub mod tmux;
pub mod trace;
pub mod view;
pub mod wait;
