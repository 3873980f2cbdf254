//! `wirespan ps`.

use clap::{Arg, ArgAction, ArgMatches};

use super::{address, format};
use crate::client::ps::Wanted;

/// Its arguments.
pub(super) fn command() -> clap::Command {
    clap::Command::new("ps")
        .about("Lists processes: what they are called, whether they are traced and why, what they speak")
        .after_help("Exit status: 0 if there is any, 1 if there is none, 2 for wrong usage, 3 if no wirespan answers.")
        .arg(format(&["text", "json"]))
        .arg(address())
        .arg(
            Arg::new("all")
                .long("all")
                .short('a')
                .action(ArgAction::SetTrue)
                .help("Also processes without a connection that was seen, and without a rule that names them"),
        )
}

/// What its arguments ask for.
pub(super) fn read(matches: &ArgMatches, json: bool) -> Wanted {
    Wanted { all: matches.get_flag("all"), json }
}
