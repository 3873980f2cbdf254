//! What a user did wrong, in one sentence that names the thing, the place and the remedy.

use std::path::PathBuf;

use super::source::Source;

/// Why the agent cannot start as asked.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The command line makes no sense; the sentence is complete.
    #[error("{0}")]
    Arguments(String),
    /// An option has a value that it cannot have.
    #[error("{source_name}: {value:?} {problem}")]
    Value {
        /// Where the value was written: `--flag`, `VARIABLE` or `file:line (key)`.
        source_name: String,
        /// The value as written.
        value: String,
        /// What is wrong and what would be right, as the rest of a sentence.
        problem: String,
    },
    /// A key of the configuration file that no option has.
    #[error("{}:{line}: unknown key `{key}`; {remedy}", file.display())]
    UnknownKey {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The key.
        key: String,
        /// The nearest key, or where to look.
        remedy: String,
    },
    /// A variable that starts like ours but belongs to no option.
    #[error("{name}: no option has this variable; {remedy}")]
    UnknownVariable {
        /// The variable.
        name: String,
        /// The nearest variable, or where to look.
        remedy: String,
    },
    /// The configuration file is no YAML mapping of options.
    #[error("{}:{line}: {problem}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A block of the configuration cannot be used.
    #[error("{place}: {problem}")]
    Block {
        /// Where the block was written.
        place: String,
        /// What is wrong, where in the block, and what would be right.
        problem: String,
    },
    /// An OTLP setting cannot be used; the sentence is complete.
    #[error("{0}")]
    Otlp(String),
    /// Two values that are right alone and wrong together.
    #[error("{0}")]
    Contradiction(String),
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {} named by {named_by}: {error}; correct the path or its permissions", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Flag or variable that named it, or `default`.
        named_by: Source,
        /// What the operating system said.
        error: std::io::Error,
    },
}

impl ConfigError {
    /// The process's exit status: 2 for wrong usage, 1 for an environment that does not allow what was asked.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Unreadable { .. } => 1,
            _ => 2,
        }
    }
}

/// The candidate nearest to `word`, if it is near enough to be a slip of the fingers.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edits (insert, delete, replace, swap of neighbours) between two words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_of_the_fingers_finds_the_word_that_was_meant() {
        let words = ["trace-hold", "include", "exclude", "ring-bytes"];
        assert_eq!(nearest("trace-hodl", words), Some("trace-hold"));
        assert_eq!(nearest("inclde", words), Some("include"));
        assert_eq!(nearest("trace_hold", words), Some("trace-hold"));
    }

    #[test]
    fn a_word_far_from_all_suggests_none() {
        assert_eq!(nearest("sampling-ratio", ["trace-hold", "include"]), None);
    }
}
