//! The tables: one line for each subject, one line for each figure that stands alone, one for each step of growth.

use std::fmt::Write;

use super::{Measure, Report, Row, Table};
use crate::bench::calls::CALLERS;
use crate::bench::growth::Axis;
use crate::bench::stats::{interval, median};
use crate::bench::subjects::SUBJECTS;
use crate::bench::tls::SECURED;

/// The whole report.
pub fn write(report: &Report) -> String {
    let mut text = String::new();
    for (name, value) in report.conditions.iter() {
        let _ = writeln!(text, "- {name}: {value}");
    }
    let programs: Vec<(&str, &str)> = SUBJECTS.iter().map(|subject| (subject.key, subject.title)).collect();
    let callers: Vec<(&str, &str)> = CALLERS.iter().map(|caller| (caller.key, caller.title)).collect();
    table(&mut text, report, Table::Program, "What the traced programs pay", &programs);
    table(&mut text, report, Table::Calls, "What programs pay that make a call for each request", &callers);
    let secured: Vec<(&str, &str)> = SECURED.iter().map(|secured| (secured.key, secured.title)).collect();
    table(&mut text, report, Table::Tls, "What programs pay whose TLS is read", &secured);
    table(&mut text, report, Table::Agent, "What the agent takes, and what it delivers", &programs);
    alone(&mut text, report);
    growth(&mut text, report);
    table(&mut text, report, Table::Behind, "Behind the ratios", &programs);
    text
}

/// A column for each measure of a table, a line for each of these keys and titles.
fn table(text: &mut String, report: &Report, table: Table, title: &str, lines: &[(&str, &str)]) {
    let rows: Vec<&Row> = report.rows.iter().filter(|row| row.measure.table == table).collect();
    let mut columns: Vec<&Measure> = Vec::new();
    for row in &rows {
        if columns.iter().all(|column| column.key != row.measure.key) {
            columns.push(row.measure);
        }
    }
    if columns.is_empty() {
        return;
    }
    let titles: Vec<&str> = columns.iter().map(|column| column.title).collect();
    let _ = writeln!(text, "\n### {title}\n\n| Program | {} |", titles.join(" | "));
    let _ = writeln!(text, "|---|{}", "---|".repeat(columns.len()));
    for (key, title) in lines {
        let cell = |column: &&Measure| {
            let row = rows.iter().find(|row| row.group == *key && row.measure.key == column.key);
            row.map_or_else(|| "–".to_owned(), |row| with_interval(row) + &judged(row))
        };
        if rows.iter().any(|row| row.group == *key) {
            let cells: Vec<String> = columns.iter().map(cell).collect();
            let _ = writeln!(text, "| {title} | {} |", cells.join(" | "));
        }
    }
}

fn judged(row: &Row) -> String {
    row.aim.map(|aim| format!("; aim {} {}", aim.text(), met(row))).unwrap_or_default()
}

fn met(row: &Row) -> &'static str {
    row.aim.map_or("", |aim| if aim.is_met(row.median()) { "met" } else { "missed" })
}

fn alone(text: &mut String, report: &Report) {
    let mut rows = report.rows.iter().filter(|row| row.measure.table == Table::Alone).peekable();
    if rows.peek().is_none() {
        return;
    }
    text.push_str("\n### The agent itself\n\n| Measure | Median | 95 % interval | Aim | |\n|---|---|---|---|---|\n");
    for row in rows {
        let title = match row.group.strip_prefix("bpf.") {
            Some(program) => format!("{} of `{program}`", row.measure.title),
            None => row.measure.title.to_owned(),
        };
        let ends = interval(&row.values).map(|(low, high)| {
            let unit = row.measure.unit;
            format!("{} to {}", figure(low, unit), figure(high, unit))
        });
        let ends = ends.unwrap_or_else(|| "one value".to_owned());
        let aim = row.aim.map(|aim| aim.text()).unwrap_or_default();
        let middle = figure(row.median(), row.measure.unit);
        let _ = writeln!(text, "| {title} | {middle} | {ends} | {aim} | {} |", met(row));
    }
}

fn growth(text: &mut String, report: &Report) {
    if report.growth.is_empty() {
        return;
    }
    text.push_str("\n### Growth\n\n| What grows | ×1 | ×10 | ×100 | Exponent | Of the steps | Verdict |\n");
    text.push_str("|---|---|---|---|---|---|---|\n");
    for axis in &report.growth {
        for (measure, law) in [(&Measure::GROWTH_CPU, &axis.cpu), (&Measure::GROWTH_MEMORY, &axis.memory)] {
            let cells: Vec<String> = (0..axis.points.len()).map(|n| cell(report, axis, n, measure)).collect();
            let _ = writeln!(
                text,
                "| {}: {} | {} | {} | {} | {} |",
                axis.title,
                measure.title,
                cells.join(" | "),
                exponent(&law.exponents),
                exponent(&law.steps),
                law.verdict
            );
        }
    }
}

fn exponent(values: &[f64]) -> String {
    match interval(values) {
        Some((low, high)) => format!("{:.2} ({low:.2} to {high:.2})", median(values)),
        None => format!("{:.2}", median(values)),
    }
}

fn cell(report: &Report, axis: &Axis, n: usize, measure: &Measure) -> String {
    let group = axis.group(n);
    let row = report.rows.iter().find(|row| row.group == group && row.measure.key == measure.key);
    let size = axis.points.get(n).map(|point| point.size).unwrap_or_default();
    row.map_or_else(String::new, |row| format!("{size:.0}: {}", with_interval(row)))
}

/// `0.64 (0.60 to 0.68)`
pub fn with_interval(row: &Row) -> String {
    let middle = figure(row.median(), row.measure.unit);
    let Some(ends) = interval(&row.values) else { return middle };
    middle + &between(ends, row.measure.unit)
}

/// ` (0.60 to 0.68)`; nothing if both ends are the same.
pub fn between((low, high): (f64, f64), unit: &str) -> String {
    if low == high {
        return String::new();
    }
    let number = |value: f64| figure(value, unit).split(' ').next().unwrap_or_default().to_owned();
    format!(" ({} to {})", number(low), number(high))
}

/// Three significant digits, more only for what is at least a thousand; four decimals for a ratio, lest 0.9996 look like 1.
pub fn figure(value: f64, unit: &str) -> String {
    let digits = match value.abs() {
        _ if unit.is_empty() => 4,
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        size if size >= 0.1 || size == 0.0 => 3,
        _ => 5,
    };
    let text = format!("{value:.digits$}");
    if unit.is_empty() { text } else { format!("{text} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_three_digits() {
        assert_eq!(figure(0.999_64, ""), "0.9996");
        assert_eq!(figure(31_234.5, "1/s"), "31234 1/s");
        assert_eq!(figure(0.012_345, "s"), "0.01235 s");
    }
}
