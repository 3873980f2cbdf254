//! Two reports side by side: what got better, what got worse.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::judge::Tally;
use super::report::{CellReport, Report};

/// What `compare` takes.
#[derive(Args)]
pub struct Options {
    /// The figures before.
    old: PathBuf,
    /// The figures after.
    new: PathBuf,
}

/// A figure of a cell, how it is called, and whether more of it is good.
type Figure = (&'static str, bool, fn(&Tally) -> Share);

/// So many of so many.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Share {
    of: u64,
    all: u64,
}

const FIGURES: [Figure; 6] = [
    ("spans found", true, |tally| Share { of: tally.found, all: tally.expected }),
    ("calls right", true, |tally| Share { of: tally.calls.right.total(), all: tally.calls.expected }),
    ("joins right", true, |tally| Share { of: tally.joins.right.total(), all: tally.joins.expected }),
    ("wrong parents", false, |tally| Share { of: tally.wrong().total(), all: tally.expected }),
    ("mixed traces", false, |tally| Share { of: tally.mixed, all: tally.expected }),
    ("duplicates", false, |tally| Share { of: tally.duplicates, all: tally.expected }),
];

/// What moved by less than this share is noise: which requests overlap differs from run to run.
const NOISE: f64 = 0.05;

/// Prints what differs, and fails when anything that must be zero grew.
pub fn command(options: &Options) -> Result<ExitCode> {
    let (old, new) = (Report::read(&options.old)?, Report::read(&options.new)?);
    println!("{} ({}) → {} ({})\n", old.commit, old.date, new.commit, new.date);
    let differences = differences(&old, &new);
    if differences.is_empty() {
        println!("Nothing differs.");
    } else {
        println!("| stack | shape | level | figure | before | after | |\n|---|---|--:|---|--:|--:|---|");
    }
    for it in &differences {
        let verdict = if it.worse { "worse" } else { "better" };
        println!("| {} | {} | {} | {verdict} |", it.cell, it.figure, it.values);
    }
    let worse = differences.iter().filter(|it| it.worse && it.must_be_zero).count();
    Ok(if worse == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Difference {
    cell: String,
    figure: &'static str,
    values: String,
    worse: bool,
    must_be_zero: bool,
}

fn differences(old: &Report, new: &Report) -> Vec<Difference> {
    let place = |cell: &CellReport| format!("{} | {} | {}", cell.stack, cell.shape, cell.level);
    let before: BTreeMap<String, &CellReport> = old.cells.iter().map(|cell| (place(cell), cell)).collect();
    let mut all = Vec::new();
    for cell in &new.cells {
        let Some(was) = before.get(&place(cell)) else { continue };
        for (figure, more_is_good, of) in FIGURES {
            let (was, is) = (of(&was.tally), of(&cell.tally));
            let moved = is.part() - was.part();
            if (more_is_good && moved.abs() < NOISE) || is == was || moved == 0.0 {
                continue;
            }
            let values = format!("{}/{} | {}/{}", was.of, was.all, is.of, is.all);
            let worse = (moved > 0.0) != more_is_good;
            all.push(Difference { cell: place(cell), figure, values, worse, must_be_zero: !more_is_good });
        }
    }
    all
}

impl Share {
    fn part(self) -> f64 {
        if self.all == 0 { 0.0 } else { self.of as f64 / self.all as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(change: impl Fn(&mut Tally)) -> Report {
        let mut tally = Tally { expected: 400, found: 400, ..Tally::default() };
        tally.calls.expected = 100;
        tally.calls.right.exact = 100;
        change(&mut tally);
        let cell =
            CellReport { stack: "s".to_owned(), shape: "chain".to_owned(), level: 8, tally, ..Default::default() };
        Report { cells: vec![cell], ..Report::default() }
    }

    #[test]
    fn two_equal_reports_do_not_differ() {
        assert!(differences(&report(|_| {}), &report(|_| {})).is_empty());
    }

    #[test]
    fn one_wrong_parent_more_is_worse_and_must_not_be() {
        let found = differences(&report(|_| {}), &report(|tally| tally.calls.wrong.inferred = 1));
        assert_eq!(found.len(), 1);
        assert!(found[0].worse && found[0].must_be_zero && found[0].figure == "wrong parents");
    }

    #[test]
    fn fewer_links_are_worse_beyond_the_noise_only() {
        let fewer = |n: u64| differences(&report(|_| {}), &report(|tally| tally.calls.right.exact = 100 - n));
        assert!(fewer(2).is_empty());
        assert!(fewer(20)[0].worse && !fewer(20)[0].must_be_zero);
    }

    #[test]
    fn cells_that_only_one_report_has_are_not_compared() {
        let mut other = report(|tally| tally.mixed = 3);
        other.cells[0].level = 64;
        assert!(differences(&report(|_| {}), &other).is_empty());
    }
}
