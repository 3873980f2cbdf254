//! The configuration file: one YAML mapping from option names to scalars or lists of scalars.
//!
//! The parser's events are enough, and better than a typed document: every scalar stays the text that the user wrote,
//! so a value means the same in a file as in a flag (no `no` that becomes *false*, no `0123` that becomes 83), and each
//! has its line for the error message. See `docs/decisions/003-yaml.md`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use wirespan_sampling::block::Node;

use super::block;
use super::error::{ConfigError, nearest};
use super::option::Kind;
use super::options::OPTIONS;

/// A value of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileValue {
    /// One per list item, or a single one.
    pub texts: Vec<String>,
    /// Line where the value begins, from 1.
    pub line: usize,
}

/// What a configuration file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileValues {
    /// The file.
    pub path: PathBuf,
    /// By option name.
    pub values: BTreeMap<&'static str, FileValue>,
}

/// Reads a configuration file's text. `path` is for messages only.
///
/// # Errors
/// When the text is no YAML, not a single mapping, or has a key that is unknown or twice there.
pub fn parse(path: &Path, text: &str) -> Result<FileValues, ConfigError> {
    let mut reader = Reader { path, events: Parser::new_from_str(text) };
    let values = reader.document()?;
    Ok(FileValues { path: path.to_path_buf(), values })
}

struct Reader<'a, I> {
    path: &'a Path,
    events: I,
}

impl<'input, I> Reader<'_, I>
where
    I: Iterator<Item = Result<(Event<'input>, Span), ScanError>>,
{
    fn document(&mut self) -> Result<BTreeMap<&'static str, FileValue>, ConfigError> {
        let mut values = BTreeMap::new();
        loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing, _) => {}
                (Event::StreamEnd, _) => return Ok(values),
                (Event::MappingStart(..), _) => self.mapping(&mut values)?,
                // An empty file, or one with comments only, says nothing.
                (Event::Scalar(text, ScalarStyle::Plain, ..), _) if text.is_empty() || text == "~" => {}
                (_, line) => return Err(self.syntax(line, "expected `option: value` lines")),
            }
        }
    }

    fn mapping(&mut self, values: &mut BTreeMap<&'static str, FileValue>) -> Result<(), ConfigError> {
        loop {
            let (key, line) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(()),
                (Event::Scalar(key, ..), line) => (key, line),
                (_, line) => return Err(self.syntax(line, "expected the name of an option")),
            };
            let Some(option) = OPTIONS.iter().find(|option| option.is_key(&key) && option.name != "config") else {
                return Err(self.unknown(&key, line));
            };
            let value = if option.kind == Kind::Block { self.block(&key)? } else { self.value(option.name)? };
            if values.contains_key(option.name) {
                return Err(self.syntax(line, &format!("`{key}` is there twice; keep one of them")));
            }
            if let Some(value) = value {
                if value.texts.len() != 1 && !option.kind.is_list() {
                    return Err(self.syntax(line, &format!("`{key}` takes one value, not a list")));
                }
                values.insert(option.name, value);
            }
        }
    }

    /// A scalar or a list of scalars; nothing (`key:` alone) leaves the option unset.
    fn value(&mut self, key: &str) -> Result<Option<FileValue>, ConfigError> {
        match self.next()? {
            (Event::Scalar(text, ScalarStyle::Plain, ..), _) if text.is_empty() || text == "~" => Ok(None),
            (Event::Scalar(text, ..), line) => Ok(Some(FileValue { texts: vec![text.into_owned()], line })),
            (Event::SequenceStart(..), line) => {
                let mut texts = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => return Ok(Some(FileValue { texts, line })),
                        (Event::Scalar(text, ..), _) => texts.push(text.into_owned()),
                        (_, line) => return Err(self.syntax(line, &format!("items of `{key}` are plain texts"))),
                    }
                }
            }
            (Event::MappingStart(..), line) => {
                Err(self.syntax(line, &format!("`{key}` takes a text or a list of texts, not a mapping; quote it")))
            }
            (_, line) => Err(self.syntax(line, &format!("`{key}` takes a text or a list of texts"))),
        }
    }

    /// A block, as one text; nothing (`key:` alone) leaves the option unset.
    fn block(&mut self, key: &str) -> Result<Option<FileValue>, ConfigError> {
        let (first, line) = self.next()?;
        let (mut failed, mut last) = (None, line);
        let mut next = || match self.next() {
            Ok((event, at)) => {
                last = at;
                Ok(event)
            }
            Err(error) => {
                failed = Some(error);
                Err(String::new())
            }
        };
        let node = block::node(first, &mut next, 0);
        match (node, failed) {
            (_, Some(error)) => Err(error),
            (Err(problem), None) => Err(self.syntax(last, &format!("`{key}`: {problem}"))),
            (Ok(Node::Nothing), None) => Ok(None),
            (Ok(node), None) => Ok(Some(FileValue { texts: vec![block::text(&node)], line })),
        }
    }

    fn next(&mut self) -> Result<(Event<'input>, usize), ConfigError> {
        match self.events.next() {
            Some(Ok((event, span))) => Ok((event, span.start.line())),
            Some(Err(error)) => {
                Err(self.syntax(error.marker().line(), &format!("this is not YAML: {}; correct it", error.info())))
            }
            None => Ok((Event::StreamEnd, 0)),
        }
    }

    fn syntax(&self, line: usize, problem: &str) -> ConfigError {
        ConfigError::Syntax { file: self.path.to_path_buf(), line, problem: problem.to_string() }
    }

    fn unknown(&self, key: &str, line: usize) -> ConfigError {
        let remedy = match nearest(key, OPTIONS.iter().map(|option| option.name)) {
            Some("config") | None => "`wirespan config` lists all options".to_string(),
            Some(near) => format!("did you mean `{near}`?"),
        };
        ConfigError::UnknownKey { file: self.path.to_path_buf(), line, key: key.to_string(), remedy }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<FileValues, String> {
        parse(Path::new("w.yaml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn scalars_and_lists_keep_the_text_and_the_line() {
        let file = read("# mine\ntrace-hold: 0300ms\ninclude:\n  - exe:*/nginx\n  - port:8080\nstats: no\n").unwrap();
        assert_eq!(file.values["trace-hold"], FileValue { texts: vec!["0300ms".into()], line: 2 });
        assert_eq!(file.values["include"].texts, ["exe:*/nginx", "port:8080"]);
        assert_eq!(file.values["stats"].texts, ["no"]);
    }

    #[test]
    fn an_empty_file_says_nothing() {
        for text in ["", "# nothing\n", "---\n", "include:\n"] {
            assert!(read(text).unwrap().values.is_empty(), "{text:?}");
        }
    }

    #[test]
    fn an_unknown_key_names_file_line_and_the_likely_key() {
        assert_eq!(
            read("stats: true\ntrace-hodl: 1s\n").unwrap_err(),
            "w.yaml:2: unknown key `trace-hodl`; did you mean `trace-hold`?"
        );
        assert_eq!(
            read("sampling-ratio: 1\n").unwrap_err(),
            "w.yaml:1: unknown key `sampling-ratio`; `wirespan config` lists all options"
        );
    }

    #[test]
    fn what_is_no_mapping_of_options_is_refused_with_its_line() {
        assert!(read("- a\n- b\n").unwrap_err().starts_with("w.yaml:1: expected"));
        assert!(read("stats: [1, 2]\n").unwrap_err().contains("takes one value"));
        assert!(read("stats: true\nstats: false\n").unwrap_err().contains("twice"));
        assert!(read("include: {exe: nginx}\n").unwrap_err().contains("not a mapping"));
        assert!(read("include: [\n").unwrap_err().contains("not YAML"));
    }
}
