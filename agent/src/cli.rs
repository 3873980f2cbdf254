//! The command line: flags from the registry of options, and which command they ask for.

mod demo;
mod export;
mod logs;
mod ps;
mod query;
mod top;

use std::ffi::OsString;

use clap::builder::{PossibleValuesParser, StyledStr};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches};

use crate::client::{self, Endpoint, export::Wanted, query::Query};
use crate::config::option::{Kind, Opt};
use crate::config::options::{CONFIG, OPTIONS};
use crate::config::source::FlagValues;
use crate::config::view::DEFAULT_LISTEN;
use crate::config::{Config, ConfigError, Settings, Surroundings, show};
use crate::demo::{Demo, own::Part};

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Trace.
    Run(Box<Config>),
    /// Find out what works on this machine.
    Doctor {
        /// What would be used to trace.
        config: Box<Config>,
        /// For programs instead of people.
        json: bool,
    },
    /// List traces of a running agent.
    Query(Endpoint, Query),
    /// List records of logs of a running agent.
    Logs(Endpoint, client::logs::Wanted),
    /// Print one trace of a running agent.
    Export(Endpoint, Wanted),
    /// List the processes that a running agent sees.
    Ps(Endpoint, client::ps::Wanted),
    /// Show services and operations.
    Top(Box<Config>, Endpoint),
    /// Start a small shop, and show it.
    Demo(Box<Config>, Demo),
    /// Be a process of that shop.
    Part(Part),
    /// Print this text and exit with status 0: help, version, or the configuration in force.
    Print(String),
}

/// Reads the command line (the program's name first), then environment and file.
///
/// # Errors
/// One sentence that names the thing, the place and the remedy; [`ConfigError::exit_status`] goes with it.
pub fn parse(
    args: impl IntoIterator<Item = OsString>,
    surroundings: &Surroundings<'_>,
) -> Result<Command, ConfigError> {
    let matches = match definition().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            return Ok(Command::Print(error.render().to_string()));
        }
        Err(error) => return Err(ConfigError::Arguments(sentence(&error))),
    };
    let (name, sub) = matches.subcommand().unwrap_or(("", &matches));
    let asked_format = sub.try_get_one::<String>(FORMAT).ok().flatten();
    let format = asked_format.map_or("", String::as_str);
    match format {
        "markdown" => return Ok(Command::Print(show::markdown())),
        "yaml" => return Ok(Command::Print(show::yaml())),
        _ => {}
    }
    // A part of the demo's shop has no configuration: it is no agent.
    if name == "demo"
        && let Some(part) = demo::part(sub)?
    {
        return Ok(Command::Part(part));
    }
    let settings = Settings::resolve(&flags(&matches, sub), surroundings)?;
    let config = Box::new(Config::from_settings(&settings, surroundings)?);
    Ok(match (name, format) {
        ("config", "json") => Command::Print(show::json(&settings)),
        ("config", _) => Command::Print(show::text(&settings)),
        ("doctor", format) => Command::Doctor { config, json: format == "json" },
        ("demo", _) => {
            // The page is what it is about.
            let endpoint = Endpoint { socket: None, ..endpoint(sub, &config) };
            Command::Demo(config.clone(), demo::read(sub, endpoint))
        }
        ("top", _) => Command::Top(config.clone(), endpoint(sub, &config)),
        ("ps", format) => Command::Ps(endpoint(sub, &config), ps::read(sub, format == "json")),
        ("query", format) => Command::Query(endpoint(sub, &config), query::read(sub, format == "json")?),
        ("logs", format) => Command::Logs(endpoint(sub, &config), logs::read(sub, format == "json")?),
        ("export", format) => Command::Export(endpoint(sub, &config), export::read(sub, format)?),
        _ => Command::Run(config),
    })
}

const FORMAT: &str = "format";
/// Options whose flags mean something else behind a command's name.
const OF_THE_AGENT: [&str; 2] = ["output", "attribute"];

fn definition() -> clap::Command {
    let mut command = clap::Command::new("wirespan")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Turns running programs into traced ones: OpenTelemetry spans read off the wire with eBPF")
        .after_help("Without a command, wirespan traces until it is interrupted. See docs/configuration.md.")
        .max_term_width(100)
        .arg(flag(&CONFIG, show::config_help()).short('c').global(true));
    for option in OPTIONS {
        command = command.arg(flag(option, show::flag_help(option)).global(!OF_THE_AGENT.contains(&option.name)));
    }
    command
        .subcommand(
            clap::Command::new("config")
                .about("Prints every option's value in force and whence it comes")
                .arg(format(&["text", "json", "yaml", "markdown"])),
        )
        .subcommand(
            clap::Command::new("doctor")
                .about("Prints what works on this machine, how, and why not")
                .arg(format(&["text", "json"])),
        )
        .subcommand(demo::command())
        .subcommand(ps::command())
        .subcommand(query::command())
        .subcommand(logs::command())
        .subcommand(top::command())
        .subcommand(export::command())
        .subcommand(clap::Command::new("run").about("Traces, as without a command"))
}

/// The format of a command's own output, which `--output` means after its name.
fn format(words: &'static [&'static str]) -> Arg {
    let help = "For people (text) or for programs (json)";
    Arg::new(FORMAT).long("output").value_name("FORMAT").help(help).value_parser(PossibleValuesParser::new(words))
}

/// Which agent is asked.
fn address() -> Arg {
    Arg::new("address")
        .long("address")
        .value_name("HOST:PORT|PATH")
        .help("Where the running wirespan is asked [default: where --socket says, else where --listen says]")
}

fn endpoint(sub: &ArgMatches, config: &Config) -> Endpoint {
    let view = config.view.as_ref();
    let token = view.and_then(|view| view.token.as_ref()).map(|token| token.secret().to_owned());
    let listens = view.and_then(|view| view.listen).unwrap_or(DEFAULT_LISTEN).to_string();
    match sub.get_one::<String>("address") {
        // No host's name has a slash.
        Some(path) if path.contains('/') && !path.contains("://") => Endpoint::socket(path.into(), token),
        Some(address) => Endpoint { address: address.clone(), socket: None, token },
        // Whoever says where to listen means that place.
        None if sub.contains_id("listen") && sub.get_one::<String>("listen").is_some() => {
            Endpoint { address: listens, socket: None, token }
        }
        None => Endpoint { address: listens, socket: view.and_then(|view| view.socket.clone()), token },
    }
}

/// The value of a command's own flag, if it is given and makes sense.
fn limits<T>(
    sub: &ArgMatches,
    name: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, ConfigError> {
    let Some(text) = sub.get_one::<String>(name) else { return Ok(None) };
    let wrong = |problem| ConfigError::Arguments(format!("--{name}: {text:?} {problem}"));
    parse(text).map(Some).map_err(wrong)
}

fn flag(option: &'static Opt, help: String) -> Arg {
    let arg = Arg::new(option.name)
        .long(option.name)
        .value_name(option.kind.placeholder())
        .help(StyledStr::from(help))
        .help_heading(option.group)
        .action(ArgAction::Append);
    match option.kind {
        Kind::Switch => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        _ => arg,
    }
}

/// The flags' values, whether they stand before or after the command's name.
fn flags(top: &ArgMatches, sub: &ArgMatches) -> FlagValues {
    let mut values = FlagValues::new();
    for option in OPTIONS.iter().chain([&CONFIG]) {
        let from = if OF_THE_AGENT.contains(&option.name) { top } else { sub };
        if let Some(texts) = from.get_many::<String>(option.name) {
            let texts: Vec<String> = texts.cloned().collect();
            // A single value that is given again replaces the first, as with most programs.
            let from = if option.kind.is_list() { 0 } else { texts.len().saturating_sub(1) };
            values.insert(option.name, texts[from..].to_vec());
        }
    }
    values
}

/// clap's error as one sentence with its remedy.
fn sentence(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => Some(texts.join(", ")),
        _ => None,
    };
    let argument = context(ContextKind::InvalidArg).unwrap_or_default();
    let name = argument.split([' ', '=', '[']).next().unwrap_or_default().to_string();
    let meant = |kind, otherwise: &str| match context(kind) {
        Some(near) => format!("did you mean {near}?"),
        None => otherwise.to_string(),
    };
    match error.kind() {
        ErrorKind::UnknownArgument if name.starts_with('-') => {
            format!("unknown flag {name}; {}", meant(ContextKind::SuggestedArg, "`wirespan --help` lists all flags"))
        }
        ErrorKind::InvalidSubcommand | ErrorKind::UnknownArgument => {
            let name = context(ContextKind::InvalidSubcommand).unwrap_or(name);
            let otherwise = "commands are config, demo, doctor, export, logs, ps, query, run and top";
            format!("unknown command {name:?}; {}", meant(ContextKind::SuggestedSubcommand, otherwise))
        }
        ErrorKind::InvalidValue => match context(ContextKind::InvalidValue) {
            Some(value) if !value.is_empty() => {
                let words = context(ContextKind::ValidValue).unwrap_or_default();
                format!("{name}: {value:?} is not one of {words}")
            }
            _ => format!("{name} needs a value; `wirespan --help` says which"),
        },
        ErrorKind::NoEquals => format!("{name} takes its value after `=`, as in {name}=false"),
        ErrorKind::InvalidUtf8 => "an argument is not UTF-8; write it in UTF-8".to_string(),
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            format!("{}; `wirespan --help` shows the usage", line.trim_start_matches("error: "))
        }
    }
}

#[cfg(test)]
mod tests;
