//! What became of one export request, as OTLP tells success, refusal and trouble that passes apart.
//!
//! Source: OTLP specification, "OTLP/gRPC Response" and "OTLP/HTTP Response", and their "Throttling" sections.

use std::error::Error;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use tonic::Code;
use tonic_types::StatusExt;

/// What became of an export request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The endpoint took it, possibly without `rejected` of its spans, possibly with something to say about them.
    Accepted {
        /// Spans not taken.
        rejected: u64,
        /// Why, or a warning; often empty.
        message: String,
    },
    /// The endpoint will never take this request.
    Refused {
        /// Why.
        reason: String,
    },
    /// It may work later.
    Failed {
        /// Why.
        reason: String,
        /// How long the endpoint asks to be left alone.
        after: Option<Duration>,
    },
}

impl Outcome {
    /// The endpoint could not be reached or did not answer.
    pub(super) fn unreachable(error: &dyn Error) -> Self {
        Self::Failed { reason: with_causes(error), after: None }
    }

    /// The endpoint answered with success.
    pub(super) fn accepted(response: ExportTraceServiceResponse) -> Self {
        let partial = response.partial_success.unwrap_or_default();
        let rejected = u64::try_from(partial.rejected_spans).unwrap_or(0);
        Self::Accepted { rejected, message: partial.error_message }
    }

    /// The endpoint answered with a gRPC error, or the call never got through.
    pub(super) fn from_grpc(status: &tonic::Status) -> Self {
        if let Some(cause) = status.source() {
            // Made by the client side out of a transport error; its code is a guess and its text repeats the cause.
            return Self::unreachable(cause);
        }
        let after = status.get_details_retry_info().and_then(|info| info.retry_delay);
        let reason = format!("gRPC status {:?}: {}", status.code(), status.message());
        let passing = match status.code() {
            Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss => true,
            Code::ResourceExhausted => after.is_some(),
            _ => false,
        };
        if passing { Self::Failed { reason, after } } else { Self::Refused { reason } }
    }

    /// The endpoint answered with an HTTP status other than success; `message` is what its body says, if anything.
    pub(super) fn from_http(status: StatusCode, retry_after: Option<&str>, message: &str) -> Self {
        let colon = if message.is_empty() { "" } else { ": " };
        let reason = format!("HTTP status {status}{colon}{message}");
        match status.as_u16() {
            429 | 502 | 503 | 504 => {
                let after = retry_after.and_then(|text| parse_retry_after(text, SystemTime::now()));
                Self::Failed { reason, after }
            }
            _ => Self::Refused { reason },
        }
    }
}

/// `Retry-After`: seconds or a date (RFC 9110 §10.2.3). A date in the past means at once.
fn parse_retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text.trim()).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// An error and what caused it, on one line; a cause that its effect already quotes is not repeated.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let this = error.to_string();
        if !text.contains(&this) {
            text = format!("{text}: {this}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    fn may_be_retried(outcome: &Outcome) -> bool {
        matches!(outcome, Outcome::Failed { .. })
    }

    #[test]
    fn exactly_the_grpc_codes_of_the_specification_are_retried() {
        use Code::*;
        let retried = [Cancelled, DeadlineExceeded, Aborted, OutOfRange, Unavailable, DataLoss];
        for code in (1..=16).map(Code::from_i32) {
            let outcome = Outcome::from_grpc(&tonic::Status::new(code, "x"));
            assert_eq!(may_be_retried(&outcome), retried.contains(&code), "{code:?}");
        }
    }

    #[test]
    fn resource_exhausted_is_retried_only_when_the_server_says_when() {
        let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(1500)));
        let status = tonic::Status::with_error_details(Code::ResourceExhausted, "slow down", details);
        let reason = "gRPC status ResourceExhausted: slow down".to_owned();
        assert_eq!(Outcome::from_grpc(&status), Outcome::Failed { reason, after: Some(Duration::from_millis(1500)) });
    }

    #[test]
    fn exactly_the_http_statuses_of_the_specification_are_retried() {
        for code in 300..600 {
            let outcome = Outcome::from_http(StatusCode::from_u16(code).unwrap(), None, "");
            assert_eq!(may_be_retried(&outcome), [429, 502, 503, 504].contains(&code), "{code}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let parse = |text| parse_retry_after(text, now);
        assert_eq!(parse("120"), Some(Duration::from_secs(120)));
        assert_eq!(parse("Sun, 06 Nov 1994 08:50:07 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:00 GMT"), Some(Duration::ZERO), "the past");
        assert_eq!(parse("soon"), None);
        assert_eq!(parse("-5"), None);
    }
}
