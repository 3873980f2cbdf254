//! What failed and what it said, told once more at the end: who sees only the end of a long output sees why.

/// Bytes of what one failure said that are told again.
const SAID: usize = 700;
/// Failures that are told again; a count stands for the rest.
const TOLD: usize = 12;

/// Reads the output of test programs, keeps what they say of their failures.
#[derive(Default)]
pub struct Failures {
    found: Vec<Failure>,
    at: At,
}

struct Failure {
    name: String,
    said: String,
}

/// Where libtest's output is: it tells what failed tests wrote between two lines `failures:`, a block a test.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum At {
    #[default]
    Outside,
    /// In the list, before a test's block or behind what matters in it.
    Between,
    /// In what a test said before it panicked.
    Before,
    /// In its message.
    Message,
}

impl Failures {
    /// Hears one line that a test program wrote.
    pub fn hear(&mut self, line: &str) {
        if line == "failures:" {
            self.at = if self.at == At::Outside { At::Between } else { At::Outside };
        } else if line.starts_with("test result: ") {
            self.at = At::Outside;
        } else if self.at != At::Outside {
            self.hear_failure(line);
        }
    }

    fn hear_failure(&mut self, line: &str) {
        if let Some(name) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----")) {
            self.found.push(Failure { name: name.to_owned(), said: String::new() });
            self.at = At::Before;
            return;
        }
        let Some(failure) = self.found.last_mut() else { return };
        match self.at {
            At::Before if line.contains("panicked at ") => {
                failure.add(line);
                self.at = At::Message;
            }
            At::Message if line.starts_with("note: ") || line == "stack backtrace:" => self.at = At::Between,
            At::Message => failure.add(line),
            _ => {}
        }
    }

    /// A failure of something that is no test program.
    pub fn add(&mut self, name: impl Into<String>, said: &str) {
        let mut failure = Failure { name: name.into(), said: String::new() };
        failure.add(said);
        self.found.push(failure);
    }

    /// All of `other` too.
    pub fn append(&mut self, mut other: Self) {
        self.found.append(&mut other.found);
    }

    /// What is to be told: nothing where nothing failed.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        for failure in self.found.iter().take(TOLD) {
            text.push_str(&format!("\nfailed: {}\n{}", failure.name, failure.said));
        }
        if let more @ 1.. = self.found.len().saturating_sub(TOLD) {
            text.push_str(&format!("\nfailed: {more} more\n"));
        }
        text
    }
}

impl Failure {
    fn add(&mut self, line: &str) {
        let room = SAID.saturating_sub(self.said.len());
        if room > 0 {
            self.said.push_str(&line[..line.floor_char_boundary(room)]);
            self.said.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(output: &str) -> String {
        let mut failures = Failures::default();
        output.lines().for_each(|line| failures.hear(line));
        failures.summary()
    }

    #[test]
    fn what_a_test_said_when_it_panicked_is_told_without_the_rest() {
        let output = "test one ... FAILED\n\nfailures:\n\n---- load::one stdout ----\nsetting up\n\nthread 'load::one' (7) panicked at \
                      tests/load.rs:3:5:\nassertion failed: two\nlines\nstack backtrace:\n   0: rust_begin_unwind\n\n\nfailures:\n    \
                      load::one\n\ntest result: FAILED. 0 passed; 1 failed; 0 ignored\n";
        let wanted = "\nfailed: load::one\nthread 'load::one' (7) panicked at tests/load.rs:3:5:\nassertion failed: two\nlines\n";
        assert_eq!(told(output), wanted);
        assert_eq!(told("test one ... ok\ntest result: ok. 1 passed; 0 failed\n"), "");
    }

    #[test]
    fn what_is_told_is_bounded() {
        let mut failures = Failures::default();
        for number in 0..100 {
            failures.add(format!("kernel {number}"), &"ä".repeat(10_000));
        }
        let summary = failures.summary();
        assert!(summary.len() < TOLD * (SAID + 100));
        assert!(summary.ends_with("failed: 88 more\n"));
    }
}
