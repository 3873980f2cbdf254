//! (under construction)

pub mod otlp;
