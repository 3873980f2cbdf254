//! Query strings without their values: names tell what was asked, values may tell who asked.

/// What replaces a value, as the semantic conventions for `url.query` spell it.
const REDACTED: &str = "REDACTED";
/// Credentials in pre-signed URLs, which the semantic conventions for `url.query` want redacted in any case: those of
/// 1.43, and two that earlier ones had.
const ALWAYS: [&str; 7] = [
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "sig",
    "X-Goog-Signature",
    "AWSAccessKeyId",
    "Signature",
];
/// A lone word longer than this is more likely a token than a name.
const MAX_WORD: usize = 32;
/// Longest name that is kept whole.
const MAX_NAME: usize = 64;
/// Longest result. What goes beyond is cut between parameters.
const MAX_QUERY: usize = 1024;

/// The query string `query` (without `?`) with each value replaced by `REDACTED`, or, with `keep_values`, only those
/// that the semantic conventions call credentials.
pub fn query(query: &str, keep_values: bool) -> String {
    let mut redacted = String::with_capacity(query.len().min(MAX_QUERY));
    for parameter in query.split('&') {
        let (name, value) = match parameter.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (parameter, None),
        };
        let hide = !keep_values || ALWAYS.contains(&name);
        let (name, value) = match value {
            Some(value) => (name, Some(if hide && !value.is_empty() { REDACTED } else { value })),
            None if hide && name.len() > MAX_WORD => (REDACTED, None),
            None => (name, None),
        };
        let name = if keep_values { name } else { clip(name, MAX_NAME) };
        if redacted.len() + name.len() + value.map_or(0, str::len) + 2 > MAX_QUERY {
            break;
        }
        if !redacted.is_empty() {
            redacted.push('&');
        }
        redacted.push_str(name);
        if let Some(value) = value {
            redacted.push('=');
            redacted.push_str(value);
        }
    }
    redacted
}

/// At most `max` bytes of `text`, cut between characters.
pub(crate) fn clip(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_replaced_and_names_kept() {
        assert_eq!(query("user=alice&token=s3cret", false), "user=REDACTED&token=REDACTED");
        assert_eq!(query("a=1=2&b=&c&=x", false), "a=REDACTED&b=&c&=REDACTED");
        assert_eq!(query("", false), "");
        assert_eq!(query("a;b=1&&c", false), "a;b=REDACTED&&c");
    }

    #[test]
    fn a_long_lone_word_is_taken_for_a_token() {
        assert_eq!(query("wsdl", false), "wsdl");
        assert_eq!(query(&"x".repeat(33), false), "REDACTED");
    }

    #[test]
    fn kept_values_do_not_include_credentials() {
        assert_eq!(query("q=tea&sig=abc&Signature=def&Sig=x", true), "q=tea&sig=REDACTED&Signature=REDACTED&Sig=x");
        assert_eq!(
            query("AWSAccessKeyId=a&X-Goog-Signature=b", true),
            "AWSAccessKeyId=REDACTED&X-Goog-Signature=REDACTED"
        );
    }

    #[test]
    fn a_gigantic_query_is_cut_between_parameters() {
        let gigantic = (0..1000).map(|n| format!("name{n}=value")).collect::<Vec<_>>().join("&");
        let redacted = query(&gigantic, false);
        assert!(redacted.len() <= MAX_QUERY && redacted.ends_with("=REDACTED"), "{redacted}");
        assert!(query(&format!("{}=1", "é".repeat(5000)), false).len() <= MAX_NAME + 9);
    }
}
