//! What an option is.

/// How names of environment variables begin.
pub const PREFIX: &str = "WIRESPAN_";

/// What an option's text must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`; a flag alone means `true`.
    Switch,
    /// A whole number between two limits.
    Count(u64, u64),
    /// Bytes between two limits; `KiB`, `MiB` and `GiB` may follow the number.
    Size(u64, u64),
    /// Milliseconds between two limits; `ms`, `s`, `m` or `h` may follow the number, which means milliseconds alone.
    Time(u64, u64),
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// Any text.
    Text,
    /// Rules that choose processes, see [`super::rule`].
    Rules,
    /// Names, each with or without a rule in front.
    Names,
    /// A block of YAML, which the file may spell over several lines.
    Block,
    /// Several texts.
    Words,
    /// Rules that say which attributes to take from where, see [`wirespan_protocols::rules`].
    Attributes,
}

impl Kind {
    /// Whether several values may be given.
    pub fn is_list(self) -> bool {
        matches!(self, Self::Rules | Self::Names | Self::Words | Self::Attributes)
    }

    /// The word that stands for a value in help texts.
    pub fn placeholder(self) -> &'static str {
        match self {
            Self::Switch => "BOOL",
            Self::Count(..) => "N",
            Self::Size(..) => "SIZE",
            Self::Time(..) => "TIME",
            Self::Choice(_) => "WORD",
            Self::Text | Self::Words => "TEXT",
            Self::Rules => "RULE",
            Self::Names => "RULE=NAME",
            Self::Block => "YAML",
            Self::Attributes => "NAME = SOURCE",
        }
    }
}

/// One option.
#[derive(Debug, PartialEq)]
pub struct Opt {
    /// Flag without dashes and YAML key.
    pub name: &'static str,
    /// Another key that the file may have for it.
    pub alias: Option<&'static str>,
    /// Heading in the help and the documentation.
    pub group: &'static str,
    /// What values look like.
    pub kind: Kind,
    /// The value when nobody gives one; `None` when there is none.
    pub default: Option<&'static str>,
    /// Variables of other standards that set it when the `WIRESPAN_` one is not set, the most specific first.
    pub standard: &'static [&'static str],
    /// A value for the example file, where there is no default to show.
    pub example: &'static str,
    /// Values are never shown.
    pub secret: bool,
    /// One or two sentences.
    pub help: &'static str,
}

impl Opt {
    /// The environment variable: `trace-hold` is `WIRESPAN_TRACE_HOLD`.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name.to_ascii_uppercase().replace('-', "_"))
    }

    /// Whether a key of the file means it.
    pub fn is_key(&self, key: &str) -> bool {
        self.name == key || self.alias == Some(key)
    }

    /// Takes lists apart at commas; leaves single values as they are.
    pub fn split(&self, texts: &[String]) -> Vec<String> {
        if !self.kind.is_list() {
            return texts.to_vec();
        }
        texts.iter().flat_map(|text| text.split(',')).map(|item| item.trim().to_string()).collect()
    }
}

pub(super) const fn opt(name: &'static str, group: &'static str, kind: Kind, help: &'static str) -> Opt {
    Opt { name, alias: None, group, kind, default: None, standard: &[], example: "", secret: false, help }
}

impl Opt {
    pub(super) const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    pub(super) const fn also(self, standard: &'static [&'static str]) -> Self {
        Self { standard, ..self }
    }

    pub(super) const fn like(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    pub(super) const fn spelt(self, alias: &'static str) -> Self {
        Self { alias: Some(alias), ..self }
    }

    pub(super) const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }
}
