//! PHP on the command line; FPM and CGI are called as their executable.

use super::options::{Options, Stop, value_of};
use super::{CommandLine, directory, stem};

/// Options with a value (php(1)); `-S address` serves, and the script behind it routes.
const OPTIONS: Options = Options { with_value: &[], letters_with_value: "SctdzBREF" };

/// Scripts that are called alike in every project.
const GENERIC: &[&str] = &["artisan", "console", "index"];

pub(super) fn read(line: &CommandLine<'_>) -> Option<String> {
    if let Some(title) = line.title() {
        return title.split([':', ' ']).next().map(str::to_string);
    }
    let script = match OPTIONS.walk(line.args, &["-r", "-f"]) {
        Stop::Option("-f", script, _) | Stop::Positional(script, _) => script,
        Stop::Nothing => return value_of(line.args, &["-t"]).map(|root| stem(root, &[]).to_string()),
        Stop::Option(..) => return None,
    };
    let name = stem(script, &[".php", ".phar", ".php8"]);
    match (GENERIC.contains(&name), directory(line, script)) {
        // Symfony's is `bin/console`, the others stand in the project's directory or in its `public`.
        (true, Some(dir)) if dir == "bin" || dir == "public" => {
            let project = line.absolute(script)?;
            let project = project.parent()?.parent()?.file_name()?;
            Some(project.to_string_lossy().into_owned())
        }
        (true, Some(dir)) => Some(dir),
        _ => Some(name.to_string()),
    }
}
