//! Go's own tests of `net/http`, whose server, transport and client are what is probed.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use wirespan_tests::services::clients;

use super::{note, some_passed};
use crate::harmless::check::{Outcome, Run, Selection, World};
use crate::harmless::{packages, process};

/// How long all may take.
const LIMIT: Duration = Duration::from_secs(400);
/// What a result looks like, and what that is called here.
const RESULTS: [(&str, &str); 3] = [("--- PASS: ", "passed"), ("--- FAIL: ", "failed"), ("--- SKIP: ", "skipped")];

/// All tests (in the short form those that take long are short, too), or those that differed.
pub fn run(world: &World, selection: &Selection) -> Result<Run> {
    let go = clients::go()?;
    // `<root>/bin/go`
    let source = go.ancestors().nth(2).context("Go without a folder")?.join("src/net/http");
    let tests = packages::cached(world, "go-http", |folder| {
        let mut build = Command::new(&go);
        build.current_dir(&source).env("GOTOOLCHAIN", "local").env("GOFLAGS", "").env("GOCACHE", folder.join("cache"));
        packages::fetch(build.args(["test", "-c", "-o"]).arg(folder.join("http.test")), folder).map(drop)?;
        std::fs::remove_dir_all(folder.join("cache")).context("the compiler's cache")
    })?;
    let folder = world.folder("go-http")?;
    let mut command = Command::new(tests.join("http.test"));
    command.current_dir(&source).arg("-test.v").args(world.short.then_some("-test.short"));
    command.args(wanted(selection));
    let ended = process::run(&mut command, &folder.join("log"), LIMIT)?;
    let mut outcome = outcomes(&ended.text);
    some_passed(&outcome, selection, &ended.text)?;
    let end = if ended.status.is_some() { "passed" } else { "failed" };
    outcome.insert("net/http ended in time".to_owned(), end.to_owned());
    Ok(Run { outcome, ..Run::default() })
}

/// All tests, or those that differed; a test brings its parts.
fn wanted(selection: &Selection) -> Vec<String> {
    let mut whole: Vec<&str> = selection.0.iter().filter_map(|test| test.split('/').next()).collect();
    whole.retain(|name| name.starts_with("Test"));
    whole.dedup();
    match whole.is_empty() {
        true => Vec::new(),
        false => vec!["-test.run".to_owned(), format!("^({})$", whole.join("|"))],
    }
}

/// Every line that is a result. Its time is not compared.
fn outcomes(text: &str) -> Outcome {
    let mut outcome = Outcome::new();
    for line in text.lines() {
        let result = RESULTS.iter().find_map(|(mark, said)| Some((line.trim_start().strip_prefix(mark)?, *said)));
        if let Some((test, said)) = result {
            note(&mut outcome, test.split(" (").next().unwrap_or(test), said);
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::outcomes;

    #[test]
    fn results_are_read_with_those_of_their_parts() {
        let text = "=== RUN   TestA\n    a_test.go:1: said\n--- PASS: TestA (0.02s)\n    --- SKIP: TestA/h2 (0.00s)\n\
                    --- FAIL: TestB (1.00s)\nFAIL\n";
        let found: Vec<_> = outcomes(text).into_iter().collect();
        let said = |test: &str, said: &str| (test.to_owned(), said.to_owned());
        assert_eq!(found, [said("TestA", "passed"), said("TestA/h2", "skipped"), said("TestB", "failed")]);
    }
}
