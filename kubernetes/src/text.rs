//! Texts of strangers: bounded, and without what a terminal or a log would obey.

/// Bytes of a name, an image or a label's key. Kubernetes itself allows 253 for a name and 317 for a key; images are the longest.
pub const NAME: usize = 512;
/// Bytes of an annotation's value. They may have 256 KiB, which no attribute should.
pub const VALUE: usize = 1024;

/// A text as it is, if it is not empty, not longer than `most` bytes, and has no control characters. What is cut is another name,
/// so nothing is cut.
pub fn plain(text: &str, most: usize) -> Option<&str> {
    (!text.is_empty() && text.len() <= most && !text.contains(char::is_control)).then_some(text)
}

/// The same, to keep; empty if there is none.
pub fn kept(text: &str, most: usize) -> Box<str> {
    plain(text, most).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_texts_are_no_texts() {
        assert_eq!(plain("shop", NAME), Some("shop"));
        for text in ["", "a\u{1b}[2Jb", "a\nb", "a\u{9b}b", &"x".repeat(NAME + 1)] {
            assert_eq!(plain(text, NAME), None);
        }
    }
}
