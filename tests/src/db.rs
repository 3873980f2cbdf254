//! What a call of a database must look like, by the OpenTelemetry semantic conventions (stable, database spans).

use crate::expect::{Expected, Want};
use crate::span::{Kind, Status};

/// A database as spans name it.
#[derive(Clone, Copy, Debug)]
pub struct Database<'a> {
    /// The calling service.
    pub caller: &'a str,
    /// The database's own service.
    pub service: &'a str,
    /// `db.system.name`.
    pub system: &'a str,
    /// `db.namespace`, if the connection's beginning was seen.
    pub namespace: Option<&'a str>,
    /// Where it listens.
    pub port: u16,
}

impl Database<'_> {
    /// A statement of SQL, whose span is called as its summary: the caller's span with the database's below.
    pub fn sql(&self, summary: &str, text: &str) -> Expected {
        self.both(summary, &[("db.query.summary", summary), ("db.query.text", text)])
    }

    /// A call whose operation the protocol itself names: the caller's span with the database's below.
    pub fn operation(&self, name: &str, operation: &str, text: Option<&str>) -> Expected {
        let text = text.map(|text| ("db.query.text", text));
        let attributes: Vec<_> = [("db.operation.name", operation)].into_iter().chain(text).collect();
        self.both(name, &attributes)
    }

    /// A call of an operation that nobody knows, which therefore has no name.
    pub fn unnamed(&self, text: &str) -> Expected {
        self.both(self.system, &[("db.query.text", text)])
    }

    fn both(&self, name: &str, attributes: &[(&str, &str)]) -> Expected {
        let callee = self.end(self.service, Kind::Server, name, attributes).with("network.peer.port", Want::Port);
        let callee = callee.with("client.address", "127.0.0.1");
        self.end(self.caller, Kind::Client, name, attributes).with("network.peer.port", self.port).child(callee)
    }

    fn end(&self, service: &str, kind: Kind, name: &str, attributes: &[(&str, &str)]) -> Expected {
        let mut span = Expected::new(service, kind, name).with("db.system.name", self.system);
        for (key, value) in attributes {
            span = span.with(key, *value);
        }
        if let Some(namespace) = self.namespace {
            span = span.with("db.namespace", namespace);
        }
        span.with("network.peer.address", "127.0.0.1")
            .with("server.address", "127.0.0.1")
            .with("server.port", self.port)
    }
}

/// What deviates from the usual, at both ends.
pub trait Deviation {
    /// With another attribute.
    fn both(self, key: &str, want: impl Into<Want>) -> Self;
    /// Refused by this code of the database.
    fn refused(self, code: &str) -> Self;
}

impl Deviation for Expected {
    fn both(mut self, key: &str, want: impl Into<Want>) -> Self {
        let want = want.into();
        self.children = self.children.into_iter().map(|child| child.both(key, want.clone())).collect();
        self.with(key, want)
    }

    fn refused(mut self, code: &str) -> Self {
        self.children = self.children.into_iter().map(|child| child.refused(code)).collect();
        self.status = Status::Error;
        self.with("error.type", code).with("db.response.status_code", code)
    }
}
