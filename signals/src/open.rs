//! Requests that have been under way for a while, as whoever shows them reads them.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use wirespan_protocols::exchange::Asks;

use crate::{Resource, SpanKind};

/// A request is on the list once it has been under way for this long, nanoseconds.
pub const OPEN_AFTER: u64 = 5_000_000_000;

/// A request that has no end yet.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenSpan {
    /// When it began, Unix time, nanoseconds.
    pub start_unix_nano: u64,
    /// How long ago that was when the list was made, nanoseconds.
    pub age: u64,
    /// What the span would be called now; `None` if the protocol does not tell before the end.
    pub name: Option<Cow<'static, str>>,
    /// Kind.
    pub kind: SpanKind,
    /// The protocol, as in the registry.
    pub protocol: &'static str,
    /// The process.
    pub resource: Arc<Resource>,
    /// Address and port of the other end, unless that is a Unix socket.
    pub peer: Option<(IpAddr, u16)>,
    /// Its trace, if that is certain already: by the request's own context, or because a part of it was exported.
    pub trace_id: Option<[u8; 16]>,
    /// Its id, which it keeps.
    pub span_id: [u8; 8],
}

/// Requests that an HTTP server has under way.
#[derive(Clone, Debug, PartialEq)]
pub struct Active {
    /// The process.
    pub resource: Arc<Resource>,
    /// What they ask.
    pub asks: Asks,
    /// How many they are.
    pub count: u64,
}

/// The list at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OpenList {
    /// How many there are.
    pub total: usize,
    /// The longest of them, longest first.
    pub spans: Vec<OpenSpan>,
    /// All that HTTP servers have under way, for however short a time.
    pub active: Vec<Active>,
}

/// The newest list, shared.
#[derive(Debug, Default)]
pub struct OpenRequests(Mutex<Arc<OpenList>>);

impl OpenRequests {
    /// The list as of the last second.
    pub fn get(&self) -> Arc<OpenList> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the list.
    pub fn set(&self, list: OpenList) -> Arc<OpenList> {
        let list = Arc::new(list);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&list);
        list
    }
}
