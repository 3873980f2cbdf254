//! The end-to-end tests: one module per subject. The agent is one for the whole machine, so a scene waits for its turn.

mod bad_input;
mod chain;
mod connections;
mod console;
mod context;
mod databases;
mod dns;
mod doctor;
mod endings;
mod grpc;
mod grpc_handlers;
mod grpc_stacks;
mod hostile;
mod http2;
mod http2_violations;
mod load;
mod messages;
mod names;
mod operations;
mod outage;
mod receivers;
mod responses;
mod selection;
mod services;
mod sockets;
mod units;
