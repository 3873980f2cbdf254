//! Options that are a block of YAML: `tail_sampling:` of the Collector. In the file it is written as it is there; in a flag or
//! a variable as YAML in one line, which is also how it is passed on and shown.

use std::fmt::Write as _;

use saphyr_parser::{Event, Parser, ScalarStyle};
use wirespan_sampling::block::Node;

/// How deep a block may be.
const DEPTH: usize = 32;

/// The node that begins with `first`. `next`: the event after it.
///
/// # Errors
/// What is wrong, or what `next` says is.
pub(super) fn node<'input>(
    first: Event<'input>,
    next: &mut dyn FnMut() -> Result<Event<'input>, String>,
    depth: usize,
) -> Result<Node, String> {
    if depth > DEPTH {
        return Err(format!("it is deeper than {DEPTH}; make it flatter"));
    }
    match first {
        Event::Scalar(text, ScalarStyle::Plain, ..) if matches!(text.as_ref(), "" | "~" | "null") => Ok(Node::Nothing),
        Event::Scalar(text, ..) => Ok(Node::Text(text.into_owned())),
        Event::SequenceStart(..) => {
            let mut items = Vec::new();
            loop {
                match next()? {
                    Event::SequenceEnd => return Ok(Node::List(items)),
                    event => items.push(node(event, next, depth + 1)?),
                }
            }
        }
        Event::MappingStart(..) => {
            let mut entries = Vec::new();
            loop {
                let key = match next()? {
                    Event::MappingEnd => return Ok(Node::Map(entries)),
                    Event::Scalar(key, ..) => key.into_owned(),
                    _ => return Err("a key is not a text; write `key: value`".to_owned()),
                };
                let event = next()?;
                entries.push((key, node(event, next, depth + 1)?));
            }
        }
        _ => Err("anchors and several documents are not understood; write the values out".to_owned()),
    }
}

/// A block that stands alone.
///
/// # Errors
/// If it is no YAML.
pub(super) fn parse(text: &str) -> Result<Node, String> {
    let mut events = Parser::new_from_str(text);
    let mut next = || match events.next() {
        Some(Ok((event, _))) => Ok(event),
        Some(Err(error)) => Err(format!("this is not YAML: {}; correct it", error.info())),
        None => Ok(Event::StreamEnd),
    };
    loop {
        match next()? {
            Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
            Event::StreamEnd | Event::DocumentEnd => return Ok(Node::Nothing),
            first => return node(first, &mut next, 0),
        }
    }
}

/// A block in one line.
pub(super) fn text(node: &Node) -> String {
    let mut out = String::new();
    write(node, &mut out);
    out
}

fn write(node: &Node, out: &mut String) {
    match node {
        Node::Nothing => out.push_str("null"),
        Node::Text(text) => quoted(text, out),
        Node::List(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                out.push_str(if n > 0 { ", " } else { "" });
                write(item, out);
            }
            out.push(']');
        }
        Node::Map(entries) => {
            out.push('{');
            for (n, (key, value)) in entries.iter().enumerate() {
                out.push_str(if n > 0 { ", " } else { "" });
                quoted(key, out);
                out.push_str(": ");
                write(value, out);
            }
            out.push('}');
        }
    }
}

/// A word as it is, anything else in quotes.
fn quoted(text: &str, out: &mut String) {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'.';
    if !text.is_empty() && text != "null" && text.bytes().all(plain) {
        out.push_str(text);
    } else {
        // (What JSON quotes, YAML reads.)
        let _ = write!(out, "{}", serde_json::Value::from(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_in_one_line_is_the_block() {
        let written = "decision_wait: 10s\npolicies:\n  - name: 'a: b'\n    type: latency\n    latency: {threshold_ms: 500}\n  - {name: \"null\", values: [x, \"\", 0123, no], none: }\n";
        let block = parse(written).unwrap();
        let line = text(&block);
        assert_eq!(parse(&line).unwrap(), block, "{line}");
        assert!(!line.contains('\n') && line.contains("threshold_ms: 500") && line.contains("0123"), "{line}");
    }

    #[test]
    fn what_is_no_block_is_refused() {
        assert!(parse("a: [").unwrap_err().contains("not YAML"));
        assert!(parse("a: &x 1\nb: *x\n").is_err());
        assert!(parse(&"[".repeat(1000)).is_err());
        assert_eq!(parse(""), Ok(Node::Nothing));
    }
}
