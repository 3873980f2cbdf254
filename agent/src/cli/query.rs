//! `wirespan query`.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches};
use wirespan_findings::{Kind, PREFIX};

use super::{address, format, limits};
use crate::client::query::Query;
use crate::config::{ConfigError, parse};

/// Filters that the API takes as they are: flag, parameter, placeholder, help.
const TEXTS: [(&str, &str, &str, &str); 4] = [
    ("service", "service", "NAME", "Traces in which this service takes part"),
    ("operation", "operation", "NAME", "Traces with a span of this name"),
    ("attr", "attr", "KEY[=VALUE]", "Traces with a span that has this attribute; may be repeated"),
    ("trace", "trace", "ID", "Traces whose id begins so, at least 4 digits"),
];

/// Its arguments.
pub(super) fn command() -> clap::Command {
    let mut command = clap::Command::new("query")
        .about("Lists traces that a running wirespan has")
        .after_help("Exit status: 0 if there is any, 1 if there is none, 2 for wrong usage, 3 if no wirespan answers.")
        .arg(format(&["text", "json"]))
        .arg(address());
    for (flag, _, placeholder, help) in TEXTS {
        let action = if flag == "attr" { ArgAction::Append } else { ArgAction::Set };
        let arg = Arg::new(flag).long(flag).value_name(placeholder).help(help).action(action);
        command = command.arg(if flag == "attr" { arg.visible_alias("attribute") } else { arg });
    }
    command
        .arg(
            Arg::new("finding")
                .long("finding")
                .value_name("KIND")
                .help("Traces with this finding, see docs/findings.md")
                .value_parser(PossibleValuesParser::new(Kind::ALL.map(Kind::name))),
        )
        .arg(Arg::new("min").long("min").value_name("TIME").help("Traces that took at least this long, such as 100ms"))
        .arg(Arg::new("max").long("max").value_name("TIME").help("Traces that took at most this long"))
        .arg(Arg::new("errors").long("errors").action(ArgAction::SetTrue).help("Traces in which something failed"))
        .arg(
            Arg::new("since")
                .long("since")
                .value_name("TIME")
                .help("Traces that began at most so long ago, such as 10m"),
        )
        .arg(Arg::new("slow").long("slow").action(ArgAction::SetTrue).help("The slowest first, instead of the latest"))
        .arg(Arg::new("limit").long("limit").value_name("N").help("The most traces to list, up to 1000 [default: 20]"))
}

/// What its arguments ask for.
pub(super) fn read(matches: &ArgMatches, json: bool) -> Result<Query, ConfigError> {
    let mut query = Query { json, ..Query::default() };
    for (flag, parameter, _, _) in TEXTS {
        let values = matches.get_many::<String>(flag).unwrap_or_default();
        query.filters.extend(values.map(|value| (parameter, value.clone())));
    }
    if let Some(kind) = matches.get_one::<String>("finding") {
        query.filters.push(("attr", [PREFIX, kind].concat()));
    }
    for (flag, parameter) in [("min", "min_ms"), ("max", "max_ms")] {
        if let Some(time) = limits(matches, flag, |text| parse::time(text, 0, 86_400_000))? {
            query.filters.push((parameter, time.as_millis().to_string()));
        }
    }
    if matches.get_flag("errors") {
        query.filters.push(("status", "error".to_owned()));
    }
    if matches.get_flag("slow") {
        query.filters.push(("sort", "slow".to_owned()));
    }
    query.since = limits(matches, "since", |text| parse::time(text, 1, 366 * 86_400_000))?;
    let limit = limits(matches, "limit", |text| parse::count(text, 1, 1000))?;
    query.filters.push(("limit", limit.unwrap_or(20).to_string()));
    Ok(query)
}
