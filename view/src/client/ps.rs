//! `wirespan ps`: which processes a running agent sees.

use std::process::ExitCode;

use serde::Deserialize;

use super::{Client, ClientError, Endpoint, NOTHING_FOUND, failed, print};
use crate::inventory::{Connections, Links, Row};
use wirespan_delivery::text::words::{harmless, width};

/// Which of them, and how to show them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Also those of which nothing was seen.
    pub all: bool,
    /// One JSON object a line.
    pub json: bool,
}

#[derive(Deserialize)]
struct Found {
    processes: Vec<Row>,
}

/// Asks, and prints what there is. The exit status is 0 if there is anything, 1 if there is nothing.
pub fn run(endpoint: Endpoint, wanted: Wanted) -> ExitCode {
    let place = endpoint.place();
    match ask(endpoint, wanted) {
        Ok(0) => {
            eprintln!(
                "wirespan: the agent at {place} has seen no request of any process yet; --all lists all that there are"
            );
            ExitCode::from(NOTHING_FOUND)
        }
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn ask(endpoint: Endpoint, wanted: Wanted) -> Result<usize, ClientError> {
    let client = Client::new(endpoint)?;
    let found: Found = client.get("/api/v1/processes", &[])?;
    let mut rows = found.processes;
    rows.retain(|row| wanted.all || is_of_interest(row));
    if wanted.json {
        let line = |row: &Row| serde_json::to_string(row).map(|line| line + "\n").unwrap_or_default();
        print(rows.iter().map(line).collect::<String>().as_bytes());
    } else {
        print(table(&rows).as_bytes());
    }
    Ok(rows.len())
}

/// Whether something was seen of it, or somebody said something about it.
fn is_of_interest(row: &Row) -> bool {
    let unmentioned = ["default", "no --include rule", "this agent"].contains(&row.reason.as_str());
    let by_port = row.reason.starts_with("--include port:");
    row.seen || !row.connections.is_empty() || row.linking.is_some() || !(unmentioned || by_port)
}

/// A line for each process, below a line of headings.
fn table(rows: &[Row]) -> String {
    let headings = ["PID", "NAME", "FROM", "RUNTIME", "TRACED", "BY", "CONNECTIONS", "LINKED"].map(str::to_owned);
    let lines: Vec<[String; 8]> = std::iter::once(headings).chain(rows.iter().map(line)).collect();
    let mut widths = [0; 8];
    for line in &lines {
        for (wide, cell) in widths.iter_mut().zip(line) {
            *wide = width(cell).max(*wide);
        }
    }
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().enumerate().map(|(at, cell)| {
            let fill = " ".repeat(widths[at] - width(cell));
            if at == 0 { fill + cell } else { format!("{cell}{fill}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn line(row: &Row) -> [String; 8] {
    let runtime = [row.language.as_deref(), row.language_version.as_deref()];
    let spoken = |c: &Connections| {
        let words = [c.protocol.as_deref().unwrap_or("unknown"), c.role.as_deref().unwrap_or_default()];
        let unread = c.unread.as_ref().map(|why| format!(" (not read: {})", harmless(why))).unwrap_or_default();
        format!("{}×{}{unread}", words.join(" ").trim_end(), c.open)
    };
    let connections: Vec<String> = row.connections.iter().map(spoken).collect();
    [
        row.pid.to_string(),
        harmless(&row.name).into_owned(),
        row.named_by.clone(),
        harmless(&runtime.into_iter().flatten().collect::<Vec<_>>().join(" ")).into_owned(),
        if row.traced { "yes" } else { "no" }.to_owned(),
        harmless(&row.reason).into_owned(),
        connections.join(", "),
        row.linking.as_ref().map(linked).unwrap_or_default(),
    ]
}

/// `2 of 3`, and what stands in the way.
fn linked(links: &Links) -> String {
    let off = links.off.iter().map(|rule| format!("; off: {}", harmless(rule)));
    format!("{} of {}{}", links.linked, links.calls, off.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pid: u32, name: &str, reason: &str) -> Row {
        Row {
            pid,
            parent_pid: 1,
            name: name.to_owned(),
            named_by: "folder".to_owned(),
            executable: "/usr/bin/python3.11".to_owned(),
            language: Some("python".to_owned()),
            language_version: Some("3.11".to_owned()),
            traced: true,
            reason: reason.to_owned(),
            connections: Vec::new(),
            seen: false,
            linking: None,
        }
    }

    #[test]
    fn processes_are_lines_in_columns() {
        let connections = vec![
            Connections { protocol: Some("http".into()), role: Some("server".into()), unread: None, open: 2 },
            Connections { protocol: None, role: None, unread: None, open: 1 },
        ];
        let orders = Row {
            connections,
            linking: Some(Links { calls: 3, linked: 2, off: Vec::new() }),
            ..row(7, "orders", "default")
        };
        let odd = Row {
            language: None,
            language_version: None,
            traced: false,
            ..row(4711, "x\x1b[2J", "--exclude pid:4711")
        };
        let expected = [
            " PID  NAME      FROM    RUNTIME      TRACED  BY                  CONNECTIONS               LINKED\n",
            "   7  orders    folder  python 3.11  yes     default             http server×2, unknown×1  2 of 3\n",
            "4711  x\\x1b[2J  folder               no      --exclude pid:4711\n",
        ]
        .concat();
        assert_eq!(table(&[orders, odd]), expected);
    }

    #[test]
    fn what_nothing_was_seen_or_said_of_is_left_out() {
        assert!(!is_of_interest(&row(7, "bash", "default")));
        assert!(!is_of_interest(&row(7, "bash", "no --include rule")));
        assert!(!is_of_interest(&row(7, "bash", "--include port:80")));
        assert!(is_of_interest(&row(7, "bash", "--include exe:bash")));
        assert!(is_of_interest(&row(7, "bash", "exports its own telemetry")));
        let seen = vec![Connections { protocol: None, role: None, unread: None, open: 1 }];
        assert!(is_of_interest(&Row { connections: seen, ..row(7, "bash", "default") }));
        // Its connections may all be closed by now.
        assert!(is_of_interest(&Row { seen: true, ..row(7, "bash", "--include port:80") }));
    }
}
