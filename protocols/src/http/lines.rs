//! Heads as lines, of which an empty one is the last.

/// What can be known of a head whose end fell into a gap: its whole lines, closed by an empty one. `None` if not even
/// the start line is whole.
pub(crate) fn close(mut cut: Vec<u8>) -> Option<Vec<u8>> {
    let whole = cut.iter().rposition(|b| *b == b'\n')? + 1;
    cut.truncate(whole);
    cut.extend_from_slice(b"\r\n");
    Some(cut)
}

/// Where the head that ends in an empty line ends, if the line is at or after `from`.
pub(crate) fn end(bytes: &[u8], from: usize) -> Option<usize> {
    let feeds = bytes.iter().enumerate().skip(from).filter(|(_, b)| **b == b'\n');
    feeds.map(|(at, _)| at + 1).find_map(|at| match bytes.get(at..)? {
        [b'\n', ..] => Some(at + 1),
        [b'\r', b'\n', ..] => Some(at + 2),
        _ => None,
    })
}
