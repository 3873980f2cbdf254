//! Spans against numbers.

use wirespan_tests::span::{Kind, Span};

use super::places::Place;

/// What took place.
#[derive(Clone, Copy, Default)]
pub struct Exchanges {
    /// Under load.
    pub asked: usize,
    /// Afterwards, slowly.
    pub after: usize,
    /// When that began, nanoseconds since 1970.
    pub calm: u64,
}

/// What became of one place's exchanges.
#[derive(Default)]
pub struct Tally {
    name: String,
    exchanges: Exchanges,
    /// Spans of either end.
    spans: usize,
    wrong: Vec<String>,
    /// Spans of either end of the last exchanges.
    late: [usize; 2],
    /// Spans that are missing: both ends of each exchange make one.
    missing: usize,
}

/// What number a span's request bears, and what its response says: `None` if that is no exchange of `talk.py`.
fn numbers(protocol: &str, span: &Span) -> Option<(String, String)> {
    let text = span.text("db.query.text").unwrap_or_default();
    let code = span.text("db.response.status_code").unwrap_or_default().to_owned();
    match protocol {
        "http" => {
            let number: i64 = span.path().strip_prefix("/v/")?.parse().ok()?;
            Some(((400 + number).to_string(), span.int("http.response.status_code")?.to_string()))
        }
        "postgresql" => {
            let at = text.find("ERRCODE = 'U")? + "ERRCODE = '".len();
            Some((text.get(at..at + 5)?.to_owned(), code))
        }
        "mariadb" => Some((text.split_once("MYSQL_ERRNO = ")?.1.trim().to_owned(), code)),
        "redis" => known(text, &[("GETRANGE x", "ERR"), ("LPUSH text x", "WRONGTYPE"), ("GET none", "")], code),
        _ => known(text, &[("incr text 1", "CLIENT_ERROR"), ("get none", "")], code),
    }
}

/// Of protocols that have no room for numbers: which of a few commands, and what it must be answered.
fn known(text: &str, wanted: &[(&str, &str)], code: String) -> Option<(String, String)> {
    wanted.iter().find(|(command, _)| *command == text).map(|(_, answer)| ((*answer).to_owned(), code))
}

/// Holds `spans` against what took place.
pub fn judge(place: &Place, spans: &[Span], exchanges: Exchanges) -> Tally {
    let mut tally = Tally { name: place.name.clone(), exchanges, ..Tally::default() };
    let mut ours: Vec<(&Span, String, String)> = Vec::new();
    for span in spans {
        if let Some((wanted, found)) = numbers(place.protocol, span) {
            ours.push((span, wanted, found));
        }
    }
    tally.spans = ours.len();
    tally.missing = (2 * (exchanges.asked + exchanges.after)).saturating_sub(ours.len());
    tally.wrong =
        ours.iter().filter(|(_, wanted, found)| wanted != found).map(|(_, w, f)| format!("{w}: {f}")).collect();
    tally.late = [Kind::Client, Kind::Server]
        .map(|kind| ours.iter().filter(|(span, ..)| span.kind == kind && span.start >= exchanges.calm).count());
    tally
}

impl Tally {
    /// Nothing is wrong, something was lost, and most of the last exchanges are there: a connection may need its first few to
    /// show anew that it waits for each answer.
    pub fn is_right(&self) -> bool {
        let needed = self.exchanges.after / 2;
        self.wrong.is_empty() && self.missing > 0 && self.late.iter().all(|late| *late >= needed)
    }

    /// For people.
    pub fn line(&self) -> String {
        let Self { name, exchanges: Exchanges { asked, after, .. }, spans, wrong, late, missing } = self;
        let shown: Vec<_> = wrong.iter().take(4).collect();
        format!(
            "{name}: {asked} exchanges, {spans} spans, {missing} missing, {} wrong {shown:?}, afterwards {} and {} of {after}",
            wrong.len(),
            late[0],
            late[1]
        )
    }
}

/// The table.
pub fn markdown(rows: &[Tally]) -> String {
    let head = "| protocol, socket | exchanges | spans | missing | wrong | seen afterwards, client · server |\n|---|--:|--:|--:|--:|--:|\n";
    let line = |row: &Tally| {
        let [client, server] = row.late;
        let Tally { name, exchanges: Exchanges { asked, after, .. }, missing, spans, wrong, .. } = row;
        format!("| {name} | {asked} | {spans} | {missing} | {} | {client} · {server} of {after} |\n", wrong.len())
    };
    rows.iter().map(line).fold(head.to_owned(), |table, line| table + &line)
}
