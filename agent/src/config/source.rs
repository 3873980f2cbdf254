//! Where a value comes from, and the search through flags, environment and file that finds it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::error::{ConfigError, nearest};
use super::file::{self, FileValues};
use super::option::{Opt, PREFIX};
use super::options::{CONFIG, OPTIONS};

/// Where the value in force was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nowhere: it is what the option is when nobody says anything.
    Default,
    /// A line of the configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// Line of the value, from 1.
        line: usize,
    },
    /// An environment variable of the agent.
    Environment(String),
    /// A command-line flag.
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "env {name}"),
            Self::Flag(name) => write!(f, "--{name}"),
        }
    }
}

/// What the agent reads about its surroundings while it makes up its mind: so that tests need none of it.
pub struct Surroundings<'a> {
    /// The environment of the agent.
    pub environment: BTreeMap<String, String>,
    /// Reads a text file.
    pub read: &'a dyn Fn(&Path) -> std::io::Result<String>,
}

impl Surroundings<'_> {
    /// This process's environment (variables that are not UTF-8 are left out) and the file system.
    pub fn real() -> Surroundings<'static> {
        let environment =
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
        Surroundings { environment, read: &|path| std::fs::read_to_string(path) }
    }

    /// A variable that is set and not empty: the OpenTelemetry specification treats an empty one as unset, and so do we.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// An option with the value in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The option.
    pub option: &'static Opt,
    /// One text per value; more than one only where the option takes a list; none where it is unset.
    pub texts: Vec<String>,
    /// Whence.
    pub source: Source,
}

impl Setting {
    /// How a user finds this value: flag, variable, or file with line and key.
    pub fn place(&self) -> String {
        match &self.source {
            Source::Flag(name) => format!("--{name}"),
            Source::Environment(name) => name.clone(),
            Source::File { path, line } => format!("{}:{line} ({})", path.display(), self.option.name),
            Source::Default => format!("default of --{}", self.option.name),
        }
    }

    /// An error about one value of this setting.
    pub fn wrong(&self, value: &str, problem: impl Into<String>) -> ConfigError {
        let value = if self.option.secret { "****".to_string() } else { value.to_string() };
        ConfigError::Value { source_name: self.place(), value, problem: problem.into() }
    }
}

/// The values that flags gave, by option name.
pub type FlagValues = BTreeMap<&'static str, Vec<String>>;

/// Every option with its value in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The configuration file that was read; without a text if there is none.
    pub config: Setting,
    /// In the registry's order.
    pub all: Vec<Setting>,
    /// `WIRESPAN_*` variables that belong to no option and were ignored.
    pub stray_variables: Vec<String>,
}

impl Settings {
    /// Looks at flags, then the environment, then the configuration file, then the default.
    ///
    /// # Errors
    /// When the file cannot be read or holds an unknown key, or a `WIRESPAN_*` variable belongs to no option.
    pub fn resolve(flags: &FlagValues, surroundings: &Surroundings<'_>) -> Result<Self, ConfigError> {
        let stray_variables = stray_variables(surroundings)?;
        let mut config = setting(&CONFIG, flags, surroundings, None);
        let file = read_file(&config, surroundings)?;
        if file.is_none() {
            config.texts.clear();
        }
        let all = OPTIONS.iter().map(|option| setting(option, flags, surroundings, file.as_ref())).collect();
        Ok(Self { config, all, stray_variables })
    }
}

fn setting(
    option: &'static Opt,
    flags: &FlagValues,
    surroundings: &Surroundings<'_>,
    file: Option<&FileValues>,
) -> Setting {
    let found = |texts, source| Setting { option, texts, source };
    if let Some(texts) = flags.get(option.name) {
        return found(option.split(texts), Source::Flag(option.name));
    }
    let own = option.variable();
    let names = std::iter::once(own.as_str()).chain(option.standard.iter().copied());
    if let Some((name, text)) = names.filter_map(|name| Some((name, surroundings.variable(name)?))).next() {
        // https://no-color.org: present and not empty, whatever the value.
        let text = if name == "NO_COLOR" { "never" } else { text };
        return found(option.split(&[text.to_string()]), Source::Environment(name.to_string()));
    }
    if let Some(value) = file.and_then(|file| file.values.get(option.name)) {
        let path = file.map(|file| file.path.clone()).unwrap_or_default();
        return found(option.split(&value.texts), Source::File { path, line: value.line });
    }
    found(option.default.iter().map(|text| text.to_string()).collect(), Source::Default)
}

/// Reads the file that the `config` setting names. Only the default one may be missing.
fn read_file(config: &Setting, surroundings: &Surroundings<'_>) -> Result<Option<FileValues>, ConfigError> {
    let Some(path) = config.texts.first().map(PathBuf::from) else { return Ok(None) };
    match (surroundings.read)(&path) {
        Ok(text) => file::parse(&path, &text).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && config.source == Source::Default => Ok(None),
        Err(error) => Err(ConfigError::Unreadable { file: path, named_by: config.source.clone(), error }),
    }
}

/// `WIRESPAN_*` variables that belong to no option.
///
/// One that is nearly an option's name is an error, as a misspelt flag is. Any other is returned, to be mentioned and
/// ignored: a service called `wirespan` makes Kubernetes and docker invent `WIRESPAN_SERVICE_HOST` and its like.
fn stray_variables(surroundings: &Surroundings<'_>) -> Result<Vec<String>, ConfigError> {
    let known: Vec<String> = OPTIONS.iter().map(Opt::variable).collect();
    let mut stray = Vec::new();
    for name in surroundings.environment.keys() {
        let Some(suffix) = name.strip_prefix(PREFIX) else { continue };
        if known.contains(name) {
            continue;
        }
        let link = suffix.ends_with("SERVICE_HOST") || suffix.starts_with("SERVICE_PORT") || suffix.starts_with("PORT");
        match nearest(suffix, known.iter().filter_map(|known| known.strip_prefix(PREFIX))) {
            Some(near) if !link => {
                let remedy = format!("did you mean {PREFIX}{near}?");
                return Err(ConfigError::UnknownVariable { name: name.clone(), remedy });
            }
            _ => stray.push(name.clone()),
        }
    }
    Ok(stray)
}
