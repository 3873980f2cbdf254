//! A span as it must arrive, with its children: what tests write down.

use std::collections::BTreeMap;
use std::fmt;

use crate::span::{Kind, Span, Status, Value};

/// Says how a link was inferred that is not exact.
const EVIDENCE: &str = "wirespan.link.evidence";
/// What links of threads rest on that are promised all the same.
const OF_THREADS: [&str; 2] = ["same_thread", "one_shot"];
/// Times are told in microseconds, and rounded one by one.
const ROUNDED: f64 = 2e-6;

/// A time that an attribute tells.
fn seconds(value: &Value) -> Option<f64> {
    match value {
        Value::Double(seconds) => Some(*seconds).filter(|seconds| *seconds >= 0.0),
        _ => None,
    }
}

/// What an attribute must be.
#[derive(Clone, Debug)]
pub enum Want {
    /// Exactly this.
    Is(Value),
    /// Present; the value differs from run to run.
    Any,
    /// A port that the kernel chose.
    Port,
    /// A text that begins with this.
    Prefix(String),
    /// There or not, whatever it is.
    Optional,
}

impl Want {
    /// Whether `value` will do.
    pub fn accepts(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Is(wanted), actual) => wanted == actual,
            (Self::Any | Self::Optional, _) => true,
            (Self::Port, Value::Int(port)) => (1..=65535).contains(port),
            (Self::Prefix(prefix), Value::Str(text)) => text.starts_with(prefix.as_str()),
            _ => false,
        }
    }
}

impl From<&str> for Want {
    fn from(text: &str) -> Self {
        Self::Is(Value::Str(text.to_owned()))
    }
}

impl From<String> for Want {
    fn from(text: String) -> Self {
        Self::Is(Value::Str(text))
    }
}

impl From<i64> for Want {
    fn from(number: i64) -> Self {
        Self::Is(Value::Int(number))
    }
}

impl From<u16> for Want {
    fn from(number: u16) -> Self {
        Self::Is(Value::Int(number.into()))
    }
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(value) => value.fmt(f),
            Self::Any => f.write_str("<any>"),
            Self::Port => f.write_str("<port>"),
            Self::Prefix(prefix) => write!(f, "{prefix:?}…"),
            Self::Optional => f.write_str("<any or none>"),
        }
    }
}

/// What the root of an expected trace has above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Above {
    /// Nothing: a trace begins here.
    Nothing,
    /// The span that the request itself names: its trace and span id, hexadecimal.
    Context {
        /// Trace id.
        trace_id: String,
        /// Span id.
        span_id: String,
    },
}

/// A span that must arrive, and everything below it. What is not listed must not be there.
#[derive(Clone, Debug)]
pub struct Expected {
    /// `service.name`.
    pub service: String,
    /// Kind.
    pub kind: Kind,
    /// Span name.
    pub name: String,
    /// Status.
    pub status: Status,
    /// All attributes of the span.
    pub attributes: BTreeMap<String, Want>,
    /// Some attributes of the resource.
    pub resource: BTreeMap<String, Want>,
    /// `tracestate`.
    pub trace_state: String,
    /// What is above it, when it is a root.
    pub above: Above,
    /// All its children, in any order.
    pub children: Vec<Expected>,
}

impl Expected {
    /// A root span without attributes.
    pub fn new(service: &str, kind: Kind, name: &str) -> Self {
        Self {
            service: service.to_owned(),
            kind,
            name: name.to_owned(),
            status: Status::Unset,
            attributes: BTreeMap::new(),
            resource: BTreeMap::new(),
            trace_state: String::new(),
            above: Above::Nothing,
            children: Vec::new(),
        }
    }

    /// With another name.
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// With an attribute, in place of what was said of it before.
    pub fn with(mut self, key: &str, want: impl Into<Want>) -> Self {
        self.attributes.insert(key.to_owned(), want.into());
        self
    }

    /// Without an attribute.
    pub fn without(mut self, key: &str) -> Self {
        self.attributes.remove(key);
        self
    }

    /// With a resource attribute.
    pub fn resource(mut self, key: &str, want: impl Into<Want>) -> Self {
        self.resource.insert(key.to_owned(), want.into());
        self
    }

    /// Failed, for the reason that `error.type` names.
    pub fn failed(mut self, error_type: &str) -> Self {
        self.status = Status::Error;
        self.with("error.type", error_type)
    }

    /// Below a span that the request itself names.
    pub fn below(mut self, trace_id: &str, span_id: &str) -> Self {
        self.above = Above::Context { trace_id: trace_id.to_owned(), span_id: span_id.to_owned() };
        self
    }

    /// With a `tracestate`, on this span and on all below.
    pub fn state(mut self, trace_state: &str) -> Self {
        trace_state.clone_into(&mut self.trace_state);
        self.children = self.children.into_iter().map(|child| child.state(trace_state)).collect();
        self
    }

    /// With a child.
    pub fn child(mut self, child: Expected) -> Self {
        self.children.push(child);
        self
    }

    /// Whether its place is inferred, and so not promised (`docs/links.md`).
    fn is_inferred(&self) -> bool {
        self.attributes.contains_key(EVIDENCE)
    }

    /// The traces that this one may arrive as, with those that come apart from it where a link is inferred: such a link is
    /// made if nothing speaks against it, and a thread that slept in between does. The whole comes first.
    pub fn variants(&self) -> Vec<(Expected, Vec<Expected>)> {
        let mut found = vec![(Expected { children: Vec::new(), ..self.clone() }, Vec::new())];
        for child in &self.children {
            let mut with_child = Vec::new();
            for (tree, apart) in &found {
                for (below, further) in child.variants() {
                    let apart: Vec<_> = apart.iter().cloned().chain(further).collect();
                    if child.is_inferred() {
                        let alone = below.clone().without(EVIDENCE);
                        with_child.push((tree.clone(), apart.iter().cloned().chain([alone]).collect()));
                    }
                    with_child.push((tree.clone().child(below), apart));
                }
            }
            found = with_child;
        }
        found.sort_by_key(|(_, apart)| apart.len());
        found
    }

    /// Number of spans in the tree.
    pub fn size(&self) -> usize {
        1 + self.children.iter().map(Expected::size).sum::<usize>()
    }

    /// What is wrong with `span`, children and parent apart; one line each.
    pub fn differences(&self, span: &Span) -> Vec<String> {
        let mut found = Vec::new();
        let mut check = |what: &str, wanted: &dyn fmt::Debug, actual: &dyn fmt::Debug| {
            let (wanted, actual) = (format!("{wanted:?}"), format!("{actual:?}"));
            if wanted != actual {
                found.push(format!("{what} is {actual}, not {wanted}"));
            }
        };
        check("service.name", &self.service.as_str(), &span.service());
        check("kind", &self.kind, &span.kind);
        check("name", &self.name, &span.name);
        check("status", &self.status, &span.status);
        check("tracestate", &self.trace_state, &span.trace_state);
        if span.end < span.start {
            found.push(format!("it ends {} ns before it starts", span.start - span.end));
        }
        for (key, want) in &self.attributes {
            match span.attributes.get(key) {
                Some(value) if want.accepts(value) => {}
                Some(value) => found.push(format!("{key} is {value}, not {want}")),
                None if matches!(want, Want::Optional) => {}
                None => found.push(format!("{key} is missing, not {want}")),
            }
        }
        // Whether a root's process is known to serve, so that a link is missing at all, is no test's subject by the way. Nor is
        // whether a thread's process has others too, nor what took how long, as long as it can be so.
        let by_the_way = |key: &str, value: &Value| match key {
            "wirespan.link.missing" => span.parent.is_empty(),
            EVIDENCE => OF_THREADS.iter().any(|of_threads| *value == Value::Str((*of_threads).to_owned())),
            "wirespan.time.coverage" => true,
            "wirespan.time.cpu" | "wirespan.time.runqueue" | "wirespan.time.blocked" => {
                seconds(value).is_some_and(|told| told <= span.millis() / 1e3 + ROUNDED)
            }
            // (The machine may have other work.)
            "wirespan.finding.run_queue" => true,
            "wirespan.findings" => *value == Value::Array(vec![Value::Str("run_queue".to_owned())]),
            "wirespan.connect.time" => span.kind == Kind::Client && seconds(value).is_some_and(|told| told >= 0.0),
            _ => false,
        };
        let unknown = |(key, value): &(&String, &Value)| !self.attributes.contains_key(*key) && !by_the_way(key, value);
        let others = span.attributes.iter().filter(unknown);
        for (key, value) in others {
            found.push(format!("{key} = {value} was not expected"));
        }
        for (key, want) in &self.resource {
            match span.resource.get(key) {
                Some(value) if want.accepts(value) => {}
                other => found.push(format!("resource {key} is {other:?}, not {want}")),
            }
        }
        found
    }
}
