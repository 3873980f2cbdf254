//! Comments, some of which MySQL and MariaDB run.

/// Versions that whoever serves today is above: what is marked with them is run everywhere.
const EVERYWHERE: u32 = 50_500;

/// What stands at `/*`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Comment {
    /// A comment of so many bytes.
    Passed(usize),
    /// So many bytes that introduce code, which ends at `*/`.
    Code(usize),
    /// Whether it is a comment or code depends on the server, and with it where strings begin.
    Unclear,
}

/// Reads the comment at the start of `text`. One without an end goes to the end of the text.
pub(super) fn read(text: &[u8], mysql: bool) -> Comment {
    if !mysql {
        return Comment::Passed(nested(text));
    }
    let mariadb = text.starts_with(b"/*M!");
    if !mariadb && text.get(2) != Some(&b'!') {
        return Comment::Passed(plain(text));
    }
    let head = if mariadb { 4 } else { 3 };
    let version = text[head..].iter().take_while(|b| b.is_ascii_digit()).count();
    let number =
        text[head..head + version].iter().fold(0u32, |n, d| n.saturating_mul(10).saturating_add(u32::from(d - b'0')));
    // Of six digits, some servers read five.
    let everywhere = !mariadb && (version == 0 || (version == 5 && number <= EVERYWHERE));
    if everywhere {
        return Comment::Code(head + version);
    }
    // Run or not, it ends in the same place if nothing within begins a string or a comment.
    let len = plain(text);
    let inner = &text[2..len];
    let begins = |pair: &[u8]| matches!(pair, b"/*" | b"--");
    let parts = inner.iter().any(|b| b"'\"`#$".contains(b)) || inner.windows(2).any(begins);
    if parts || !text[..len].ends_with(b"*/") { Comment::Unclear } else { Comment::Passed(len) }
}

/// To the first `*/`.
fn plain(text: &[u8]) -> usize {
    text[2..].windows(2).position(|w| w == b"*/").map_or(text.len(), |at| at + 4)
}

/// PostgreSQL's comments nest.
fn nested(text: &[u8]) -> usize {
    let (mut at, mut depth) = (2, 1);
    while depth > 0 && at < text.len() {
        match &text[at..] {
            [b'*', b'/', ..] => {
                depth -= 1;
                at += 2;
            }
            [b'/', b'*', ..] => {
                depth += 1;
                at += 2;
            }
            _ => at += 1,
        }
    }
    at
}
