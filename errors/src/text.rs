//! Words, names and places in lines.

/// What is called, in a line of a stack trace that says so after `at `, as several languages do.
pub fn called_at(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("at ").filter(|_| line.starts_with([' ', '\t']))
}

/// A line without the sequences that colour it.
pub fn without_colours(line: &str) -> std::borrow::Cow<'_, str> {
    if !line.contains('\u{1b}') {
        return line.into();
    }
    let mut clean = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, sequence)) = rest.split_once('\u{1b}') {
        clean.push_str(before);
        rest = match sequence.strip_prefix('[') {
            Some(codes) => {
                let mut rest = codes.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').chars();
                rest.next();
                rest.as_str()
            }
            None => sequence,
        };
    }
    clean.push_str(rest);
    clean.into()
}

/// Whether this is a name with dots (or `::`, or backslashes) between its parts.
pub fn is_qualified(text: &str) -> bool {
    let sound = |c: char| c.is_alphanumeric() || "_$.:\\<>".contains(c);
    text.starts_with(|c: char| c.is_alphabetic() || c == '_') && text.len() <= 256 && text.chars().all(sound)
}

/// `Type: message`, or `Type` alone. The type may be anything that is a name.
pub fn kind_and_message(line: &str) -> Option<(&str, &str)> {
    let (kind, message) = match line.find(": ") {
        Some(at) => (&line[..at], &line[at + 2..]),
        None => (line.strip_suffix(':').unwrap_or(line), ""),
    };
    is_qualified(kind).then_some((kind, message))
}

/// The same, behind whatever a logger puts before it: the first place at which such a type begins that `is_kind` accepts.
pub fn kind_within(line: &str, is_kind: impl Fn(&str) -> bool) -> Option<(&str, &str)> {
    let mut at = 0;
    // (Each word is looked at once.)
    loop {
        let rest = &line[at..];
        let word = rest.split(char::is_whitespace).next().unwrap_or_default();
        let name = word.strip_suffix(':').unwrap_or(word);
        let says = name.len() < word.len();
        if is_qualified(name) && is_kind(name) && (says || at + word.len() == line.len()) {
            return Some((name, rest[word.len()..].trim_start()));
        }
        at += word.len();
        at += line[at..].chars().next()?.len_utf8();
    }
}

/// The last part of a name.
pub fn last_part(name: &str) -> &str {
    name.rsplit(['.', ':', '\\', '$']).next().unwrap_or(name)
}

/// Whether a name is one that exceptions have.
pub fn is_exceptions(name: &str) -> bool {
    let last = last_part(name);
    last.starts_with(char::is_uppercase)
        && ["Exception", "Error", "Throwable", "Failure", "Err", "Fault"].iter().any(|end| last.ends_with(end))
}

/// `file:12` or `file:12:3`: what stands before the numbers.
pub fn before_numbers(text: &str) -> Option<&str> {
    let (rest, last) = text.rsplit_once(':')?;
    if last.is_empty() || !last.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match rest.rsplit_once(':') {
        Some((file, line)) if !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit()) => Some(file),
        _ => Some(rest),
    }
}

/// Words by which loggers call levels.
const LEVELS: [&str; 14] = [
    "TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "WARNING", "ERROR", "CRITICAL", "FATAL", "SEVERE", "ERR", "CRIT",
    "PANIC", "ALERT",
];

/// Whether a line looks like the beginning of a record: a time, a level, an address, JSON, `key=value`.
pub fn is_record(line: &str) -> bool {
    let line = line.trim_start_matches(['[', '<', '(']);
    if line.starts_with(|c: char| c.is_ascii_digit() || c == '{') {
        return true;
    }
    let word = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
    let level = |level: &str| word.eq_ignore_ascii_case(level);
    let named = !word.is_empty() && line[word.len()..].starts_with('=');
    named || (LEVELS.iter().any(|l| level(l)) && line[word.len()..].starts_with([':', ' ', ']', '\t', '|', '-']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_found_behind_what_a_logger_says_before_it() {
        let line = "2026-11-30 09:12:17.512 ERROR 12 --- [nio-1] c.e.Shop : a.b.OrderException: no such order";
        assert_eq!(kind_within(line, is_exceptions), Some(("a.b.OrderException", "no such order")));
        assert_eq!(
            kind_within("java.lang.NullPointerException", is_exceptions),
            Some(("java.lang.NullPointerException", ""))
        );
        assert_eq!(kind_within("an Error in it", is_exceptions), None);
        assert_eq!(kind_within("", is_exceptions), None);
    }

    #[test]
    fn records_begin_with_a_time_a_level_an_address_or_a_key() {
        for line in [
            "2026-11-30 x",
            "[09:12] x",
            "INFO: x",
            "[ERROR] x",
            "warn x",
            "127.0.0.1 - - x",
            "{\"a\":1}",
            "level=info x",
        ] {
            assert!(is_record(line), "{line}");
        }
        for line in ["", "and more of the message", "Errors are many", "DETAIL:  Key (a)=(b)"] {
            assert!(!is_record(line), "{line}");
        }
    }

    #[test]
    fn colours_are_no_part_of_what_is_said() {
        assert_eq!(without_colours("\u{1b}[31;1mE\u{1b}[0m x\u{1b}"), "E x");
        assert_eq!(without_colours("\u{1b}["), "");
        assert_eq!(without_colours("a\u{1b}[1é b"), "a b");
    }
}
