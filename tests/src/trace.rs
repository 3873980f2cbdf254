//! Compares the traces that arrived with those that had to, and prints both when they differ.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use crate::expect::{Above, Expected};
use crate::span::Span;

/// A span that arrived with the spans below it, earliest first.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    /// The span.
    pub span: &'a Span,
    /// Those that name it as their parent.
    pub children: Vec<Node<'a>>,
}

impl<'a> Node<'a> {
    /// This span and all below it.
    pub fn flat(&self) -> Vec<&'a Span> {
        std::iter::once(self.span).chain(self.children.iter().flat_map(Node::flat)).collect()
    }
}

/// Every span without a parent among `spans`, each with what is below it. A parent must be of the same trace.
pub fn forest(spans: &[Span]) -> Vec<Node<'_>> {
    let known: HashSet<(&str, &str)> = spans.iter().map(|s| (s.trace_id.as_str(), s.span_id.as_str())).collect();
    let mut by_parent: HashMap<(&str, &str), Vec<&Span>> = HashMap::new();
    for span in spans {
        by_parent.entry((&span.trace_id, &span.parent)).or_default().push(span);
    }
    let mut roots: Vec<Node<'_>> = spans
        .iter()
        .filter(|s| !known.contains(&(s.trace_id.as_str(), s.parent.as_str())))
        .map(|s| grow(s, &by_parent))
        .collect();
    roots.sort_by_key(|node| node.span.start);
    roots
}

fn grow<'a>(span: &'a Span, by_parent: &HashMap<(&str, &str), Vec<&'a Span>>) -> Node<'a> {
    let below = by_parent.get(&(span.trace_id.as_str(), span.span_id.as_str()));
    let mut children: Vec<Node<'a>> =
        below.into_iter().flatten().filter(|s| s.span_id != span.span_id).map(|s| grow(s, by_parent)).collect();
    children.sort_by_key(|node| node.span.start);
    Node { span, children }
}

/// Checks that exactly the `expected` traces arrived: every span, and no other.
///
/// # Panics
///
/// When they did not; the message shows what differs, and both sides as trees.
pub fn assert_traces(expected: &[Expected], spans: &[Span]) {
    let mut left = forest(spans);
    let mut complaints = duplicates(spans);
    let mut unmatched: Vec<&Expected> = Vec::new();
    let mut roots: HashMap<&str, usize> = HashMap::new();
    let mut unlinked = 0;
    for wanted in expected {
        let Some((found, apart)) = take(wanted, &mut left) else {
            unmatched.push(wanted);
            continue;
        };
        unlinked += apart;
        for node in found.iter().filter(|_| wanted.above == Above::Nothing) {
            *roots.entry(&node.span.trace_id).or_default() += 1;
        }
    }
    if unlinked > 0 {
        eprintln!("{unlinked} links that are inferred, and not promised, were not made");
    }
    complaints.extend(roots.iter().filter(|(_, n)| **n > 1).map(|(id, n)| format!("{n} requests share trace {id}")));
    for wanted in &unmatched {
        complaints.push(match nearest(wanted, &left) {
            Some(node) => format!("differs: {}", root_differences(wanted, node).join("\n         ")),
            None => format!("missing: the trace that begins with {} {} {}", wanted.service, wanted.kind, wanted.name),
        });
    }
    if unmatched.is_empty() {
        complaints.extend(left.iter().map(|node| format!("not expected: {}", line(node.span))));
    }
    assert!(complaints.is_empty(), "{}", report(&complaints, &unmatched, expected.len(), &left));
}

/// Takes the trace that was wanted out of those that are left: whole, or in pieces where it hangs together by links that
/// are not promised. How many of these are missing.
fn take<'a>(wanted: &Expected, left: &mut Vec<Node<'a>>) -> Option<(Vec<Node<'a>>, usize)> {
    if let Some(at) = left.iter().position(|node| root_differences(wanted, node).is_empty()) {
        return Some((vec![left.swap_remove(at)], 0));
    }
    wanted.variants().into_iter().filter(|(_, apart)| !apart.is_empty()).find_map(|(tree, apart)| {
        let mut places: Vec<usize> = Vec::new();
        for piece in std::iter::once(&tree).chain(&apart) {
            let fits =
                |(at, node): &(usize, &Node<'_>)| !places.contains(at) && root_differences(piece, node).is_empty();
            let at = left.iter().enumerate().find(fits)?.0;
            places.push(at);
        }
        places.sort_unstable();
        Some((places.iter().rev().map(|at| left.remove(*at)).collect(), apart.len()))
    })
}

/// Span ids that arrived more than once.
fn duplicates(spans: &[Span]) -> Vec<String> {
    let mut seen = HashSet::new();
    let twice = spans.iter().filter(|s| !seen.insert((&s.trace_id, &s.span_id)));
    twice.map(|s| format!("arrived twice: {}", line(s))).collect()
}

fn report(complaints: &[String], unmatched: &[&Expected], expected: usize, left: &[Node<'_>]) -> String {
    let mut out = String::from("the traces are not as expected\n");
    for complaint in complaints {
        let _ = writeln!(out, "  - {complaint}");
    }
    let _ = writeln!(out, "\nexpected and not found ({} of {expected} traces):", unmatched.len());
    for wanted in unmatched {
        print_expected(&mut out, wanted, 1);
    }
    let _ = writeln!(out, "\narrived and not expected ({} traces):", left.len());
    for node in left {
        print_node(&mut out, node, 1);
    }
    out
}

/// The tree that has most in common with what was wanted.
fn nearest<'n, 'a>(wanted: &Expected, left: &'n [Node<'a>]) -> Option<&'n Node<'a>> {
    let path = |want: &Expected| want.attributes.get("url.path").or(want.attributes.get("url.full")).cloned();
    let wanted_path = path(wanted).map(|p| p.to_string());
    let same = |node: &&Node<'a>| {
        let keys = ["url.path", "url.full"];
        keys.iter().filter_map(|k| node.span.attributes.get(*k)).any(|v| Some(v.to_string()) == wanted_path)
    };
    let candidates: Vec<_> = left.iter().filter(same).collect();
    let pool = if candidates.is_empty() { left.iter().collect() } else { candidates };
    pool.into_iter().min_by_key(|node| root_differences(wanted, node).len())
}

fn root_differences(wanted: &Expected, node: &Node<'_>) -> Vec<String> {
    let mut found = Vec::new();
    match &wanted.above {
        Above::Nothing if !node.span.parent.is_empty() => {
            found.push(format!("{} has the parent {}, which did not arrive", label(node.span), node.span.parent));
        }
        Above::Context { trace_id, span_id } if (trace_id, span_id) != (&node.span.trace_id, &node.span.parent) => {
            let (trace, parent) = (&node.span.trace_id, &node.span.parent);
            found.push(format!("{} is below {trace}/{parent}, not below {trace_id}/{span_id}", label(node.span)));
        }
        _ => {}
    }
    found.extend(differences(wanted, node));
    found
}

/// What is wrong with a tree; one line each.
pub fn differences(wanted: &Expected, node: &Node<'_>) -> Vec<String> {
    let mut found: Vec<String> =
        wanted.differences(node.span).into_iter().map(|d| format!("{}: {d}", label(node.span))).collect();
    let mut left: Vec<&Node<'_>> = node.children.iter().collect();
    let mut unmatched = Vec::new();
    for child in &wanted.children {
        match left.iter().position(|node| differences(child, node).is_empty()) {
            Some(at) => drop(left.remove(at)),
            None => unmatched.push(child),
        }
    }
    for child in unmatched {
        let alike = |node: &&Node<'_>| node.span.service() == child.service && node.span.kind == child.kind;
        match left.iter().position(alike) {
            Some(at) => found.extend(differences(child, left.remove(at))),
            None => found.push(format!("{}: no child {} {}", label(node.span), child.service, child.kind)),
        }
    }
    found.extend(left.iter().map(|extra| format!("{}: unexpected child {}", label(node.span), line(extra.span))));
    found
}

fn label(span: &Span) -> String {
    format!("{} {}", span.service(), span.kind)
}

/// A span on one line.
pub fn line(span: &Span) -> String {
    let attributes: Vec<String> = span.attributes.iter().map(|(k, v)| format!("{k}={v}")).collect();
    format!(
        "{} {} {:?} {:?} {:.1}ms parent={:?} {}",
        span.service(),
        span.kind,
        span.name,
        span.status,
        span.millis(),
        span.parent,
        attributes.join(" ")
    )
}

fn print_node(out: &mut String, node: &Node<'_>, depth: usize) {
    let _ = writeln!(out, "{:1$}{2}", "", depth * 2, line(node.span));
    for child in &node.children {
        print_node(out, child, depth + 1);
    }
}

fn print_expected(out: &mut String, wanted: &Expected, depth: usize) {
    let attributes: Vec<String> = wanted.attributes.iter().map(|(k, w)| format!("{k}={w}")).collect();
    let (service, kind, name, status) = (&wanted.service, wanted.kind, &wanted.name, wanted.status);
    let _ = writeln!(out, "{:1$}{service} {kind} {name:?} {status:?} {2}", "", depth * 2, attributes.join(" "));
    for child in &wanted.children {
        print_expected(out, child, depth + 1);
    }
}

#[cfg(test)]
mod tests;
