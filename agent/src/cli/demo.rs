//! `wirespan demo`.

use clap::{Arg, ArgAction, ArgMatches};

use super::{address, limits};
use crate::client::Endpoint;
use crate::config::{ConfigError, parse};
use crate::demo::own::Part;
use crate::demo::{Demo, Role};

/// Its arguments.
pub(super) fn command() -> clap::Command {
    let switch =
        |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    let hidden = |name: &'static str| Arg::new(name).long(name).hide(true);
    clap::Command::new("demo")
        .about("Starts a small shop of real processes with some traffic, and shows its traces")
        .after_help("Ctrl-C ends every process that it started. A wirespan that runs already is used; otherwise it traces the shop itself, as root.")
        .arg(address())
        .arg(switch("all", "Trace everything on this machine, not the shop alone"))
        .arg(switch("no-open", "Do not open the page in a browser"))
        .arg(hidden("part"))
        .arg(hidden("port"))
        .arg(hidden("other").action(ArgAction::Append))
}

/// What its arguments ask for.
pub(super) fn read(matches: &ArgMatches, endpoint: Endpoint) -> Demo {
    Demo { endpoint, all: matches.get_flag("all"), no_open: matches.get_flag("no-open") }
}

/// A process of the shop, if it is to be one.
pub(super) fn part(matches: &ArgMatches) -> Result<Option<Part>, ConfigError> {
    let port = |text: &str| parse::count(text, 1, 65535).map(|port| port as u16);
    let named = |text: &str| Role::named(text).ok_or_else(|| "is no part of the shop".to_owned());
    let Some(role) = limits(matches, "part", named)? else { return Ok(None) };
    let wrong = |_| ConfigError::Arguments("--part belongs to `wirespan demo` itself; run it without".to_owned());
    let others: Result<Vec<u16>, _> =
        matches.get_many::<String>("other").unwrap_or_default().map(|text| port(text).map_err(wrong)).collect();
    let port = limits(matches, "port", port)?.ok_or_else(|| wrong(String::new()))?;
    Ok(Some(Part { role, port, others: others? }))
}
