//! What the agent was asked to do: one validated struct from flags, environment, YAML file and defaults.
//!
//! | module | what it is |
//! |---|---|
//! | [`options`] | the registry of options, from which everything else derives |
//! | [`option`] | what an option is |
//! | [`source`] | which value is in force, and whence |
//! | [`mod@file`] | the YAML file |
//! | [`parse`], [`rule`] | texts into values |
//! | [`containers`] | sockets of container runtimes that are asked for names |
//! | [`kubernetes`] | where the Kubernetes API is, and what is asked of it |
//! | [`metrics`] | what is measured of them |
//! | [`otlp`] | where spans go by OTLP |
//! | [`sampling`], [`mod@block`] | which are kept; options that are a block of YAML |
//! | [`receive`] | where they may come from |
//! | [`view`] | the local view |
//! | [`show`] | `wirespan config` and `docs/configuration.md` |
//! | [`error`] | what a user did wrong, in one sentence |
//!
//! A flag wins over a `WIRESPAN_*` variable, which wins over a standard variable (`OTEL_*`, `RUST_LOG`, `NO_COLOR`),
//! which wins over the file, which wins over the default. A list is taken whole from where it is found first.

pub mod block;
pub mod containers;
pub mod error;
pub mod file;
pub mod kubernetes;
pub mod metrics;
pub mod option;
pub mod options;
pub mod otlp;
pub mod parse;
pub mod receive;
pub mod rule;
pub mod sampling;
pub mod show;
pub mod source;
mod tls;
pub mod view;

use std::path::PathBuf;
use std::time::Duration;

pub use containers::{ContainerSocket, Speech};
pub use error::ConfigError;
pub use kubernetes::KubernetesConfig;
pub use metrics::MetricsConfig;
pub use otlp::{BatchConfig, OtlpConfig};
pub use receive::OtlpIn;
pub use rule::Rule;
pub use sampling::SamplingConfig;
pub use source::{Settings, Source, Surroundings};
pub use tls::{Tls, TlsRules};
pub use view::ViewConfig;

use option::Kind;
use otlp::{OtlpConfigError, TracesExporter};
use source::Setting;

use crate::bpf::lines::Wanted;
use crate::lines::Telling;
use crate::memory::shares;

/// What the console prints of finished traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// An indented tree per trace.
    Text,
    /// One span a line, JSON.
    Json,
    /// Nothing.
    None,
}

/// When the console is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Whether to colour, given whether standard output is a terminal.
    pub fn enabled(self, terminal: bool) -> bool {
        match self {
            Self::Auto => terminal,
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// Everything that was asked, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// With any rule here, only what matches one is traced.
    pub include: Vec<Rule>,
    /// What matches one of these is not traced, included or not.
    pub exclude: Vec<Rule>,
    /// Trace processes that export spans themselves, too.
    pub allow_duplicate_spans: bool,
    /// Names by rule, the first match wins; `Rule::Any` matches everything.
    pub service_names: Vec<(Rule, String)>,
    /// Finished traces on standard output; `auto` is already resolved.
    pub output: Output,
    /// Show every trace on a terminal, however many there are.
    pub follow: bool,
    /// Colours of the console.
    pub color: Color,
    /// Print counters periodically and at exit.
    pub stats: bool,
    /// Time between two prints of the counters.
    pub stats_interval: Duration,
    /// Filter for `env_logger`.
    pub log: String,
    /// Keep query-string values.
    pub keep_query_values: bool,
    /// What may see what programs write where their lines go.
    pub lines: Wanted,
    /// What is told of that.
    pub telling: Telling,
    /// Keep the text of database queries and the arguments of commands.
    pub keep_query_text: bool,
    /// Attributes to take out of requests and responses.
    pub attributes: Vec<wirespan_protocols::rules::Rule>,
    /// What counts as a finding; `None` if nothing is pointed at.
    pub findings: Option<wirespan_findings::Limits>,
    /// Tell on spans where their time went.
    pub time_split: bool,
    /// Bytes captured per socket operation, at most `wirespan_common::MAX_CAPTURE`.
    pub capture_bytes: usize,
    /// Bytes of the kernel's ring, a power of two and a multiple of the page size.
    pub ring_bytes: usize,
    /// Connections followed at one time.
    pub max_connections: usize,
    /// Bytes buffered for one connection.
    pub max_connection_buffer: usize,
    /// Bytes of memory for all that grows with what arrives.
    pub max_memory: usize,
    /// Bytes of these that connections may take, if that was said.
    pub max_buffer: Option<usize>,
    /// A connection without traffic for this long is forgotten.
    pub idle_timeout: Duration,
    /// How long a finished trace waits for its other spans.
    pub trace_hold: Duration,
    /// Where to write down what linking is told.
    pub record_facts: Option<PathBuf>,
    /// Whether programs whose runtime is known are probed.
    pub probes: bool,
    /// Whether calls are linked where that is not proven.
    pub inferred_links: bool,
    /// Spans held at one time.
    pub max_spans_in_flight: usize,
    /// Where spans go by OTLP, if anywhere.
    pub otlp: Option<OtlpConfig>,
    /// Where spans go as Zipkin takes them.
    pub zipkin: Option<OtlpConfig>,
    /// The local view, if there is to be one.
    pub view: Option<ViewConfig>,
    /// How spans are gathered before they go there.
    pub batch: BatchConfig,
    /// What is received of applications, if anything.
    pub otlp_in: Option<OtlpIn>,
    /// Which traces are kept.
    pub sampling: SamplingConfig,
    /// What is measured of spans.
    pub metrics: MetricsConfig,
    /// Where logs go by OTLP, if anywhere: our own, and those of applications.
    pub logs: Option<OtlpConfig>,
    /// How our own are gathered before they go there.
    pub logs_batch: BatchConfig,
    /// Give up what is not needed once it traces.
    pub sandbox: bool,
    /// Of which processes what passes inside TLS is read.
    pub tls: TlsRules,
    /// How the Kubernetes API is asked, if it is.
    pub kubernetes: Option<KubernetesConfig>,
    /// Container runtimes that are asked for names.
    pub container_sockets: Vec<ContainerSocket>,
    /// `WIRESPAN_*` variables that no option has: worth one warning.
    pub stray_variables: Vec<String>,
}

impl Config {
    /// Checks every setting, alone and against the others.
    ///
    /// # Errors
    /// The first value that is wrong, or two that contradict each other.
    pub fn from_settings(settings: &Settings, surroundings: &Surroundings<'_>) -> Result<Self, ConfigError> {
        let users = |name: &str| rule::user_in(&(surroundings.read)(rule::passwd_path()).ok()?, name);
        settings.check_otlp()?;
        let lookup = |name: &str| settings.standard_variable(name, surroundings);
        let blame = |error: OtlpConfigError| settings.blame(&error);
        let otlp = OtlpConfig::from_lookup(lookup).map_err(blame)?;
        let zipkin = OtlpConfig::of_zipkin(lookup).map_err(blame)?;
        let exporter = TracesExporter::from_lookup(lookup).map_err(blame)?.unwrap_or_default();
        let config = Self {
            include: settings.rules("include", &users)?,
            exclude: settings.rules("exclude", &users)?,
            allow_duplicate_spans: settings.switch("allow-duplicate-spans")?,
            service_names: settings.names("service-name", &users)?,
            output: match settings.choice("output")? {
                "text" => Output::Text,
                "json" => Output::Json,
                "none" => Output::None,
                _ if (otlp.is_some() || zipkin.is_some()) && !exporter.console => Output::None,
                _ => Output::Text,
            },
            follow: settings.switch("follow")?,
            color: match settings.choice("color")? {
                "always" => Color::Always,
                "never" => Color::Never,
                _ => Color::Auto,
            },
            stats: settings.switch("stats")?,
            stats_interval: settings.time("stats-interval")?,
            log: settings.text("log"),
            lines: match settings.choice("logs")? {
                "exceptions" | "all" => Wanted::All,
                "off" => Wanted::Off,
                _ => Wanted::Free,
            },
            telling: settings.telling(lookup)?,
            keep_query_values: settings.switch("query-values")?,
            keep_query_text: settings.switch("query-text")?,
            attributes: settings.attributes()?,
            findings: settings.findings()?,
            time_split: settings.choice("time-split")? == "on",
            capture_bytes: settings.number("capture-bytes")?,
            ring_bytes: settings.number("ring-bytes")?,
            max_connections: settings.number("max-connections")?,
            max_connection_buffer: settings.number("max-connection-buffer")?,
            max_memory: settings.number("max-memory")?,
            max_buffer: settings.number_if_said("max-buffer")?,
            idle_timeout: settings.time("idle-timeout")?,
            trace_hold: settings.time("trace-hold")?,
            record_facts: Some(settings.text("record-facts")).filter(|path| !path.is_empty()).map(PathBuf::from),
            probes: settings.choice("probes")? == "on",
            inferred_links: settings.choice("links")? == "inferred",
            max_spans_in_flight: settings.number("max-spans-in-flight")?,
            otlp_in: OtlpIn::read(settings, surroundings)?,
            batch: BatchConfig::from_lookup(lookup).map_err(blame)?,
            view: view::read(settings, surroundings, otlp.is_some() || zipkin.is_some())?,
            otlp,
            sampling: SamplingConfig::read(settings)?,
            zipkin,
            metrics: MetricsConfig::read(settings, lookup, blame)?,
            logs: OtlpConfig::of_logs(lookup).map_err(blame)?,
            logs_batch: BatchConfig::of_logs(lookup).map_err(blame)?,
            sandbox: settings.choice("sandbox")? == "on",
            tls: TlsRules::new(settings.each("tls", |text| TlsRules::parse(text, &users))?),
            kubernetes: KubernetesConfig::read(settings, surroundings)?,
            container_sockets: settings.each("container-sockets", ContainerSocket::parse)?,
            stray_variables: settings.stray_variables.clone(),
        };
        config.check_together(settings)?;
        Ok(config)
    }

    /// What is right alone and wrong together.
    fn check_together(&self, settings: &Settings) -> Result<(), ConfigError> {
        let ring = settings.get("ring-bytes");
        if !self.ring_bytes.is_power_of_two() {
            let near = parse::show_size(self.ring_bytes.next_power_of_two() as u64);
            let value = ring.texts.concat();
            return Err(ring.wrong(&value, format!("is not a power of two; choose one, such as {near}")));
        }
        self.check_memory(settings)?;
        if let (Some(otlp_in), Some(otlp)) = (&self.otlp_in, &self.otlp) {
            otlp_in.check_circle(&otlp.endpoint, settings)?;
        }
        if let Some(rule) = self.include.iter().find(|rule| self.exclude.contains(rule)) {
            let (include, exclude) = (settings.get("include"), settings.get("exclude"));
            let problem = format!("{rule} is in both, so nothing of it is traced; remove one of them");
            return Err(contradiction(include, exclude, &problem));
        }
        Ok(())
    }
}

impl Config {
    /// The parts of the memory fit into the whole.
    fn check_memory(&self, settings: &Settings) -> Result<(), ConfigError> {
        let whole = settings.get("max-memory");
        let most = shares::most_connections(self.max_memory);
        if self.max_buffer.is_some_and(|wanted| wanted > most) {
            let problem = format!(
                "connections have a quarter of all memory at most; raise max-memory, or say {} or less",
                parse::show_size(most as u64)
            );
            return Err(contradiction(settings.get("max-buffer"), whole, &problem));
        }
        if self.max_connection_buffer > self.max_buffer.unwrap_or(most) {
            let (one, all) = (settings.get("max-connection-buffer"), settings.get("max-buffer"));
            let all = if self.max_buffer.is_some() { all } else { whole };
            let problem = format!("one connection may buffer more than all together; raise {}", all.option.name);
            return Err(contradiction(one, all, &problem));
        }
        let most = shares::most_store(self.max_memory);
        if self.view.as_ref().is_some_and(|view| view.store.limits.bytes > most) {
            let problem = format!(
                "the view has half of all memory at most; raise max-memory, or say {} or less",
                parse::show_size(most as u64)
            );
            return Err(contradiction(settings.get("store-bytes"), whole, &problem));
        }
        Ok(())
    }
}

fn contradiction(one: &Setting, other: &Setting, problem: &str) -> ConfigError {
    let value = |setting: &Setting| format!("{} = {}", setting.place(), setting.texts.join(","));
    ConfigError::Contradiction(format!("{} contradicts {}: {problem}", value(one), value(other)))
}

/// Whether exceptions are events or records of logs: a list with `logs`, or `logs/dup` for both.
const EXCEPTION_SIGNAL: &str = "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN";

/// Typed access; the registry says what an option's text must look like.
impl Settings {
    /// The setting of an option in the registry.
    pub fn get(&self, name: &'static str) -> &Setting {
        let found = self.all.iter().find(|setting| setting.option.name == name);
        debug_assert!(found.is_some(), "no option is called {name}");
        found.unwrap_or(&self.all[0])
    }

    fn checked<T>(&self, name: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, ConfigError> {
        let setting = self.get(name);
        let text = setting.texts.first().map(String::as_str).unwrap_or_default();
        parse(text).map_err(|problem| setting.wrong(text, problem))
    }

    fn switch(&self, name: &'static str) -> Result<bool, ConfigError> {
        self.checked(name, parse::switch)
    }

    fn text(&self, name: &'static str) -> String {
        self.get(name).texts.concat()
    }

    fn choice(&self, name: &'static str) -> Result<&'static str, ConfigError> {
        let Kind::Choice(words) = self.get(name).option.kind else { return Ok("") };
        self.checked(name, |text| parse::choice(text, words))
    }

    /// What is told of what programs write. How exceptions are is the semantic conventions' own choice, by their variable.
    fn telling(&self, lookup: impl Fn(&str) -> Option<String>) -> Result<Telling, ConfigError> {
        let chosen = lookup(EXCEPTION_SIGNAL).unwrap_or_default();
        let has = |word: &str| chosen.split(',').any(|chosen| chosen.trim() == word);
        let (logs, dup) = (has("logs"), has("logs/dup"));
        let records = self.choice("logs")? == "all";
        let keep_values = self.switch("query-values")?;
        Ok(Telling { events: dup || !logs, exceptions: dup || logs || records, records, keep_values })
    }

    fn time(&self, name: &'static str) -> Result<Duration, ConfigError> {
        let Kind::Time(low, high) = self.get(name).option.kind else { return Ok(Duration::ZERO) };
        self.checked(name, |text| parse::time(text, low, high))
    }

    fn number(&self, name: &'static str) -> Result<usize, ConfigError> {
        let kind = self.get(name).option.kind;
        self.checked(name, |text| match kind {
            Kind::Size(low, high) => parse::size(text, low, high),
            Kind::Count(low, high) => parse::count(text, low, high),
            _ => Err("is not a number".to_string()),
        })
        .map(|number| usize::try_from(number).unwrap_or(usize::MAX))
    }

    /// A number that has no default.
    fn number_if_said(&self, name: &'static str) -> Result<Option<usize>, ConfigError> {
        if self.get(name).texts.is_empty() { Ok(None) } else { self.number(name).map(Some) }
    }

    fn each<T>(&self, name: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, ConfigError> {
        let setting = self.get(name);
        setting.texts.iter().map(|text| parse(text).map_err(|problem| setting.wrong(text, problem))).collect()
    }

    fn rules(&self, name: &'static str, users: &dyn Fn(&str) -> Option<u32>) -> Result<Vec<Rule>, ConfigError> {
        self.each(name, |text| Rule::parse(text, users))
    }

    fn names(
        &self,
        name: &'static str,
        users: &dyn Fn(&str) -> Option<u32>,
    ) -> Result<Vec<(Rule, String)>, ConfigError> {
        self.each(name, |text| Rule::parse_named(text, users))
    }

    fn attributes(&self) -> Result<Vec<wirespan_protocols::rules::Rule>, ConfigError> {
        use wirespan_protocols::rules::{MAX_RULES, Rule};
        let rules =
            self.each("attribute", |text| Rule::parse(text).map_err(|error| format!("cannot be read at {error}")))?;
        match self.get("attribute").texts.get(MAX_RULES) {
            Some(text) => {
                Err(self.get("attribute").wrong(text, format!("is one rule too many; keep {MAX_RULES} at most")))
            }
            None => Ok(rules),
        }
    }

    fn findings(&self) -> Result<Option<wirespan_findings::Limits>, ConfigError> {
        let limits = wirespan_findings::Limits { slow_statement: self.time("slow-statement")? };
        Ok((self.choice("findings")? == "on").then_some(limits))
    }

    /// What the OTLP exporter sees when it asks for a standard variable (`OTEL_*`).
    ///
    /// A flag, a `WIRESPAN_*` variable or a line of the file stands for the general variable and hides the one for
    /// traces, which would win otherwise.
    pub fn standard_variable(&self, name: &str, surroundings: &Surroundings<'_>) -> Option<String> {
        let from_environment = || surroundings.variable(name).map(str::to_string);
        let Some(setting) = self.all.iter().find(|setting| setting.option.standard.contains(&name)) else {
            return from_environment();
        };
        match &setting.source {
            Source::Default => None,
            Source::Environment(variable) if setting.option.standard.contains(&variable.as_str()) => from_environment(),
            _ if setting.option.standard.last() != Some(&name) => None,
            _ => match (setting.option.kind, setting.texts.first()?) {
                (Kind::Time(low, high), text) => {
                    Some(parse::time(text, low, high).map_or(text.clone(), |time| time.as_millis().to_string()))
                }
                (Kind::Switch, text) => Some(parse::switch(text).map_or(text.clone(), |on| on.to_string())),
                (_, text) => Some(text.clone()),
            },
        }
    }

    /// The exporter's errors speak of standard variables: names instead what the user wrote.
    fn blame(&self, error: &OtlpConfigError) -> ConfigError {
        let mut sentence = error.to_string();
        for setting in self.all.iter().filter(|setting| setting.option.group == options::OTLP) {
            let Some(general) = setting.option.standard.last() else { continue };
            match &setting.source {
                Source::Environment(name) if setting.option.standard.contains(&name.as_str()) => {}
                Source::Default => sentence = sentence.replace(general, &format!("--{}", setting.option.name)),
                _ => sentence = sentence.replace(general, &setting.place()),
            }
        }
        ConfigError::Otlp(sentence)
    }

    /// Our own names for OTLP options must make sense; what the standard variables say is the exporter's to judge.
    fn check_otlp(&self) -> Result<(), ConfigError> {
        let endpoint = self.get("otlp-endpoint").texts.is_empty();
        for setting in self.all.iter().filter(|setting| setting.option.group == options::OTLP) {
            let standard = match &setting.source {
                Source::Default => true,
                Source::Environment(name) => setting.option.standard.contains(&name.as_str()),
                _ => false,
            };
            if standard {
                continue;
            }
            if endpoint && setting.option.name.starts_with("otlp-") {
                let place = setting.place();
                return Err(ConfigError::Contradiction(format!(
                    "{place} has no effect without an endpoint; add --otlp-endpoint http://HOST:4318"
                )));
            }
            match setting.option.kind {
                Kind::Time(..) => drop(self.time(setting.option.name)?),
                Kind::Count(..) => drop(self.number(setting.option.name)?),
                Kind::Switch => drop(self.switch(setting.option.name)?),
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
