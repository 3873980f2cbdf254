//! Paths with the parts that vary replaced by what they are: `/users/42/orders` becomes `/users/{id}/orders`.
//!
//! The program's own routes are not on the wire, so this is a guess at them, made to err towards few distinct results:
//! a backend groups by it. Each segment is judged alone, without memory, so equal paths always give equal templates.

/// Segments beyond these become one `*`.
const MAX_SEGMENTS: usize = 8;
/// Longest segment that is kept as it is.
const MAX_WORD: usize = 40;
/// Words joined by `-` or `_`, from which on they are a title rather than a name.
const TITLE_WORDS: usize = 6;
/// Longest template.
const MAX_TEMPLATE: usize = 200;

/// The template of `path`, which begins with `/` and has no query. Never empty, at most 200 bytes.
pub fn template(path: &str) -> String {
    let mut template = String::with_capacity(path.len().min(MAX_TEMPLATE) + 8);
    let segments = path.split_once('/').map(|(_, rest)| rest.split('/')).into_iter().flatten();
    for (n, part) in segments.enumerate() {
        let before = template.len();
        template.push('/');
        if n < MAX_SEGMENTS {
            segment(part, &mut template);
        }
        if n == MAX_SEGMENTS || template.len() + "/*".len() > MAX_TEMPLATE {
            template.truncate(before);
            template.push_str("/*");
            break;
        }
    }
    if template.is_empty() { "/".into() } else { template }
}

/// Appends one segment's template.
fn segment(text: &str, template: &mut String) {
    if is_plain(text.as_bytes()) {
        return template.push_str(text);
    }
    // Matrix parameters (`;jsessionid=…`, RFC 3986 §3.3) are values.
    let text = text.split(';').next().unwrap_or_default();
    if let Some(name) = shape(text) {
        return template.push_str(name);
    }
    // `users:batchGet`, `42:cancel`
    let Some((left, right)) = text.split_once(':') else { return piece(text, template) };
    piece(left, template);
    template.push(':');
    match right.contains(':') {
        true => template.push_str("{value}"),
        false => piece(right, template),
    }
}

/// Whether a segment is a short name without digits, as most are: nothing else needs to be asked.
fn is_plain(text: &[u8]) -> bool {
    let joints = text.iter().filter(|b| matches!(b, b'-' | b'_')).count();
    text.len() <= MAX_WORD
        && joints + 1 < TITLE_WORDS
        && text.iter().all(|b| b.is_ascii_alphabetic() || matches!(b, b'-' | b'_' | b'.'))
}

/// Appends the template of words joined by punctuation.
fn piece(text: &str, template: &mut String) {
    if text.is_empty() || is_version(text) {
        return template.push_str(text);
    }
    if let Some(name) = shape(text) {
        return template.push_str(name);
    }
    let words = text.split(['-', '_']).filter(|w| !w.is_empty()).count();
    if words >= TITLE_WORDS {
        return template.push_str("{slug}");
    }
    for joined in text.split_inclusive(['-', '_', '.', '~']) {
        let word = joined.trim_end_matches(['-', '_', '.', '~']);
        template.push_str(word_shape(word).unwrap_or(word));
        template.push_str(&joined[word.len()..]);
    }
}

/// What a whole segment is, if it is not a name.
fn shape(text: &str) -> Option<&'static str> {
    let bytes = text.as_bytes();
    let all = |test: fn(&u8) -> bool| bytes.iter().all(test);
    if bytes.is_empty() {
        return None;
    }
    let has_digits = bytes.iter().any(u8::is_ascii_digit);
    if has_digits && all(|b| b.is_ascii_digit() || b"-.,_+:".contains(b)) {
        return Some(if is_date(bytes) { "{date}" } else { "{id}" });
    }
    if is_uuid(bytes) || bytes.strip_prefix(b"{").and_then(|b| b.strip_suffix(b"}")).is_some_and(is_uuid) {
        return Some("{uuid}");
    }
    // `@me`, `@scope`: names by convention.
    let name = bytes.strip_prefix(b"@").unwrap_or(bytes);
    if !name.iter().all(|b| b.is_ascii_alphanumeric() || b"-._~:!$+".contains(b)) {
        let at = text.find('@').or_else(|| text.find("%40"));
        let is_email = at.is_some_and(|at| at > 0 && text[at..].contains('.'));
        return Some(if is_email { "{email}" } else { "{value}" });
    }
    if has_digits && bytes.len() >= 20 && !bytes.contains(&b':') && looks_random(text) {
        return Some("{token}");
    }
    word_shape(text).or((bytes.len() > MAX_WORD).then_some("{slug}"))
}

/// What a single word is, if it is not a name.
fn word_shape(word: &str) -> Option<&'static str> {
    let bytes = word.as_bytes();
    let count = |test: fn(&u8) -> bool| bytes.iter().filter(|b| test(b)).count();
    let digits = count(u8::is_ascii_digit);
    if digits == 0 {
        return None;
    }
    if digits == bytes.len() {
        return Some("{id}");
    }
    if count(u8::is_ascii_alphanumeric) != bytes.len() {
        return None;
    }
    let hex = count(u8::is_ascii_hexdigit) == bytes.len();
    let cases = (count(u8::is_ascii_uppercase) > 0) as usize + (count(u8::is_ascii_lowercase) > 0) as usize;
    match bytes.len() {
        16.. if hex => Some("{hash}"),
        7.. if hex && digits >= 2 => Some("{hash}"),
        20.. => Some("{token}"),
        8.. if cases == 2 => Some("{token}"),
        _ if digits >= 3 => Some("{id}"),
        _ => None,
    }
}

/// Whether some stretch between punctuation is too long for a word and mixes letters with digits.
fn looks_random(text: &str) -> bool {
    let mixed = |w: &str| w.bytes().any(|b| b.is_ascii_digit()) && w.bytes().any(|b| b.is_ascii_alphabetic());
    text.split(['-', '_', '.']).any(|w| w.len() >= 12 && mixed(w) && word_shape(w) != Some("{hash}"))
}

/// `v1`, `v2.10`: part of a route, and there are few.
fn is_version(text: &str) -> bool {
    let Some(numbers) = text.strip_prefix(['v', 'V']) else { return false };
    numbers.len() <= 4
        && numbers.split('.').all(|n| (1..=2).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit()))
}

/// `2026-11-22`, `2026-11`.
fn is_date(bytes: &[u8]) -> bool {
    let digits_at = |places: std::ops::Range<usize>| bytes[places].iter().all(u8::is_ascii_digit);
    match bytes.len() {
        7 => digits_at(0..4) && bytes[4] == b'-' && digits_at(5..7),
        10 => digits_at(0..4) && bytes[4] == b'-' && digits_at(5..7) && bytes[7] == b'-' && digits_at(8..10),
        _ => false,
    }
}

/// Eight, four, four, four and twelve hexadecimal digits (RFC 9562 §4).
fn is_uuid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => *b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_templates(pairs: &[(&str, &str)]) {
        for (path, expected) in pairs {
            assert_eq!(template(path), *expected, "{path}");
        }
    }

    #[test]
    fn names_stay() {
        for path in [
            "/",
            "/index.html",
            "/api/v1/users",
            "/api/v2.10/oauth2/token",
            "/s3/base64",
            "/static/css/main.min.css",
            "/users:batchGet",
            "/.well-known/openid-configuration",
            "/a//b/",
            "/i18n/en-GB",
            "/~alice",
            "/users/@me",
        ] {
            assert_eq!(template(path), path);
        }
    }

    #[test]
    fn ids_give_way() {
        assert_templates(&[
            ("/users/42", "/users/{id}"),
            ("/users/42/orders/7", "/users/{id}/orders/{id}"),
            ("/users/-1", "/users/{id}"),
            ("/map/52.52,13.40", "/map/{id}"),
            ("/users/42:cancel", "/users/{id}:cancel"),
            ("/user-12345", "/user-{id}"),
            ("/page-2", "/page-{id}"),
            ("/orders/INV-2024-0001", "/orders/INV-{id}-{id}"),
            ("/items/abc123", "/items/{id}"),
            ("/v100000", "/{id}"),
            ("/days/2026-11-22", "/days/{date}"),
        ]);
    }

    #[test]
    fn uuids_hashes_and_tokens_give_way() {
        assert_templates(&[
            ("/o/3f2504e0-4f89-11d3-9a0c-0305e82c3301", "/o/{uuid}"),
            ("/o/3F2504E0-4F89-11D3-9A0C-0305E82C3301/x", "/o/{uuid}/x"),
            ("/commit/9fceb02d0ae598e95dc970b74767f19372d61af8", "/commit/{hash}"),
            ("/commit/9fceb02", "/commit/{hash}"),
            ("/doc/507f1f77bcf86cd799439011", "/doc/{hash}"),
            ("/ulid/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/ulid/{token}"),
            ("/t/dGhpcyBpcyBhIHRva2VuIDEyMw", "/t/{token}"),
            ("/jwt/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N", "/jwt/{token}"),
            ("/yt/dQw4w9WgXcQ", "/yt/{token}"),
        ]);
    }

    #[test]
    fn values_give_way() {
        assert_templates(&[
            ("/u/alice@example.com", "/u/{email}"),
            ("/u/alice%40example.com", "/u/{email}"),
            ("/search/hello%20world", "/search/{value}"),
            ("/search/héllo", "/search/{value}"),
            ("/app;jsessionid=1A2B3C/home", "/app/home"),
            ("/blog/how-to-bake-a-cake-in-ten-steps", "/blog/{slug}"),
        ]);
    }

    #[test]
    fn hashed_assets_keep_their_name() {
        assert_templates(&[
            ("/static/app.3f2a9c1b.js", "/static/app.{hash}.js"),
            ("/assets/index-BfG3x9aQ.js", "/assets/index-{token}.js"),
            ("/img/0001.png", "/img/{id}.png"),
        ]);
    }

    #[test]
    fn hostile_paths_stay_short() {
        assert_eq!(template("/a/b/c/d/e/f/g/h/i/j"), "/a/b/c/d/e/f/g/h/*");
        assert_eq!(template(&format!("/{}", "a".repeat(10_000))), "/{slug}");
        assert_eq!(template(&"/..%2f".repeat(1000)), format!("{}/*", "/{value}".repeat(8)));
        assert!(template(&"/abcdefghijklmnopqrstuvwxyzabcdefghijklm".repeat(20)).len() <= MAX_TEMPLATE);
        assert_eq!(template(&"/".repeat(1000)), "/////////*");
        assert_eq!(template("*"), "/");
        assert_eq!(template(""), "/");
    }
}
