//! Requests that a browser under attack, or a stranger, would send.

use super::*;

fn guard(token: Option<&str>) -> Guard {
    let address = SocketAddr::from(([127, 0, 0, 1], 4316));
    Guard::new(token.map(Token::new).as_ref(), address)
}

fn judged(guard: &Guard, uri: &str, headers: &[(&'static str, &str)]) -> Verdict {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    guard.judge(&Method::GET, &uri.parse().unwrap(), &map)
}

fn status(verdict: &Verdict) -> u16 {
    match verdict {
        Verdict::Answer => 200,
        Verdict::LogIn { .. } => 303,
        Verdict::Refuse(status, _) => *status,
    }
}

#[test]
fn a_name_that_a_stranger_may_own_is_refused() {
    let guard = guard(None);
    for host in [
        "127.0.0.1:4316",
        "localhost:4316",
        "LOCALHOST",
        "[::1]:4316",
        "127.8.9.1",
        "app.localhost:1",
        "192.0.2.7:4316",
    ] {
        assert_eq!(judged(&guard, "/", &[("host", host)]), Verdict::Answer, "{host}");
    }
    for host in
        ["evil.example", "evil.example:4316", "localhost.evil.example", "127.0.0.1.evil.example", "", "a@127.0.0.1"]
    {
        assert_eq!(status(&judged(&guard, "/api/v1/status", &[("host", host)])), 403, "{host}");
    }
    assert_eq!(status(&judged(&guard, "/", &[])), 400);
    assert_eq!(status(&judged(&guard, "/", &[("host", "localhost"), ("host", "evil.example")])), 400);
}

#[test]
fn another_origin_s_page_is_refused() {
    let guard = guard(None);
    let host = ("host", "localhost:4316");
    let ask = |uri, more: &[(&'static str, &str)]| status(&judged(&guard, uri, &[&[host], more].concat()));
    assert_eq!(ask("/api/v1/status", &[("origin", "http://localhost:4316")]), 200);
    for origin in ["http://evil.example", "http://localhost:3000", "null", "http://localhost:43160", "\u{ff}"] {
        assert_eq!(ask("/api/v1/status", &[("origin", origin)]), 403, "{origin}");
    }
    assert_eq!(ask("/api/v1/status", &[("sec-fetch-site", "same-origin")]), 200);
    for site in ["cross-site", "same-site"] {
        let link = [("sec-fetch-site", site), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        assert_eq!(ask("/api/v1/status", &[("sec-fetch-site", site)]), 403);
        assert_eq!(ask("/trace/4bf92f3577b34da6a3ce929d0e0e4736", &link), 200, "a link opens the page");
        assert_eq!(ask("/api/v1/status", &link), 403, "but not the API");
        let frame = [("sec-fetch-site", site), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
        assert_eq!(ask("/", &frame), 403);
    }
}

#[test]
fn requests_that_are_large_or_bring_something_are_refused() {
    let guard = guard(None);
    let host = ("host", "localhost");
    assert_eq!(status(&judged(&guard, &format!("/search?x={}", "y".repeat(9000)), &[host])), 414);
    assert_eq!(status(&judged(&guard, "/", &[host, ("content-length", "5")])), 413);
    assert_eq!(status(&judged(&guard, "/", &[host, ("transfer-encoding", "chunked")])), 413);
    let mut headers = HeaderMap::new();
    headers.insert("host", "localhost".parse().unwrap());
    assert_eq!(status(&guard.judge(&Method::POST, &"/".parse().unwrap(), &headers)), 405);
}

const TOKEN: &str = "0123456789abcdef0123";

#[test]
fn without_the_token_nothing_is_answered() {
    let guard = guard(Some(TOKEN));
    let host = ("host", "box.example:4316");
    for uri in ["/", "/api/v1/status", "/assets/js/main.js", "/api/traces"] {
        assert_eq!(status(&judged(&guard, uri, &[host])), 401, "{uri}");
    }
    for wrong in
        ["Bearer x", "Bearer ", "Basic 0123456789abcdef0123", "0123456789abcdef0123", "Bearer 0123456789abcdef012"]
    {
        assert_eq!(status(&judged(&guard, "/", &[host, ("authorization", wrong)])), 401, "{wrong}");
    }
    assert_eq!(judged(&guard, "/", &[host, ("authorization", "Bearer 0123456789abcdef0123")]), Verdict::Answer);
    assert_eq!(status(&judged(&guard, "/?token=wrong", &[host])), 401);
    assert_eq!(status(&judged(&guard, &format!("/api/v1/status?token={TOKEN}"), &[host])), 401, "only pages log in");
}

#[test]
fn whether_the_agent_is_well_is_told_without_the_token_and_figures_are_not() {
    let guard = guard(Some("0123456789abcdef"));
    let ask = |path| status(&judged(&guard, path, &[("host", "192.0.2.7:4316")]));
    assert_eq!([ask("/livez"), ask("/readyz"), ask("/metrics"), ask("/livez/x")], [200, 200, 401, 401]);
}

#[test]
fn the_token_in_an_address_becomes_a_cookie_and_leaves_the_address() {
    let guard = guard(Some(TOKEN));
    let host = ("host", "box.example:4316");
    let verdict = judged(&guard, &format!("/search?service=a%26b&token={TOKEN}&status=error"), &[host]);
    let Verdict::LogIn { location, cookie } = verdict else { panic!("{verdict:?}") };
    assert_eq!(location, "/search?service=a%26b&status=error");
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict") && !cookie.contains(TOKEN), "{cookie}");
    let pair = cookie.split(';').next().unwrap();
    assert_eq!(judged(&guard, "/api/v1/status", &[host, ("cookie", &format!("other=1; {pair}"))]), Verdict::Answer);
    assert_eq!(status(&judged(&guard, "/", &[host, ("cookie", &format!("{pair}0"))])), 401);
    let elsewhere = judged(&guard, &format!("//evil.example/x?token={TOKEN}"), &[host]);
    assert!(matches!(elsewhere, Verdict::LogIn { ref location, .. } if location == "/evil.example/x"), "{elsewhere:?}");
}
