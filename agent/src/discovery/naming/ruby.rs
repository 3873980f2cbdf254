//! Ruby: scripts, and the servers that run the application in the working directory.

use super::options::{Options, Stop};
use super::{CommandLine, stem};

/// Options with a value (ruby(1)).
const OPTIONS: Options = Options { with_value: &["--encoding", "--external-encoding"], letters_with_value: "rICEFTWx" };

const SERVERS: &[&str] = &["puma", "unicorn", "thin", "rackup", "rails", "sidekiq", "falcon", "resque", "spring"];

pub(super) fn read(line: &CommandLine<'_>) -> Option<String> {
    if let Some(title) = line.title() {
        return Some(from_title(line, title));
    }
    if SERVERS.contains(&line.facts.exe_name()) {
        return Some(application(line, line.facts.exe_name()));
    }
    match OPTIONS.walk(line.args, &["-e"]) {
        Stop::Positional(script, rest) => match (stem(script, &[".rb"]), rest.split_first()) {
            ("bundle" | "bundler", Some((command, rest))) if command == "exec" => {
                let tool = rest.first()?;
                Some(application(line, stem(tool, &[".rb"])))
            }
            (name, _) => Some(application(line, name)),
        },
        _ => None,
    }
}

/// A server serves the application around it; any other script is itself.
fn application(line: &CommandLine<'_>, tool: &str) -> String {
    let around = || SERVERS.contains(&tool).then(|| line.cwd_name()).flatten();
    around().unwrap_or_else(|| tool.to_string())
}

/// `puma 6.4.0 (tcp://0.0.0.0:3000) [shop]`, `puma: cluster worker 0: 7 [shop]`, `sidekiq 7.1.2 shop [0 of 5 busy]`.
fn from_title(line: &CommandLine<'_>, title: &str) -> String {
    let tool = title.split([' ', ':']).next().unwrap_or(title);
    let bracket = title.rsplit_once('[').and_then(|(_, inside)| inside.split(']').next()).unwrap_or_default();
    match tool {
        "puma" if !bracket.is_empty() => bracket.to_string(),
        "sidekiq" => title.split(' ').nth(2).filter(|name| !name.starts_with('[')).unwrap_or(tool).to_string(),
        tool => application(line, stem(tool, &[".rb"])),
    }
}
