//! `wirespan logs`.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches};
use wirespan_view::store::lines::SEVERITIES;

use super::{address, format, limits};
use crate::client::logs::Wanted;
use crate::config::{ConfigError, parse};

/// Filters that the API takes as they are: flag, placeholder, help.
const TEXTS: [(&str, &str, &str); 4] = [
    ("service", "NAME", "Records of this service"),
    ("trace", "ID", "Records that were written for this trace: the 32 digits of its id"),
    ("span", "ID", "Records that were written for this span: the 16 digits of its id"),
    ("text", "TEXT", "Records with this in them, in small or large letters"),
];

/// Its arguments.
pub(super) fn command() -> clap::Command {
    let mut command = clap::Command::new("logs")
        .about("Lists records that traced programs logged (--logs all), each with the trace that it was written for")
        .after_help("Exit status: 0 if there is any, 1 if there is none, 2 for wrong usage, 3 if no wirespan answers.")
        .arg(format(&["text", "json"]))
        .arg(address());
    for (flag, placeholder, help) in TEXTS {
        command = command.arg(Arg::new(flag).long(flag).value_name(placeholder).help(help));
    }
    command
        .arg(
            Arg::new("severity")
                .long("severity")
                .value_name("LEVEL")
                .help("Records that are at least so grave")
                .value_parser(PossibleValuesParser::new(SEVERITIES.map(|(name, _)| name))),
        )
        .arg(
            Arg::new("since").long("since").value_name("TIME").help("Records written at most so long ago, such as 10m"),
        )
        .arg(
            Arg::new("limit").long("limit").value_name("N").help("The most records to list, up to 1000 [default: 100]"),
        )
}

/// What its arguments ask for.
pub(super) fn read(matches: &ArgMatches, json: bool) -> Result<Wanted, ConfigError> {
    let mut wanted = Wanted { json, ..Wanted::default() };
    for flag in TEXTS.map(|(flag, ..)| flag).into_iter().chain(["severity"]) {
        wanted.filters.extend(matches.get_one::<String>(flag).map(|value| (flag, value.clone())));
    }
    wanted.since = limits(matches, "since", |text| parse::time(text, 1, 366 * 86_400_000))?;
    let limit = limits(matches, "limit", |text| parse::count(text, 1, 1000))?;
    wanted.filters.push(("limit", limit.unwrap_or(100).to_string()));
    Ok(wanted)
}
