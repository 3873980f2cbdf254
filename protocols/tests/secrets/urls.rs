//! User information, values of queries, and header fields, in every place of a request.

use proptest::prelude::*;
use wirespan_protocols::Direction::{Request, Response};
use wirespan_protocols::{End, Role, Settings};

use crate::wire::Wire;
use crate::{assert_hidden, secret};

/// Requests; each `@@` is a secret.
const REQUESTS: [&str; 34] = [
    "GET http://u:@@@h/x HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET https://@@@h/x HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET ftp://u:@@@h/x HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET FTP://@@:@@@h HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET gopher+x://u:@@@h/x HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET ws://u:p/@@@h/x HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET http://u:p?@@@h/x HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET http://u:@@%40h/x HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET //u:@@@h/x HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET //@@@h/x HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /proxy/http://u:@@@h/x HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /proxy/http:/u:@@@h/x HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /proxy/u%3A@@%40h HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET u:@@@h/x HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST u:@@@h:80 HTTP/1.1\r\nHost: h\r\n\r\n",
    "CONNECT u:@@@h:443 HTTP/1.1\r\nHost: u:@@@h\r\n\r\n",
    "CONNECT u:@@ HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: u:@@@h\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: @@@h:80\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: u:@@\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: h\r\nX-Forwarded-Host: u:@@@h\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: h\r\nForwarded: for=\"u:@@@h\";host=\"u:@@@h\"\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: u:@@@h\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: h\r\nReferer: http://u:@@@h/?t=@@\r\nOrigin: http://u:@@@h\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: h\r\nUser-Agent: bot (+ftp://u:@@@h/)\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer @@\r\nCookie: s=@@\r\nX-Api-Key: @@\r\n\r\n",
    "GET /x?a=@@&b=u:@@@h HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /x?@@ HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /x?a&@@==&@@@h HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /x?a=1#@@ HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /x;jsessionid=@@/y HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 24\r\n\r\n@@&padding-to-the-length-",
    "POST /s.V/M?token=@@ HTTP/1.1\r\nHost: u:@@@h\r\nContent-Type: application/grpc-web+proto\r\n\r\n",
    "POST //u:@@@h HTTP/1.1\r\nHost: u:@@\r\nContent-Type: application/grpc-web+proto\r\n\r\n",
];
const RESPONSE: &str =
    "HTTP/1.1 302 @@\r\nLocation: http://u:@@@h/?t=@@\r\nSet-Cookie: s=@@\r\nContent-Length: 0\r\n\r\n";

fn told(protocol: &str, role: Role, request: &[u8], response: &[u8]) -> Vec<wirespan_protocols::exchange::Output> {
    let mut wire = Wire::with(protocol, Settings::of(role));
    wire.operation(Request, request, 0).operation(Response, response, 0).end(Response, End::Closed);
    assert!(!wire.started().is_empty(), "no request: {}", String::from_utf8_lossy(request));
    wire.out
}

/// A head of HTTP/2 whose fields are all literal.
fn head(fields: &[(&str, String)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        for text in [name.as_bytes(), value.as_bytes()] {
            if block.is_empty() || std::ptr::eq(text, name.as_bytes()) {
                block.push(0);
            }
            block.push(u8::try_from(text.len()).expect("a short text"));
            block.extend_from_slice(text);
        }
    }
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        [&(payload.len() as u32).to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    };
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &[]), frame(1, 5, 1, &block)].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_request_tells_who_asked(secret in secret()) {
        for request in REQUESTS {
            let [text, answer] = [request, RESPONSE].map(|text| text.replace("@@", &secret));
            for role in [Role::Client, Role::Server] {
                assert_hidden(&secret, &told("http", role, text.as_bytes(), answer.as_bytes()), &text);
            }
        }
    }

    #[test]
    fn no_request_of_http2_tells_who_asked(secret in secret(), grpc: bool, which in 0..6usize) {
        let user = format!("u:{secret}@h");
        let mut fields = vec![
            (":method", if which == 0 { "CONNECT".to_owned() } else { "POST".to_owned() }),
            (":scheme", "http".to_owned()),
            (":authority", if which < 2 { user.clone() } else { "h".to_owned() }),
            (":path", [format!("/s.V/M?t={secret}"), format!("//{user}/x"), "/x".into()][which % 3].clone()),
            ("host", user.clone()),
            ("x-forwarded-host", user.clone()),
            ("forwarded", format!("for=\"{user}\";host=\"{user}\"")),
            ("cookie", secret.clone()),
            ("user-agent", format!("bot (http://{user})")),
        ];
        if grpc {
            fields.push(("content-type", "application/grpc".to_owned()));
        }
        for role in [Role::Client, Role::Server] {
            assert_hidden(&secret, &told("http2", role, &head(&fields), b""), &format!("{fields:?}"));
        }
    }
}

#[test]
fn what_may_be_told_is_told() {
    let url = |request: &str| {
        let mut wire = Wire::with("http", Settings::of(Role::Client));
        wire.request(request).response("HTTP/1.1 204 x\r\n\r\n");
        let exchange = wire.last().clone();
        let text = |key: &str| crate::wire::text(&exchange, key).unwrap_or_default().to_owned();
        (text("url.full"), text("server.address"), exchange.name.to_string())
    };
    let expected = |url: &str, address: &str, name: &str| (url.to_owned(), address.to_owned(), name.to_owned());
    assert_eq!(
        url("GET ftp://u:p@h/x HTTP/1.1\r\nHost: proxy\r\n\r\n"),
        expected("ftp://REDACTED:REDACTED@h/x", "h", "GET /x")
    );
    assert_eq!(
        url("GET //u:p@h/x HTTP/1.1\r\nHost: u:p@s:81\r\n\r\n"),
        expected("http://s:81//REDACTED:REDACTED@h/x", "s", "GET //{value}/x")
    );
    assert_eq!(url("CONNECT u:p@h:443 HTTP/1.1\r\nHost: h\r\n\r\n"), expected("", "h", "CONNECT"));
}
