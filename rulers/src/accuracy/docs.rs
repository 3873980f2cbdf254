//! `docs/accuracy.md`, of a full run's figures.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use super::report::{CellReport, Report};
use crate::stacks::{self, Shape, Stack};

/// What `docs` takes.
#[derive(Args)]
pub struct Options {
    /// The figures of a full run.
    figures: PathBuf,
    /// Where the page goes.
    #[arg(long, default_value = "docs/accuracy.md")]
    to: PathBuf,
}

/// What `cargo xtask losses` found.
const LOSSES: &str = include_str!("../losses/figures.md");

const ABOUT: &str = "\
# Link accuracy

How many of the links between spans are right, measured against the truth. Generated: do not edit.

```sh
cargo xtask accuracy                                          # everything: about two hours
cargo xtask accuracy -- --short                               # the form for CI: a few minutes
cargo xtask accuracy -- --stack express --shape forget --level 8
cargo xtask accuracy -- compare OLD.json NEW.json
cargo xtask accuracy -- docs target/accuracy/accuracy.json    # writes this page
```

It fails when an exact parent is wrong, or more than one in a thousand of the inferred ones of a stack and shape (one in a hundred of a stack in the short form), when a trace is mixed otherwise, a span comes twice, or one is missing and the agent counted no loss.

## What is measured

Real servers with real clients form call graphs: `driver → server → leaf`, with a second server in between for `chain`. Every request bears its number and its place in
the tree in its path (`/hop/17/0.2`), which the agent does not use, so the spans alone tell afterwards what the tree should have been. What took place is known from the two ends, the driver's and
the leaf's own records. One agent traces a stack's whole run. In the full form every cell (stack, shape, level) has fresh processes and
some hundred requests; in the short form a stack's processes serve all shapes and levels, and a cell is a handful of requests.

- **Level**: requests in flight on average. The load is an open loop: arrivals at random (exponential gaps, the same in every run), which do not wait for answers. Level 0 is 0.25 in flight: mostly none, seldom
  two. A server with few workers gets as many as wait in its queue.
- The leaf delays each answer by 0.4 to 1.6 times the mean, so that requests overtake each other. One request in eight uses a connection of its own.
- **Shapes** (`rulers/programs/README.md`): `chain` one call; `sequence` three in turn; `parallel` three at once; `retry` one that fails and another; `forget` answers, then calls; `pool` through two shared
  connections; `queue` by one of two workers; `timer` waits, then calls.
- **Hard shapes**, of programs of their own: what one request does for others (`shared`, `token`, `timed`, `sized`), where they wait for each other (`semaphore`, `barrier`), what is nobody's (`refresh`, `prefetch`), pools
  that shrink or begin late (`shrinking`, `lazy`), work on the server's own threads (`after`, `other`, `handon`), a call that blocks a loop (`blocking`), and all of them in one process (`mix`).
  A call for many requests belongs to the one that caused it; what is refreshed for whoever found it stale belongs to none.

## How to read it

A *call* is the link from a CLIENT span to the SERVER span during which the program made it. A *join* is the link from a SERVER span to the CLIENT span of the same exchange.

| | |
|---|---|
| right | the parent is the true one |
| wrong | it is another one. Must be 0 for what is exact, and at most one in a thousand for what is inferred, by stack and shape |
| orphan | there is no parent where the truth has one: the call is a trace of its own, with its callee |
| inferred | right or wrong, but marked by `wirespan.link.evidence`: not proven |
| mixed | traces that hold two requests, but for those that a wrong inferred link made. Must be 0 |

";

/// Writes the page.
pub fn command(options: &Options) -> Result<()> {
    let report = Report::read(&options.figures)?;
    std::fs::write(&options.to, page(&report)).with_context(|| options.to.display().to_string())
}

/// The page.
pub fn page(report: &Report) -> String {
    let mut page = String::from(ABOUT);
    let Report { commit, agent, kernel, date, cpus, form, .. } = report;
    let _ = writeln!(
        page,
        "## Figures\n\nCommit `{commit}` ({agent}), {date}, Linux {kernel}, {cpus} CPUs. The {form} form.\n"
    );
    let absent: Vec<&str> =
        stacks::all().iter().map(|stack| stack.name).filter(|name| !report.stacks.contains_key(*name)).collect();
    if !absent.is_empty() {
        let _ = writeln!(page, "Not measured in this run: {}.\n", absent.join(", "));
    }
    summary(&mut page, report);
    by_shape(&mut page, report, "", &Shape::USUAL);
    by_shape(&mut page, report, ": hard shapes", &Shape::HARD);
    by_evidence(&mut page, report);
    by_stack(&mut page, report);
    page.push_str(LOSSES);
    page
}

/// One line a stack: everything that was counted.
fn summary(page: &mut String, report: &Report) {
    page.push_str(
        "| stack | requests | failed | spans | calls right | inferred | wrong, exact/inferred | orphans | joins right | mixed |\n",
    );
    page.push_str("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n");
    for stack in measured(report) {
        let cells = || report.cells.iter().filter(|cell| cell.stack == stack.name);
        let sum = |of: fn(&CellReport) -> u64| cells().map(of).sum::<u64>();
        let calls = sum(|cell| cell.tally.calls.expected);
        let joins = sum(|cell| cell.tally.joins.expected);
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {}/{} | {} | {} | {} |",
            stack.name,
            sum(|cell| cell.requests),
            sum(|cell| cell.requests - cell.answered),
            percent(sum(|cell| cell.tally.found), sum(|cell| cell.tally.expected)),
            percent(sum(|cell| cell.tally.calls.right.total()), calls),
            percent(sum(|cell| cell.tally.calls.right.inferred), calls),
            sum(|cell| cell.tally.wrong().exact),
            sum(|cell| cell.tally.wrong().inferred),
            percent(sum(|cell| cell.tally.calls.orphans), calls),
            percent(sum(|cell| cell.tally.joins.right.total()), joins),
            sum(|cell| cell.tally.mixed),
        );
    }
}

/// Calls linked right, by stack, shape and level.
fn by_shape(page: &mut String, report: &Report, what: &str, shapes: &[Shape]) {
    let levels: BTreeSet<u32> = report.cells.iter().map(|cell| cell.level).collect();
    let named: Vec<String> = levels.iter().map(ToString::to_string).collect();
    let _ = writeln!(page, "\n### Calls linked right, percent{what}\n\nAt the levels {}.\n", named.join(" · "));
    let _ = writeln!(page, "| stack | {} |", shapes.iter().map(|shape| shape.name()).collect::<Vec<_>>().join(" | "));
    let _ = writeln!(page, "|---|{}", "--:|".repeat(shapes.len()));
    let does = |stack: &Stack| shapes.iter().any(|shape| stack.shapes.contains(shape));
    for stack in measured(report).into_iter().filter(|stack| does(stack)) {
        let _ = write!(page, "| {} |", stack.name);
        for shape in shapes {
            let cells = report.cells.iter().filter(|cell| cell.stack == stack.name && cell.shape == shape.name());
            let mut shares: Vec<(u32, String)> = cells
                .map(|cell| {
                    let calls = &cell.tally.calls;
                    let wrong = if cell.tally.wrong().total() > 0 { "**!**" } else { "" };
                    (cell.level, format!("{}{wrong}", whole_percent(calls.right.total(), calls.expected)))
                })
                .collect();
            shares.sort_unstable();
            let shares: Vec<String> = shares.into_iter().map(|(_, share)| share).collect();
            let _ = write!(page, " {} |", if shares.is_empty() { "–".to_owned() } else { shares.join(" · ") });
        }
        page.push('\n');
    }
}

/// What inferred links rest on, by stack: how many are right and wrong.
fn by_evidence(page: &mut String, report: &Report) {
    page.push_str(
        "\n### Inferred links, by what they rest on\n\n| stack | evidence | right | wrong |\n|---|---|--:|--:|\n",
    );
    for stack in measured(report) {
        for (evidence, split) in report.evidence_of(|cell| cell.stack == stack.name) {
            let _ = writeln!(page, "| {} | `{evidence}` | {} | {} |", stack.name, split.right, split.wrong);
        }
    }
}

/// What each stack is, what it leaves out, and why calls are not linked.
fn by_stack(page: &mut String, report: &Report) {
    page.push_str("\n### Stacks, and what cannot be linked today\n");
    for stack in measured(report) {
        let Some(measured) = report.stacks.get(stack.name) else { continue };
        let versions: Vec<String> =
            measured.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        let _ = writeln!(page, "\n**{}** – {} ({})\n", stack.name, stack.title, versions.join(", "));
        if !stack.limits.is_empty() {
            let _ = writeln!(page, "- Not linked: {}.", stack.limits);
        }
        for reason in stack.left_out.iter().map(|(_, reason)| *reason).collect::<BTreeSet<_>>() {
            let shapes = stack.left_out.iter().filter(|(_, other)| *other == reason);
            let names: Vec<String> = shapes.map(|(shape, _)| format!("`{shape}`")).collect();
            let _ = writeln!(page, "- Without {}: {reason}.", names.join(", "));
        }
        let losses: Vec<String> = measured.losses.iter().map(|(name, lost)| format!("`{name}` {lost}")).collect();
        if !losses.is_empty() {
            let _ = writeln!(page, "- The agent's own losses in this run: {}.", losses.join(", "));
        }
        for error in &measured.errors {
            let _ = writeln!(page, "- Could not be measured in full: {error}.");
        }
    }
}

/// Stacks that the report has, in the registry's order.
fn measured(report: &Report) -> Vec<&'static Stack> {
    stacks::all().into_iter().filter(|stack| report.stacks.contains_key(stack.name)).collect()
}

/// Never 100 % when one is missing, never 0 % when one is there.
fn percent(part: u64, all: u64) -> String {
    if all == 0 {
        return "–".to_owned();
    }
    let exact = 100.0 * part as f64 / all as f64;
    match part {
        0 => "0 %".to_owned(),
        _ if part == all => "100 %".to_owned(),
        _ => format!("{:.1} %", exact.clamp(0.1, 99.9)),
    }
}

/// The same without decimals.
fn whole_percent(part: u64, all: u64) -> String {
    match part {
        0 => "0".to_owned(),
        _ if part == all => "100".to_owned(),
        _ => format!("{:.0}", (100.0 * part as f64 / all as f64).clamp(1.0, 99.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_to_all_or_nothing_only_when_it_is() {
        assert_eq!((percent(0, 5), percent(5, 5), percent(1, 5)), ("0 %".into(), "100 %".into(), "20.0 %".into()));
        assert_eq!((percent(99_999, 100_000), percent(1, 100_000)), ("99.9 %".into(), "0.1 %".into()));
        assert_eq!((whole_percent(999, 1000), whole_percent(1, 1000)), ("99".into(), "1".into()));
    }

    #[test]
    fn the_page_names_every_stack_that_was_measured_and_marks_wrong_cells() {
        let stack = stacks::all()[0];
        let mut report = Report::default();
        report.stacks.insert(stack.name.to_owned(), Default::default());
        let mut cell =
            CellReport { stack: stack.name.to_owned(), shape: "chain".to_owned(), level: 8, ..Default::default() };
        cell.tally.calls.expected = 10;
        cell.tally.calls.right.exact = 9;
        cell.tally.calls.wrong.exact = 1;
        report.cells.push(cell);
        let page = page(&report);
        assert!(page.contains(stack.title) && page.contains("90**!**"), "{page}");
    }
}
