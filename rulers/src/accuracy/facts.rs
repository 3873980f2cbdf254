//! Golden logs: what linking was told of the programs under measurement, as `links/captures/` has it.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Where the agent writes everything that linking is told, in its working folder.
pub const FILE: &str = "facts.log";

/// Leaves the lines of some processes in `<folder>/<stack>.facts`. The truth stands in the paths.
///
/// # Errors
///
/// When a file cannot be read or written.
pub fn write(folder: &Path, stack: &str, log: &Path, processes: &HashSet<u32>) -> Result<PathBuf> {
    let text = fs::read_to_string(log).with_context(|| log.display().to_string())?;
    fs::create_dir_all(folder)?;
    let file = folder.join(format!("{stack}.facts"));
    fs::write(&file, of_processes(&text, processes)).with_context(|| file.display().to_string())?;
    Ok(file)
}

/// Facts in which one of the processes takes part, and the names of their requests and calls.
fn of_processes(text: &str, processes: &HashSet<u32>) -> String {
    let is_theirs = |line: &str| {
        let units = line.split(' ').filter_map(|word| word.split_once('/')?.0.parse::<u32>().ok());
        let lost = line.strip_prefix("lost-of ").and_then(|rest| rest.split(' ').next()?.parse().ok());
        line.starts_with("lost ")
            || lost.is_some_and(|process| processes.contains(&process))
            || units.into_iter().any(|process| processes.contains(&process))
    };
    let mut spans: HashSet<&str> = HashSet::new();
    let mut kept = String::new();
    for line in text.lines() {
        let span = line.split(' ').nth(1).unwrap_or_default();
        let wanted = if line.starts_with("name ") { spans.contains(span) } else { is_theirs(line) };
        if wanted {
            if ["read ", "called "].iter().any(|fact| line.starts_with(fact)) {
                spans.insert(span);
            }
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_of_other_processes_and_names_of_their_spans_are_left_out() {
        let text = "read 1 10/0/11 5 7/11/3 true true\nread 2 20/0/20 5 7/20/3 true true\nlost true\n\
                    called 3 20/0/20 connection 9 8/20/3 -\nname 1 /hop/4/0\nname 2 /hop/5/0\nname 3 /hop/5/0.1\n";
        let kept = of_processes(text, &HashSet::from([20]));
        let lines: Vec<&str> = kept.lines().collect();
        assert_eq!(lines.len(), 5, "{kept}");
        assert!(!kept.contains("name 1") && kept.contains("name 3 /hop/5/0.1") && kept.contains("lost true"));
    }
}
