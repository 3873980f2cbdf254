//! Two outcomes test by test, and whether a difference is the agent's doing.

use super::check::Outcome;

/// How often a test that differed is run in all, each way.
pub const RUNS: usize = 5;

/// What a test said in every run, without and with the agent; `None` where it was not reached.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The test.
    pub test: String,
    /// Without the agent.
    pub without: Vec<Option<String>>,
    /// With the agent.
    pub with: Vec<Option<String>>,
}

/// What a difference means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The test varies without the agent as well.
    Flaky,
    /// It differed with the agent, in one run only.
    Unclear,
    /// It differs with the agent.
    Harmed,
}

impl Verdict {
    /// The word in tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Flaky => "flaky",
            Self::Unclear => "unclear",
            Self::Harmed => "harmed",
        }
    }
}

/// The tests that did not say the same, those that only one side has among them.
pub fn differing(without: &Outcome, with: &Outcome) -> Vec<String> {
    let mut names: Vec<&String> = without.keys().chain(with.keys()).collect();
    names.sort();
    names.dedup();
    names.into_iter().filter(|name| without.get(*name) != with.get(*name)).cloned().collect()
}

impl Difference {
    /// A test that has not been run yet.
    pub fn new(test: String) -> Self {
        Self { test, without: Vec::new(), with: Vec::new() }
    }

    /// Adds what the test said in one run each way.
    pub fn add(&mut self, without: &Outcome, with: &Outcome) {
        self.without.push(without.get(&self.test).cloned());
        self.with.push(with.get(&self.test).cloned());
    }

    /// What the runs mean. Usual is what most runs without the agent said. A test that was always usual without is harmed if it
    /// was not in two runs with; one that varies by itself, if it was unusual much more often with than without.
    pub fn verdict(&self) -> Verdict {
        let usual = self.usual();
        let unusual = |runs: &[Option<String>]| runs.iter().filter(|run| *run != usual).count();
        match (unusual(&self.without), unusual(&self.with)) {
            (0, 0) => Verdict::Flaky,
            (0, 1) if self.with.len() > 1 => Verdict::Unclear,
            (0, _) => Verdict::Harmed,
            (without, with) if with >= without + RUNS.div_ceil(2) => Verdict::Harmed,
            _ => Verdict::Flaky,
        }
    }

    fn usual(&self) -> &Option<String> {
        let count = |value: &Option<String>| self.without.iter().filter(|run| *run == value).count();
        self.without.iter().max_by_key(|value| count(value)).unwrap_or(&None)
    }

    /// The runs in a few words: `passed ×5 | failed ×5`.
    pub fn summary(&self) -> String {
        format!("without: {}; with: {}", tally(&self.without), tally(&self.with))
    }
}

fn tally(runs: &[Option<String>]) -> String {
    let mut counted: Vec<(String, usize)> = Vec::new();
    for run in runs {
        let word = run.as_deref().map_or("not reached".to_owned(), shortened);
        match counted.iter_mut().find(|(known, _)| *known == word) {
            Some((_, count)) => *count += 1,
            None => counted.push((word, 1)),
        }
    }
    let words: Vec<String> = counted.into_iter().map(|(word, count)| format!("{word} ×{count}")).collect();
    words.join(", ")
}

/// One line of at most 60 characters; the JSON has all of it.
fn shortened(text: &str) -> String {
    let line = text.replace('\n', "⏎").replace('|', "¦");
    if line.chars().count() <= 60 { line } else { line.chars().take(59).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(tests: &[(&str, &str)]) -> Outcome {
        tests.iter().map(|(name, said)| ((*name).to_owned(), (*said).to_owned())).collect()
    }

    fn verdict(without: &[&str], with: &[&str]) -> Verdict {
        let mut difference = Difference::new("t".to_owned());
        for (without, with) in without.iter().zip(with) {
            let side = |word: &str| if word == "-" { Outcome::new() } else { outcome(&[("t", word)]) };
            difference.add(&side(without), &side(with));
        }
        difference.verdict()
    }

    #[test]
    fn equal_outcomes_do_not_differ() {
        let one = outcome(&[("a", "passed"), ("b", "skipped")]);
        assert!(differing(&one, &one.clone()).is_empty());
    }

    #[test]
    fn a_test_that_fails_vanishes_or_appears_with_the_agent_differs() {
        let without = outcome(&[("a", "passed"), ("b", "passed"), ("c", "skipped")]);
        let with = outcome(&[("a", "failed"), ("c", "skipped"), ("d", "passed")]);
        assert_eq!(differing(&without, &with), ["a", "b", "d"]);
    }

    #[test]
    fn failing_each_time_with_the_agent_alone_is_harm() {
        assert_eq!(verdict(&["p"; 5], &["f"; 5]), Verdict::Harmed);
        assert_eq!(verdict(&["p"; 5], &["-"; 5]), Verdict::Harmed);
        assert_eq!(verdict(&["p"; 5], &["f", "p", "p", "f", "p"]), Verdict::Harmed);
        assert_eq!(verdict(&["p"], &["f"]), Verdict::Harmed);
    }

    #[test]
    fn failing_once_with_the_agent_is_unclear() {
        assert_eq!(verdict(&["p"; 5], &["f", "p", "p", "p", "p"]), Verdict::Unclear);
    }

    #[test]
    fn failing_now_and_then_on_both_sides_is_flaky() {
        assert_eq!(verdict(&["f", "p", "p", "p", "p"], &["p"; 5]), Verdict::Flaky);
        assert_eq!(verdict(&["p", "f", "p", "p", "p"], &["f", "f", "p", "p", "p"]), Verdict::Flaky);
    }

    #[test]
    fn harm_is_seen_in_a_test_that_also_fails_without_the_agent_sometimes() {
        assert_eq!(verdict(&["p", "f", "p", "p", "p"], &["f"; 5]), Verdict::Harmed);
    }

    #[test]
    fn the_summary_counts_what_each_side_said() {
        let mut difference = Difference::new("t".to_owned());
        difference.add(&outcome(&[("t", "a\nb")]), &Outcome::new());
        assert_eq!(difference.summary(), "without: a⏎b ×1; with: not reached ×1");
    }
}
