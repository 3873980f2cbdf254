//! What a person sees in a browser where there is no answer: a page. Programs get the same sentence as JSON.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};

/// Why a request is not answered; lies beside a refusal's response.
#[derive(Clone)]
pub struct Problem(pub String);

/// Whether whoever asks wants to look at the answer: a browser that opens an address, and not a script or a program.
pub fn is_for_people(headers: &HeaderMap) -> bool {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let opens = headers.get("sec-fetch-mode").is_none_or(|mode| mode == "navigate");
    let accepts = text(header::ACCEPT).unwrap_or_default();
    opens && accepts.split(',').any(|kind| kind.split(';').next().is_some_and(|kind| kind.trim() == "text/html"))
}

/// A refusal as a page; any other response as it is.
pub fn as_page(response: Response) -> Response {
    let Some(Problem(sentence)) = response.extensions().get::<Problem>() else { return response };
    let status = response.status();
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>wirespan: {status}</title>\n\
         <link rel=\"stylesheet\" href=\"/assets/css/base.css\">\n<main class=\"problem\">\n<h1>{status}</h1>\n\
         <p>{}</p>\n<p><a href=\"/\">To the traces</a></p>\n</main>\n</html>\n",
        escaped(sentence)
    );
    let mut answer = (status, page).into_response();
    let (head, _) = response.into_parts();
    *answer.headers_mut() = head.headers;
    let headers = answer.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    answer
}

/// Text that is no markup.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(headers: &[(&'static str, &'static str)]) -> bool {
        is_for_people(&headers.iter().map(|(k, v)| (k.parse().unwrap(), HeaderValue::from_static(v))).collect())
    }

    #[test]
    fn only_whoever_opens_an_address_gets_a_page() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert!(asked(&[("accept", browser), ("sec-fetch-mode", "navigate")]) && asked(&[("accept", browser)]));
        assert!(!asked(&[("accept", browser), ("sec-fetch-mode", "cors")]));
        assert!(!asked(&[("accept", "*/*")]) && !asked(&[]) && !asked(&[("accept", "application/json")]));
    }

    #[test]
    fn what_was_asked_for_is_no_markup_on_the_page() {
        assert_eq!(escaped("<script>'&\"</script>"), "&lt;script&gt;&#39;&amp;&quot;&lt;/script&gt;");
    }
}
