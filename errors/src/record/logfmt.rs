//! A record in logfmt: `level=info msg="it is so" took=12ms`.

use super::{Field, Record};

/// Pairs that are looked at.
const MAX_PAIRS: usize = 256;

pub(super) fn parse(line: &str) -> Option<Record> {
    let line = line.trim();
    let mut record = Record::default();
    let mut rest = line;
    for _ in 0..MAX_PAIRS {
        let Some((name, value, behind)) = pair(rest) else { break };
        record.names(name, Field::Text(value));
        rest = behind;
    }
    // (Anything may have an equals sign in it: a level or a message has to be named as one, and nothing else may stand there.)
    let is_record = rest.is_empty() && (record.severity.is_some() || !record.message.is_empty());
    is_record.then(|| record.read(line))
}

/// The first pair, and what stands behind it.
fn pair(text: &str) -> Option<(&str, String, &str)> {
    let text = text.trim_start();
    let (name, rest) = text.split_once('=')?;
    let sound = |b: u8| b.is_ascii_alphanumeric() || b"_.-@/".contains(&b);
    if name.is_empty() || !name.bytes().all(sound) {
        return None;
    }
    let Some(quoted) = rest.strip_prefix('"') else {
        let (value, behind) = rest.split_once(' ').unwrap_or((rest, ""));
        return Some((name, value.to_owned(), behind.trim_start()));
    };
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in quoted.char_indices() {
        match c {
            _ if std::mem::take(&mut escaped) => value.push(match c {
                'n' => '\n',
                't' => '\t',
                c => c,
            }),
            '\\' => escaped = true,
            '"' => return Some((name, value, quoted[at + 1..].trim_start())),
            c => value.push(c),
        }
    }
    None
}
