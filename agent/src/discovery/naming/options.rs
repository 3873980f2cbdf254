//! Walking over a runtime's own options to the program that it runs.

/// How a runtime's options look.
pub(super) struct Options {
    /// Options whose value is the next argument: `-cp`, `--require`.
    pub with_value: &'static [&'static str],
    /// One-letter options, which may be bundled (`-uB`), whose value is the rest of the bundle or the next argument.
    pub letters_with_value: &'static str,
}

/// What stands where the options end.
#[derive(Debug, PartialEq)]
pub(super) enum Stop<'a> {
    /// The first argument that is no option, and all after it.
    Positional(&'a str, &'a [String]),
    /// The option that was asked for, with its value, and all after it.
    Option(&'a str, &'a str, &'a [String]),
    /// Only options.
    Nothing,
}

impl Options {
    /// Walks to the first argument that is no option, or to the first of the options `until` (`-m`, `-jar`).
    pub fn walk<'a>(&self, args: &'a [String], until: &[&'a str]) -> Stop<'a> {
        let mut at = 0;
        while let Some(arg) = args.get(at).map(String::as_str) {
            at += 1;
            let rest = args.get(at..).unwrap_or_default();
            if arg == "--" {
                return match rest.split_first() {
                    Some((first, rest)) => Stop::Positional(first, rest),
                    None => Stop::Nothing,
                };
            }
            if !arg.starts_with('-') || arg == "-" {
                return Stop::Positional(arg, rest);
            }
            if let Some(name) = until.iter().find(|name| arg == **name) {
                return match rest.split_first() {
                    Some((value, rest)) => Stop::Option(name, value, rest),
                    None => Stop::Option(name, "", rest),
                };
            }
            if let Some((name, value)) = arg.split_once('=')
                && let Some(name) = until.iter().find(|until| **until == name)
            {
                return Stop::Option(name, value, rest);
            }
            if self.with_value.contains(&arg) {
                at += 1;
            } else if let Some(found) = self.bundle(arg, rest, until) {
                match found {
                    Bundle::Stop(stop) => return stop,
                    Bundle::TakesNext => at += 1,
                }
            }
        }
        Stop::Nothing
    }

    /// Reads `-uB`, `-Wignore`, `-um module`.
    fn bundle<'a>(&self, arg: &'a str, rest: &'a [String], until: &[&'a str]) -> Option<Bundle<'a>> {
        if self.letters_with_value.is_empty() || arg.starts_with("--") {
            return None;
        }
        for (at, letter) in arg.char_indices().skip(1) {
            let tail = &arg[at + letter.len_utf8()..];
            if let Some(name) = until.iter().find(|name| name.len() == 2 && name.ends_with(letter)) {
                let (value, rest) = match (tail, rest.split_first()) {
                    ("", Some((value, rest))) => (value.as_str(), rest),
                    (tail, _) => (tail, rest),
                };
                return Some(Bundle::Stop(Stop::Option(name, value, rest)));
            }
            if self.letters_with_value.contains(letter) {
                return tail.is_empty().then_some(Bundle::TakesNext);
            }
        }
        None
    }
}

enum Bundle<'a> {
    Stop(Stop<'a>),
    TakesNext,
}

/// The value of an option anywhere in `args`: `-A x`, `--app x`, `--app=x`.
pub(super) fn value_of<'a>(args: &'a [String], names: &[&str]) -> Option<&'a str> {
    args.iter().enumerate().find_map(|(at, arg)| match arg.split_once('=') {
        Some((name, value)) if names.contains(&name) => Some(value),
        _ if names.contains(&arg.as_str()) => args.get(at + 1).map(String::as_str),
        _ => None,
    })
}
