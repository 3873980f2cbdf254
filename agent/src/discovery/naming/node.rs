//! Node, Deno and Bun: the nearest `package.json`, or the script.

use std::path::Path;

use super::options::{Options, Stop};
use super::{CommandLine, directory, project, stem};

/// Options whose value is the next argument (node(1), deno run, bun run).
const OPTIONS: Options = Options {
    with_value: &[
        "-r",
        "--require",
        "--import",
        "--loader",
        "--experimental-loader",
        "-C",
        "--conditions",
        "--env-file",
        "--watch-path",
        "--icu-data-dir",
        "--openssl-config",
        "--title",
        "--cwd",
        "-c",
        "--config",
        "--import-map",
        "--preload",
    ],
    letters_with_value: "",
};

const ENDINGS: &[&str] = &[".js", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".jsx", ".tsx"];

/// Directories above the script in which a `package.json` is still thought to be the script's own.
const NEAR: usize = 4;

/// What is run beside a program, not as one.
const PACKAGERS: &[&str] = &["npm", "npx", "yarn", "pnpm", "corepack"];

pub(super) fn read(line: &CommandLine<'_>) -> Option<String> {
    if let Some(title) = line.title() {
        // `npm run start`, `PM2 v5.3.0: God Daemon`, `next-server (v14.1.0)`
        return title.split([' ', ':']).next().map(str::to_string);
    }
    script(line, line.args)
}

/// `deno run -A main.ts`, `bun run server.ts`, `bun server.ts`.
pub(super) fn read_with_command(line: &CommandLine<'_>) -> Option<String> {
    match line.args.split_first() {
        Some((command, rest)) if ["run", "serve", "watch", "test", "x"].contains(&command.as_str()) => {
            script(line, rest)
        }
        _ => script(line, line.args),
    }
}

fn script(line: &CommandLine<'_>, args: &[String]) -> Option<String> {
    let (script, rest) = match OPTIONS.walk(args, &["-e", "--eval", "-p", "--print"]) {
        Stop::Positional("inspect", rest) => (rest.first()?.as_str(), rest.get(1..)?),
        Stop::Positional(script, rest) => (script, rest),
        Stop::Option(..) | Stop::Nothing => return None,
    };
    if let Some(tool) = tool(script) {
        return Some(run_by_tool(line, tool, rest));
    }
    let name = package(line, script).unwrap_or_else(|| match stem(script, ENDINGS) {
        "index" | "main" | "." => directory(line, script).unwrap_or_else(|| stem(script, ENDINGS).to_string()),
        stem => stem.to_string(),
    });
    Some(name)
}

/// The package that a script belongs to when it was installed, not written here: `…/node_modules/.bin/ts-node`.
fn tool(script: &str) -> Option<&str> {
    let inside = script.rsplit_once("node_modules/")?.1;
    let inside = inside.strip_prefix(".bin/").unwrap_or(inside);
    let mut parts = inside.split('/');
    match parts.next()? {
        scope if scope.starts_with('@') => parts.next(),
        name => Some(name),
    }
}

/// `ts-node src/server.ts` is what `node src/server.ts` would be, `next start` is the package in the working directory, `npm`
/// is itself.
fn run_by_tool(line: &CommandLine<'_>, tool: &str, rest: &[String]) -> String {
    if PACKAGERS.contains(&tool) {
        return tool.to_string();
    }
    if let Some(own) =
        rest.iter().find(|arg| !arg.starts_with('-') && ENDINGS.iter().any(|ending| arg.ends_with(ending)))
    {
        return package(line, own).unwrap_or_else(|| stem(own, ENDINGS).to_string());
    }
    package(line, "./x").unwrap_or_else(|| tool.to_string())
}

/// Name in the nearest `package.json` at or above a script's directory, if it is near and has one.
fn package(line: &CommandLine<'_>, script: &str) -> Option<String> {
    let script = line.absolute(script)?;
    let own = |dir: &&Path| !dir.ends_with("node_modules") && dir.parent().is_some();
    script
        .ancestors()
        .skip(1)
        .take(NEAR)
        .filter(own)
        .find_map(|dir| project::json(&line.file(&dir.join("package.json"))?).and_then(project::own))
}
