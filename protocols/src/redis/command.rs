//! One command: what is read of it, and what its span says.

use std::borrow::Cow;

use opentelemetry_semantic_conventions::attribute as semconv;

use super::bulk::Bulk;
use super::messages::{MAX_KEY, MAX_MESSAGE};
use super::names::{self, MAX_NAME};
use crate::db::{Description, Failure, Request};
use crate::exchange::{Event, KeyValue, unknown};

/// Most of an argument that is kept to understand a command, bytes.
const SHORT: usize = 48;
/// Arguments that are kept to understand a command: `XREADGROUP GROUP g c COUNT 1 BLOCK`.
const FEW: usize = 7;
/// Most of an argument that is kept if arguments are wanted, bytes.
const LONG: usize = 1024;
/// Most of all arguments that is kept, bytes.
const MAX_KEPT: usize = 4096;
/// Most arguments that are shown.
const MAX_SHOWN: u64 = 32;
/// `wirespan.pipeline.size`: how many commands went out in one operation. The conventions' batch size is that of a span
/// for the whole batch, which this is not.
const PIPELINE_SIZE: &str = "wirespan.pipeline.size";

/// The arguments of the command in transfer.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    /// How many there will be.
    pub count: u64,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// Bytes of the present argument are hidden.
    hidden: bool,
    /// The last argument, if it may be a message of Celery's.
    message: Vec<u8>,
    /// It may.
    tapped: bool,
}

impl Arguments {
    /// Bytes held.
    pub(super) fn held(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<usize>() + self.message.capacity()
    }

    /// A new command of `count` arguments.
    pub(super) fn begin(&mut self, count: u64) {
        self.count = count;
        self.bytes.clear();
        self.ends.clear();
        self.hidden = false;
        self.message.clear();
        self.tapped = false;
        if self.held() > 1024 {
            *self = Self { count, ..Self::default() };
        }
    }

    /// More bytes of the present argument.
    pub(super) fn extend(&mut self, bytes: &[u8], long: bool) {
        let (most, args) = if long { (LONG, MAX_SHOWN as usize) } else { (SHORT, FEW) };
        // A key of Celery's results is a prefix and a UUID.
        let most = if self.ends.len() == 1 { most.max(MAX_KEY) } else { most };
        let have = self.bytes.len() - self.ends.last().copied().unwrap_or(0);
        if !self.hidden {
            self.tap(bytes, have == 0);
        }
        if self.ends.len() < args && !self.hidden {
            let room = most.saturating_sub(have).min(MAX_KEPT - self.bytes.len());
            self.bytes.extend_from_slice(&bytes[..room.min(bytes.len())]);
        }
    }

    /// Keeps the last argument of a command that Celery uses, if it begins as its messages do.
    fn tap(&mut self, bytes: &[u8], begins: bool) {
        if begins && self.ends.len() as u64 + 1 == self.count && bytes.first() == Some(&b'{') {
            self.tapped = names::may_carry_celery(self.get(0).unwrap_or_default(), self.count);
        }
        if self.tapped {
            self.message.extend_from_slice(&bytes[..bytes.len().min(MAX_MESSAGE - self.message.len())]);
        }
    }

    /// The last argument, as far as it was captured, if it may be a message of Celery's.
    pub(super) fn message(&self) -> Option<&[u8]> {
        self.tapped.then_some(&self.message)
    }

    /// Bytes of the present argument are hidden: a short one is unknown.
    pub(super) fn cut(&mut self) {
        let start = self.ends.last().copied().unwrap_or(0);
        let most = if self.ends.len() == 1 { MAX_KEY } else { SHORT };
        if self.bytes.len() - start < most {
            self.bytes.truncate(start);
        }
        self.hidden = true;
    }

    /// The present argument is complete.
    pub(super) fn end(&mut self) {
        self.hidden = false;
        if self.ends.len() < MAX_SHOWN as usize {
            self.ends.push(self.bytes.len());
        }
    }

    /// An argument, as far as it was kept.
    pub(super) fn get(&self, n: usize) -> Option<&[u8]> {
        let end = *self.ends.get(n)?;
        let start = n.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.bytes[start..end])
    }

    /// The argument is this word, in any case.
    pub(super) fn is(&self, n: usize, word: &[u8]) -> bool {
        self.get(n).is_some_and(|a| a.eq_ignore_ascii_case(word))
    }
}

/// What a response does to the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    #[default]
    None,
    /// `SELECT`: another database.
    Select(u32),
    /// `RESET`: as after connecting.
    Reset,
    /// `SUBSCRIBE` and the like: so many confirmations are to come.
    Subscribe { left: u64, name: Box<str> },
    /// `MONITOR`: lines of its own follow.
    Monitor,
    /// `PSYNC`, `SYNC`: a copy of the database follows, then commands from the server.
    Replicate,
    /// `EXEC`, which runs what was queued, and perhaps changed the database.
    Execute,
}

/// A command in flight.
#[derive(Debug)]
pub(super) struct Command {
    /// Empty if unknown.
    pub name: Cow<'static, str>,
    pub text: Cow<'static, str>,
    /// Name of a function, or digest of a script.
    procedure: Option<Box<str>>,
    /// Commands that `EXEC` runs.
    queued: u32,
    /// Commands in one operation.
    pub pipeline: u32,
    /// Database, once the answer came.
    pub namespace: Option<u32>,
    pub effect: Effect,
    /// Its reply may bring a message of Celery's.
    pub pops: bool,
    /// It waits until somebody brings something.
    waits: bool,
    /// What a result that it writes says of a task.
    pub outcome: Vec<KeyValue>,
    /// It is many.
    pub bulk: Option<Box<Bulk>>,
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

impl Command {
    pub(super) fn new(arguments: &Arguments, keep: bool) -> Self {
        let first = arguments.get(0).filter(|name| names::plausible(name)).unwrap_or_default();
        let mut buffer = [0; MAX_NAME];
        let capitals = names::capitals(first, &mut buffer);
        let second = arguments.get(1).and_then(|word| names::second(first, word));
        let spelt = names::spelt(first).filter(|_| second.is_none());
        let name: Cow<'static, str> = match (names::told(first), second) {
            (Some(first), Some(second)) => [first, " ", second].concat().into(),
            (told, _) => told.unwrap_or_default().into(),
        };
        let words = if second.is_some() { 2 } else { 1 };
        let script = matches!(capitals, b"EVALSHA" | b"EVALSHA_RO" | b"FCALL" | b"FCALL_RO");
        let digest = |p: &[u8]| p.len() == 40 && p.iter().all(u8::is_ascii_hexdigit);
        let sound = |p: &&[u8]| if capitals.starts_with(b"F") { names::plausible(p) } else { digest(p) };
        let procedure = arguments.get(1).filter(|_| script).filter(sound).map(|p| text(p).into());
        let secret = matches!(capitals, b"AUTH" | b"HELLO" | b"ACL" | b"CONFIG" | b"MIGRATE");
        let keep = keep && !secret;
        let make = || render(&name, words, arguments, keep);
        let masked = spelt.filter(|_| !keep).and_then(|(_, at)| names::masked(at, arguments.count, make));
        let text = masked.map_or_else(|| make().into(), Cow::Borrowed);
        let effect = effect(capitals, arguments);
        let pops = matches!(capitals, b"BRPOP" | b"BLPOP");
        Self {
            name,
            text,
            procedure,
            queued: 0,
            pipeline: 1,
            namespace: None,
            effect,
            pops,
            waits: waits(capitals, arguments),
            outcome: Vec::new(),
            bulk: None,
        }
    }

    /// Whether it may be one of many that are told as one: its reply is one, and brings nothing else.
    pub(super) fn may_be_among_many(&self) -> bool {
        !self.pops && matches!(self.effect, Effect::None | Effect::Select(_) | Effect::Reset)
    }

    /// `EXEC` runs so many.
    pub(super) fn runs(mut self, queued: u32) -> Self {
        self.queued = queued;
        self
    }
}

/// The command as one would type it: `SET ? ?`.
fn render(name: &str, words: u64, arguments: &Arguments, keep: bool) -> String {
    let mut out = String::with_capacity(name.len() + 2 * arguments.count.min(MAX_SHOWN) as usize + 4);
    out.push_str(if name.is_empty() { "?" } else { name });
    for n in words..arguments.count.min(MAX_SHOWN) {
        out.push(' ');
        match arguments.get(n as usize).filter(|_| keep) {
            Some(argument) => out.push_str(&text(argument)),
            None => out.push('?'),
        }
    }
    if arguments.count > MAX_SHOWN {
        out.push_str(" ...");
    }
    out
}

/// Whether a command waits for what others bring.
fn waits(name: &[u8], arguments: &Arguments) -> bool {
    match name {
        b"BLPOP" | b"BRPOP" | b"BLMOVE" | b"BRPOPLPUSH" | b"BLMPOP" | b"BZPOPMIN" | b"BZPOPMAX" | b"BZMPOP" => true,
        b"XREAD" | b"XREADGROUP" => (1..FEW).any(|n| arguments.is(n, b"BLOCK")),
        _ => false,
    }
}

fn effect(name: &[u8], arguments: &Arguments) -> Effect {
    match name {
        b"SELECT" => {
            let index = arguments.get(1).and_then(super::resp::number).and_then(|n| u32::try_from(n).ok());
            index.map_or(Effect::None, Effect::Select)
        }
        b"RESET" => Effect::Reset,
        b"MONITOR" => Effect::Monitor,
        b"EXEC" => Effect::Execute,
        b"SYNC" | b"PSYNC" => Effect::Replicate,
        b"SUBSCRIBE" | b"PSUBSCRIBE" | b"SSUBSCRIBE" | b"UNSUBSCRIBE" | b"PUNSUBSCRIBE" | b"SUNSUBSCRIBE" => {
            // Without channels, all are meant: at least one confirmation comes.
            let left = arguments.count.saturating_sub(1).max(1);
            Effect::Subscribe { left, name: text(name).to_ascii_lowercase().into() }
        }
        _ => Effect::None,
    }
}

impl Request for Command {
    fn weight(&self) -> usize {
        self.name.len()
            + self.text.len()
            + self.procedure.as_ref().map_or(0, |p| p.len())
            + 8
            + 256 * self.outcome.len()
            + self.bulk.as_ref().map_or(0, |bulk| bulk.held())
    }

    fn events(&mut self) -> Vec<Event> {
        let failures = self.bulk.as_mut().map(|bulk| std::mem::take(&mut bulk.failures));
        failures.unwrap_or_default().into_iter().map(Failure::event).collect()
    }

    fn waits(&self) -> bool {
        self.waits
    }

    /// The conventions leave the database out of the name, since it is a number.
    fn describe(mut self) -> (Cow<'static, str>, Vec<KeyValue>) {
        let mut described = Description { system: "redis", ..Description::default() };
        let mut hidden = [None; 2];
        if let Some(bulk) = self.bulk.take() {
            (self.pipeline, self.queued, self.procedure) = (1, 0, None);
            hidden = bulk.unknown();
            let (name, text, batch) = bulk.describe();
            (self.name, self.text) = (name, text.into());
            (described.operation, described.batch) = (Some("".into()), Some(batch));
        }
        let operation = Some(self.name).filter(|n| !n.is_empty());
        described.operation = operation.or(described.operation);
        described.text = Some(self.text).filter(|text| !text.is_empty());
        let (name, mut attributes) = described.render();
        attributes.extend(unknown(hidden));
        if let Some(namespace) = self.namespace {
            attributes.push(KeyValue::str(semconv::DB_NAMESPACE, namespace.to_string()));
        }
        if self.queued > 1 {
            attributes.push(KeyValue::int(semconv::DB_OPERATION_BATCH_SIZE, i64::from(self.queued)));
        }
        if self.pipeline > 1 {
            attributes.push(KeyValue::int(PIPELINE_SIZE, i64::from(self.pipeline)));
        }
        attributes.extend(self.outcome);
        let Some(procedure) = self.procedure.map(String::from) else { return (name, attributes) };
        let name = if procedure.len() == 40 { name } else { [&name, " ", procedure.as_str()].concat().into() };
        attributes.push(KeyValue::str(semconv::DB_STORED_PROCEDURE_NAME, procedure));
        (name, attributes)
    }
}
