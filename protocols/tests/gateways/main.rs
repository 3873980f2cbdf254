//! The parsers of gateways' protocols, through their public face.

mod captures;
mod fastcgi;
#[path = "../http1/replay.rs"]
mod replay;
#[path = "../http1/wire.rs"]
mod wire;

use std::cell::Cell;

use wirespan_protocols::registry::{PROTOCOLS, Protocol};
use wirespan_protocols::{Parser, Settings};

thread_local! {
    /// What the present test is about.
    static PROTOCOL: Cell<&'static str> = const { Cell::new("fastcgi") };
}

/// A protocol by its name.
fn protocol(name: &str) -> &'static Protocol {
    PROTOCOLS.iter().find(|protocol| protocol.name == name).expect("it is in the registry")
}

/// A parser for what the present test is about.
fn parser(settings: Settings) -> Box<dyn Parser> {
    (protocol(PROTOCOL.get()).parser)(settings)
}
