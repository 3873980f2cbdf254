//! Spans for people and for programs that read lines.
//!
//! | module | what it is |
//! |---|---|
//! | [`tree`] | a trace as a tree |
//! | [`json`] | a span as one line of JSON |
//! | [`words`] | durations, widths, characters that do no harm to a terminal |

pub mod json;
pub mod tree;
pub mod words;

use wirespan_signals::Trace;

/// A trace as it is printed to a pipe.
pub fn plain(trace: &Trace) -> Vec<u8> {
    let mut text = Vec::new();
    tree::render(trace, tree::Style { color: false, width: None, rows: usize::MAX }, &mut text);
    text
}
