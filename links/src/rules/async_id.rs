//! The numbers that a loop gives its pieces of work lead from the call, over work that was set going earlier, to a piece that was
//! about this request; and what the call got answered no other alone. Inferred: it is what the program's own context would say, and
//! a program can have one request's work set going by another's.

use super::{Asked, Until, Verdict};
use crate::book::loops::Said;

pub fn judge(asked: &Asked<'_>) -> Verdict {
    match asked.book.loops.says(asked.call.key) {
        Said::Chain(request) => Verdict::Claims(request, Until::Quiet),
        _ => Verdict::Silent,
    }
}
