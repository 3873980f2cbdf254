//! Runtimes that need a few lines each, and programs that need none.

use super::options::{Options, Stop, value_of};
use super::{CommandLine, stem, without_version};
use crate::discovery::facts::Facts;

/// An executable is called as its file. When the kernel's link could not be read, its title may have it.
pub(super) fn native(facts: &Facts) -> String {
    without_version(facts.exe_name()).to_string()
}

/// `dotnet Shop.dll`, `dotnet run --project src/Shop`, `dotnet exec --depsfile X Shop.dll`.
pub(super) fn dotnet(line: &CommandLine<'_>) -> Option<String> {
    const ENDINGS: &[&str] = &[".dll", ".exe", ".csproj", ".fsproj"];
    if let Some(assembly) = line.args.iter().find(|arg| arg.ends_with(".dll") || arg.ends_with(".exe")) {
        return Some(stem(assembly, ENDINGS).to_string());
    }
    match line.args.first().map(String::as_str) {
        Some("run" | "watch") => match value_of(line.args, &["--project", "-p"]) {
            Some(project) => Some(stem(project, ENDINGS).to_string()),
            None => line.cwd_name(),
        },
        _ => None,
    }
}

/// `beam.smp … -sname shop@host` is `shop`.
pub(super) fn erlang(line: &CommandLine<'_>) -> Option<String> {
    let node = value_of(line.args, &["-sname", "-name"])?;
    Some(node.split('@').next().unwrap_or(node).to_string())
}

/// Options with a value (perlrun(1)).
const PERL: Options = Options { with_value: &[], letters_with_value: "ImMDCFx0i" };

pub(super) fn perl(line: &CommandLine<'_>) -> Option<String> {
    match PERL.walk(line.args, &["-e", "-E"]) {
        Stop::Positional(script, _) => Some(stem(script, &[".pl", ".psgi"]).to_string()),
        _ => None,
    }
}
