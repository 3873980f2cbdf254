//! What a request asks for, and how it is refused.

use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::{HeaderValue, StatusCode, header, request::Parts};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::problem::Problem;
use crate::store::filter::{Filter, MIN_PREFIX, Outcome, Prefix};

/// Parameters of the query string, in order, repeated ones each.
pub struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

impl Params {
    /// Reads a query string.
    pub fn parse(query: &str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// A parameter that is not empty; the first, if there are several.
    pub fn get<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).find(|value| !value.is_empty())
    }

    /// Every value of a parameter.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A whole number within limits.
    ///
    /// # Errors
    /// If it is something else.
    pub fn count(&self, name: &str, default: u64, low: u64, high: u64) -> Result<u64, Refusal> {
        let Some(text) = self.get(name) else { return Ok(default) };
        let number = text.parse::<u64>().ok().filter(|number| (low..=high).contains(number));
        number.ok_or_else(|| Refusal::bad(format!("{name}={text}: write a whole number from {low} to {high}")))
    }

    /// One of a few words.
    ///
    /// # Errors
    /// If it is another.
    pub fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Refusal> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        let all = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" or ");
        found.map(Some).ok_or_else(|| Refusal::bad(format!("{name}={text}: write {}", all())))
    }

    /// Milliseconds as nanoseconds.
    ///
    /// # Errors
    /// If it is something else.
    pub fn millis(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let number = f64::from_str(text).ok().filter(|number| (0.0..1.8e13).contains(number));
        let number = number.ok_or_else(|| Refusal::bad(format!("{name}={text}: write milliseconds, such as 12.5")))?;
        Ok(Some((number * 1e6).round() as u64))
    }

    /// The filter of searches.
    ///
    /// # Errors
    /// If a value cannot be understood.
    pub fn filter(&self) -> Result<Filter, Refusal> {
        let text = |name| self.get(name).map(str::to_owned);
        let prefix = |text: &str| {
            let problem = || format!("trace={text}: write at least {MIN_PREFIX} of a trace id's hexadecimal digits");
            Prefix::parse(text).ok_or_else(|| Refusal::bad(problem()))
        };
        let attribute = |text: &str| match text.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (text.to_owned(), None),
        };
        Ok(Filter {
            service: text("service"),
            operation: text("operation"),
            min: self.millis("min_ms")?,
            max: self.millis("max_ms")?,
            outcome: self.word("status", &[("error", Outcome::Error), ("ok", Outcome::Ok)])?,
            attributes: self.all("attr").filter(|text| !text.is_empty()).map(attribute).collect(),
            trace: self.get("trace").map(prefix).transpose()?,
            from: self.millis("from")?,
            to: self.millis("to")?,
        })
    }
}

/// A request that is not answered, and why.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    sentence: String,
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
}

impl Refusal {
    /// A status code and a sentence with the remedy.
    pub fn new(status: u16, sentence: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, sentence: sentence.into() }
    }

    /// The request makes no sense.
    pub fn bad(sentence: impl Into<String>) -> Self {
        Self::new(400, sentence)
    }

    /// There is no such thing.
    pub fn not_found(sentence: impl Into<String>) -> Self {
        Self::new(404, sentence)
    }

    /// There is too much to do.
    pub fn busy(sentence: impl Into<String>) -> Self {
        Self::new(503, sentence)
    }

    /// A defect.
    pub fn internal() -> Self {
        Self::new(500, "the view failed; please report the agent's log")
    }

    /// The status code and the sentence.
    pub fn parts(&self) -> (StatusCode, &str) {
        (self.status, &self.sentence)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = json(&Body { error: &self.sentence });
        *response.status_mut() = self.status;
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response.extensions_mut().insert(Problem(self.sentence));
        response
    }
}

/// A response in JSON.
pub fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => {
            log::error!("the view cannot write an answer: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(query: &str) -> String {
        Params::parse(query).filter().unwrap_err().sentence
    }

    #[test]
    fn a_filter_is_read_from_the_query_string() {
        let query = "service=shop&operation=GET%20%2F&min_ms=1.5&status=error&attr=order.id%3D123&attr=a%3Db%3Dc&attr=k\
                     &trace=4bf9&from=1700000000000&limit=5&max_ms=";
        let filter = Params::parse(query).filter().unwrap();
        assert_eq!(filter.service.as_deref(), Some("shop"));
        assert_eq!(filter.operation.as_deref(), Some("GET /"));
        assert_eq!((filter.min, filter.max), (Some(1_500_000), None));
        assert_eq!(filter.outcome, Some(Outcome::Error));
        let attributes = [("order.id", Some("123")), ("a", Some("b=c")), ("k", None)];
        assert_eq!(filter.attributes, attributes.map(|(k, v)| (k.to_owned(), v.map(str::to_owned))));
        assert_eq!(filter.from, Some(1_700_000_000_000_000_000));
        assert!(filter.trace.is_some() && filter.to.is_none());
    }

    #[test]
    fn what_cannot_be_understood_is_named_with_its_remedy() {
        assert_eq!(problem("status=bad"), "status=bad: write error or ok");
        assert_eq!(problem("min_ms=soon"), "min_ms=soon: write milliseconds, such as 12.5");
        assert!(problem("trace=xyz").contains("hexadecimal"));
        for text in ["-1", "NaN", "inf", "1e300"] {
            assert!(problem(&format!("from={text}")).contains("write milliseconds"), "{text}");
        }
        let limit = Params::parse("limit=1001").count("limit", 100, 1, 1000).unwrap_err();
        assert_eq!(limit.sentence, "limit=1001: write a whole number from 1 to 1000");
    }
}
