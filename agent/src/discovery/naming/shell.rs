//! Shell scripts.

use super::options::{Options, Stop};
use super::{CommandLine, stem};

/// Options with a value (bash(1)).
const OPTIONS: Options = Options { with_value: &["--rcfile", "--init-file"], letters_with_value: "oO" };

/// `bash run.sh` is `run`; `sh -c …` and an interactive shell are the shell.
pub(super) fn read(line: &CommandLine<'_>) -> Option<String> {
    match OPTIONS.walk(line.args, &["-c"]) {
        // `/dev/fd/3` and its like are a pipe, not a script.
        Stop::Positional(script, _) if !script.starts_with("/dev/") && !script.starts_with("/proc/") => {
            Some(stem(script, &[".sh", ".bash", ".zsh", ".fish"]).to_string())
        }
        _ => None,
    }
}
