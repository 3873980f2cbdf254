//! Applications' own tests.
//!
//! | module | whose |
//! |---|---|
//! | [`cpython`] | CPython's, of Debian's package |
//! | [`go`] | Go's, of the compiler's own source |
//! | [`urllib3`] | urllib3's, of its source distribution on PyPI |
//! | [`redis`] | Redis's, of Debian's source package, against Debian's binaries |
//! | [`nginx`] | nginx's (the repository nginx-tests), against Debian's binary |
//! | [`postgres`] | pgbench, with the books checked afterwards |

pub mod cpython;
pub mod go;
pub mod nginx;
pub mod postgres;
pub mod redis;
pub mod urllib3;

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::check::{Outcome, Selection};

/// Reads lines `OUTCOME TEST`; what `left_out` says first is the prefix of tests that are not wanted.
fn outcomes(file: &Path) -> Result<Outcome> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut outcome = Outcome::new();
    for line in text.lines() {
        let (said, test) = WORDS
            .iter()
            .find_map(|word| Some((*word, line.strip_prefix(word)?.trim())))
            .with_context(|| format!("{} has an unknown line: {line}", file.display()))?;
        note(&mut outcome, test, said);
    }
    Ok(outcome)
}

/// What a test can say, in the words of every suite.
const WORDS: [&str; 5] = ["passed", "skipped", "expected failure", "failed", "error"];

/// Adds a test; a second one of the same name gets a number.
fn note(outcome: &mut Outcome, test: &str, said: &str) {
    let mut name = test.to_owned();
    let mut number = 2;
    while outcome.contains_key(&name) {
        name = format!("{test} #{number}");
        number += 1;
    }
    outcome.insert(name, said.to_owned());
}

/// A suite in which nothing passed shows nothing. Single tests that are run again may all fail or be skipped.
fn some_passed(outcome: &Outcome, selection: &Selection, log: &str) -> Result<()> {
    let whole = selection.0.is_empty();
    let ran = outcome.values().any(|said| !whole || said == "passed");
    ensure!(ran, "not one test passed:\n{}", log.lines().rev().take(20).collect::<Vec<_>>().join("\n"));
    Ok(())
}

/// The name of a test without its number, as the suite knows it.
fn unnumbered(test: &str) -> &str {
    match test.rsplit_once(" #") {
        Some((name, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => test,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_must_pass_somewhere_and_a_test_that_is_run_again_need_not() {
        let skipped = Outcome::from([("a".to_owned(), "skipped".to_owned())]);
        let again = Selection(vec!["a".to_owned()]);
        assert!(some_passed(&skipped, &Selection::default(), "").is_err());
        assert!(some_passed(&skipped, &again, "").is_ok());
        assert!(some_passed(&Outcome::new(), &again, "").is_err());
    }

    #[test]
    fn two_tests_of_one_name_are_two_results() {
        let mut outcome = Outcome::new();
        note(&mut outcome, "SET", "passed");
        note(&mut outcome, "SET", "failed");
        assert_eq!(outcome["SET #2"], "failed");
        assert_eq!(unnumbered("SET #2"), "SET");
        assert_eq!(unnumbered("SET # of keys"), "SET # of keys");
    }

    #[test]
    fn an_outcome_nobody_knows_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("o");
        std::fs::write(&file, "passed a.b\nexpected failure c\n").unwrap();
        assert_eq!(outcomes(&file).unwrap().len(), 2);
        std::fs::write(&file, "perhaps a.b\n").unwrap();
        assert!(outcomes(&file).is_err());
    }
}
