//! `wirespan export`.

use clap::{Arg, ArgMatches};

use super::{address, format, limits};
use crate::client::export::{Format, Wanted};
use crate::config::ConfigError;

/// Its arguments.
pub(super) fn command() -> clap::Command {
    clap::Command::new("export")
        .about("Prints one trace that a running wirespan has")
        .after_help("Exit status: 0 if it is there, 1 if not, 2 for wrong usage, 3 if no wirespan answers.")
        .arg(Arg::new("trace-id").value_name("TRACE_ID").required(true).help("The trace's id, or the beginning of it"))
        .arg(
            format(&["json", "otlp", "text"])
                .help("JSON as the page has it, OTLP/JSON, or a tree for people [default: json]"),
        )
        .arg(address())
}

/// What its arguments ask for.
pub(super) fn read(matches: &ArgMatches, format: &str) -> Result<Wanted, ConfigError> {
    let format = match format {
        "otlp" => Format::Otlp,
        "text" => Format::Text,
        _ => Format::Json,
    };
    let wanted = limits(matches, "trace-id", |text| Wanted::new(text, format))?;
    wanted.ok_or_else(|| ConfigError::Arguments("export needs a trace id; `wirespan query` lists them".to_owned()))
}
