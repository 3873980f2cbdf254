//! The same, again and again.

use rustc_hash::{FxHashMap, FxHashSet};
use wirespan_signals::Span;

use super::calls::{Calls, duration, get, place, select, succeeded};
use super::{Finding, Kind, time};

/// So many calls of a kind, one after the other, are one for each of many things.
const MANY: usize = 10;
/// So many times the very same is asked for.
const AGAIN: usize = 3;
/// Who waits longer than this between two calls waits for something: nanoseconds.
const POLLS: u64 = 25_000_000;

/// What calls have in common that ask for things of one kind.
#[derive(PartialEq, Eq, Hash)]
struct Kin<'a> {
    what: &'a str,
    place: (Option<&'a str>, Option<i64>),
}

pub(crate) fn find(calls: &Calls<'_>, found: &mut Vec<Finding>) {
    n_plus_one(calls, found);
    repeated(calls, found);
}

/// Whether each begins after the one before has ended, and soon.
fn one_by_one(calls: &[&Span]) -> bool {
    let gap = |pair: &[&Span]| pair[1].start_unix_nano.checked_sub(pair[0].end_unix_nano);
    calls.windows(2).all(|pair| gap(pair).is_some_and(|gap| gap < POLLS))
}

fn by_kin<'a>(calls: &Calls<'a>, what: impl Fn(&'a Span) -> Option<&'a str>) -> FxHashMap<Kin<'a>, Vec<&'a Span>> {
    let mut kin: FxHashMap<Kin<'a>, Vec<&'a Span>> = FxHashMap::default();
    for call in calls.calls.iter().copied().filter(|call| succeeded(call)) {
        if let Some(what) = what(call) {
            kin.entry(Kin { what, place: place(call) }).or_default().push(call);
        }
    }
    kin
}

/// What parameters a statement has places for.
fn has_parameters(statement: &str) -> bool {
    statement.contains(['?', '$']) || statement.contains("%s")
}

/// Whether a statement asks for what has a value, and not for what comes after one, as whoever reads page by page does.
fn asks_for_one(statement: &str) -> bool {
    let upper = statement.to_ascii_uppercase();
    let equals = ["= ?", "=?", "= $", "=$", "IN (?)", "IN ($"].iter().any(|sign| upper.contains(sign));
    equals && !upper.contains(['<', '>']) && !upper.contains(" OFFSET ") && !upper.contains(" LIKE ")
}

/// One for each: a statement with a place for a value, or a path with one, many times, one after the other, after something
/// else was asked for that they are about.
fn n_plus_one(calls: &Calls<'_>, found: &mut Vec<Finding>) {
    let statements = by_kin(calls, |call| select(call).filter(|statement| asks_for_one(statement)));
    for (kin, many) in statements.into_iter().filter(|(_, many)| many.len() >= MANY) {
        let first = many[0].start_unix_nano;
        // What is one more than n: another statement, read from the same place, that was answered before.
        let one = calls.calls.iter().any(|call| {
            call.end_unix_nano <= first && place(call) == kin.place && select(call).is_some_and(|s| s != kin.what)
        });
        if one {
            tell(calls.parent, &many, kin.what, found);
        }
    }
    let paths = by_kin(calls, |call| call.text("url.template").filter(|_| get(call).is_some()));
    for (kin, many) in paths.into_iter().filter(|(kin, _)| kin.what.contains('{')) {
        let urls: FxHashSet<&str> = many.iter().filter_map(|call| get(call)).collect();
        // (Who asks for the same again polls.)
        if urls.len() == many.len() {
            tell(calls.parent, &many, kin.what, found);
        }
    }
}

fn tell(parent: &Span, many: &[&Span], what: &str, found: &mut Vec<Finding>) {
    if many.len() < MANY || !one_by_one(many) {
        return;
    }
    let cost: u64 = many.iter().map(|call| duration(call)).sum();
    let evidence = format!(
        "{} × {what}, one after the other, {} of the {} of {}",
        many.len(),
        time(cost),
        time(duration(parent)),
        parent.name
    );
    found.push(Finding { kind: Kind::NPlusOne, evidence, span_id: many[0].span_id, cost });
}

/// The very same: a statement without values, or a whole URL, with an answer of the same size, and nothing written between.
fn repeated(calls: &Calls<'_>, found: &mut Vec<Finding>) {
    let the_same = |call| select(call).filter(|statement| is_whole(statement)).or_else(|| get(call));
    for (kin, again) in by_kin(calls, the_same) {
        if again.len() < AGAIN || !soon(&again) {
            continue;
        }
        let (first, last) = (again[0], again[again.len() - 1]);
        let size = |call: &Span| call.number("http.response.body.size").or(call.number("db.response.returned_rows"));
        let alike = again.iter().all(|call| size(call) == size(first));
        let between = |call: &&&Span| (first.end_unix_nano..last.start_unix_nano).contains(&call.start_unix_nano);
        let only_read = calls.calls.iter().filter(between).all(|call| select(call).is_some() || get(call).is_some());
        if !alike || !only_read {
            continue;
        }
        let cost: u64 = again[1..].iter().map(|call| duration(call)).sum();
        let evidence = format!("{} × {}, the same each time, for {}", again.len(), kin.what, calls.parent.name);
        found.push(Finding { kind: Kind::RepeatedCall, evidence, span_id: again[1].span_id, cost });
    }
}

/// Whether nothing is left open in a statement, so that two of the same text are the same.
fn is_whole(statement: &str) -> bool {
    !has_parameters(statement) && !statement.contains('(')
}

/// Whether no two of them are so far apart that the answer may have changed, as whoever polls expects.
fn soon(calls: &[&Span]) -> bool {
    calls.windows(2).all(|pair| pair[1].start_unix_nano.saturating_sub(pair[0].end_unix_nano) < POLLS)
}
