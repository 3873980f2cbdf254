//! Tasks and results in Redis: kombu's virtual transport keeps queues in lists, the Redis backend keeps results in keys.
//!
//! | command | is |
//! |---|---|
//! | `LPUSH queue message` | a task that is sent |
//! | reply to `BRPOP queue… timeout`: `[queue, message]` | a task that is received |
//! | `SETEX celery-task-meta-<id> seconds result`, `SET celery-task-meta-<id> result` | a task that ended |
//! | `PUBLISH celery-task-meta-<id> result` | the same, for whoever waits |
//! | `HDEL unacked tag` | a task that is settled: kombu keeps what is not in a hash, by a tag in the message |

use std::borrow::Cow;

use super::json::{self, Member};
use super::result::{Outcome, outcome};
use super::task::{Headers, Task, Value, embedded};
use crate::context::{Carrier, TraceContext};

/// Before the task's id in the names of keys and channels.
const META: &[u8] = b"celery-task-meta-";
/// Priorities are lists of their own: `queue`, then this, then the priority (kombu, `priority_steps`).
const PRIORITY: &str = "\u{6}\u{16}";

/// A task's message in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued<'a> {
    /// The queue, without a priority.
    pub queue: Cow<'a, str>,
    /// The task.
    pub task: Task<'a>,
    /// What kombu remembers it by until it is settled.
    pub tag: Option<Cow<'a, str>>,
    /// The trace context in its headers: the sender's parent, the receiver's link.
    pub context: Option<TraceContext>,
    /// Whether its headers say that the trace is not recorded, without naming one.
    pub denied: bool,
}

/// What a command writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write<'a> {
    /// A task is sent: a PRODUCER span beside the command's own.
    Task(Queued<'a>),
    /// A task's state: attributes for the command's own span, and the end of the task's execution if it is final.
    Result {
        /// The task's id, from the key.
        task_id: Cow<'a, str>,
        /// State and exception.
        outcome: Outcome<'a>,
    },
}

/// What a command is to Celery, from its name, its key, and the first bytes of its last argument (as many as were
/// captured; the message's headers are behind its body, so arguments longer than the capture hide what it is).
pub fn write<'a>(command: &[u8], key: &'a [u8], value: &'a [u8]) -> Option<Write<'a>> {
    let is = |name: &[u8]| command.eq_ignore_ascii_case(name);
    if is(b"LPUSH") || is(b"RPUSH") {
        return queued(key, value).map(Write::Task);
    }
    if !(is(b"SETEX") || is(b"SET") || is(b"PUBLISH") || is(b"PSETEX")) {
        return None;
    }
    let id = key.strip_prefix(META).or_else(|| {
        // With a prefix of the application's own (`global_keyprefix`).
        let at = key.windows(META.len()).position(|w| w == META)?;
        Some(&key[at + META.len()..])
    })?;
    let task_id = std::str::from_utf8(id).ok().filter(|id| (1..=255).contains(&id.len()))?;
    Some(Write::Result { task_id: task_id.into(), outcome: outcome(value)? })
}

/// A task received: the two texts in the reply to `BRPOP` (or `BLPOP`): a CONSUMER span.
pub fn reply<'a>(queue: &'a [u8], message: &'a [u8]) -> Option<Queued<'a>> {
    queued(queue, message)
}

fn queued<'a>(list: &'a [u8], message: &'a [u8]) -> Option<Queued<'a>> {
    let (mut envelope, mut protocol1, mut carrier, mut tag) = (None, None, Carrier::default(), None);
    let mut encoded = false;
    json::members(message, |name, member| {
        match (name, member) {
            ("body", Member::Text(body)) => protocol1 = Some(body),
            ("headers", Member::Object(raw)) => envelope = Some(headers(raw, &mut carrier)),
            ("properties", Member::Object(raw)) => tag = delivery_tag(raw),
            ("content-type" | "content-encoding", Member::Text(_)) => encoded = true,
            _ => {}
        }
        true
    });
    let envelope = envelope.filter(|_| encoded)?;
    let task = envelope.task().or_else(|| protocol1.and_then(decoded))?;
    let queue = std::str::from_utf8(list).ok()?;
    let queue = queue.split(PRIORITY).next().unwrap_or(queue).into();
    let context = carrier.context();
    let denied = context.is_none() && carrier.denies_sampling();
    Some(Queued { queue, task, tag, context, denied })
}

/// The tag among a message's properties.
fn delivery_tag(properties: &[u8]) -> Option<Cow<'_, str>> {
    let mut tag = None;
    json::members(properties, |name, member| {
        if let ("delivery_tag", Value::Text(text)) = (name, member.value()) {
            tag = Some(text);
        }
        tag.is_none()
    });
    tag.filter(|tag| is_tag(tag.as_bytes()))
}

/// kombu's tags are UUIDs.
fn is_tag(text: &[u8]) -> bool {
    text.len() == 36 && text.iter().all(|b| b.is_ascii_hexdigit() || *b == b'-')
}

/// The tag of the task that a command settles, from its name and its second argument.
pub fn settled<'a>(command: &[u8], field: &'a [u8]) -> Option<&'a str> {
    let settles = command.eq_ignore_ascii_case(b"HDEL") && is_tag(field);
    std::str::from_utf8(field).ok().filter(|_| settles)
}

fn headers<'a>(raw: &'a [u8], carrier: &mut Carrier<'a>) -> Headers<'a> {
    let mut headers = Headers::default();
    json::members(raw, |name, member| {
        let context = matches!(member, Member::Text(value) if carrier.offer(name, value));
        if !context {
            headers.offer(name, member.value());
        }
        true
    });
    headers
}

/// The task in a body of protocol 1, which is JSON in base64.
fn decoded(body: &[u8]) -> Option<Task<'static>> {
    let body = base64(body)?;
    let task = embedded(&body)?;
    let owned = |text: Option<Cow<'_, str>>| text.map(|text| Cow::Owned(text.into_owned()));
    Some(Task {
        name: Cow::Owned(task.name.into_owned()),
        id: Cow::Owned(task.id.into_owned()),
        root_id: None,
        parent_id: None,
        retries: task.retries,
        eta: owned(task.eta),
        expires: owned(task.expires),
        origin: None,
        ignores_result: false,
        grouped: task.grouped,
    })
}

/// RFC 4648 §4, with padding.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        Some(match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        })
    };
    let text = text.trim_ascii_end();
    let text = text.strip_suffix(b"==").or(text.strip_suffix(b"=")).unwrap_or(text);
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for quartet in text.chunks(4) {
        let mut bits = 0u32;
        for byte in quartet {
            bits = bits << 6 | u32::from(digit(*byte)?);
        }
        bits <<= 6 * (4 - quartet.len());
        let whole = quartet.len() * 6 / 8;
        bytes.extend_from_slice(&bits.to_be_bytes()[1..1 + whole]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_with_and_without_padding() {
        let cases =
            [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYg==", "foob"), ("Zm9vYg", "foob")];
        for (text, bytes) in cases {
            assert_eq!(base64(text.as_bytes()).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        assert_eq!(base64(b"Zm9v!"), None);
    }
}
