//! `wirespan top`.

use super::address;

/// Its arguments.
pub(super) fn command() -> clap::Command {
    clap::Command::new("top")
        .about("Shows services and operations in a table that renews itself: rates, errors, durations")
        .after_help(
            "A wirespan that runs already is asked; otherwise it traces itself, as root. \
             Keys: q quit, / filter, s sort, r reverse, Tab services or operations, w window, p pause.",
        )
        .arg(address())
}
