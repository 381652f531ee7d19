//! Errors as clients see them: `application/problem+json` (RFC 9457) with a code that does not
//! change, whether trying again can help, and whether anything may have been written.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use kaffic_core::{Error, ErrorKind, Outcome};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;

/// The result of whatever a handler does.
pub(crate) type Result<T, E = Problem> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Debug, Clone)]
pub(crate) struct Problem(Box<ProblemBody>);

/// What went wrong, as RFC 9457 has it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// Always `about:blank`: `code` tells problems apart.
    r#type: &'static str,
    /// The name of the status.
    title: &'static str,
    /// The status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What happened, for programs: `topic_not_found`, `record_too_large`, ….
    code: &'static str,
    /// What happened, for people: to which topic or object, and what to do.
    detail: String,
    /// Whether the same request may succeed later.
    retriable: bool,
    /// What is known of the write: `not_written`, or `unknown` if the records may be in the log, or
    /// may appear in it yet. `not_written` where nothing was to be written.
    #[schema(example = "not_written")]
    outcome: &'static str,
    /// Where an offset was out of range: the first that is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    earliest: Option<i64>,
    /// Where an offset was out of range or not the expected one: the one the next record gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    tail: Option<i64>,
    /// What became of each record, where several were to be written and some failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    results: Option<Box<serde_json::value::RawValue>>,
}

impl Problem {
    /// A problem of the request or of the server, in which nothing was written.
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(ProblemBody {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            code,
            detail: detail.into(),
            retriable: matches!(status.as_u16(), 408 | 429 | 503 | 504),
            outcome: "not_written",
            earliest: None,
            tail: None,
            results: None,
        }))
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_argument", detail)
    }

    /// A bound of the server is reached.
    pub(crate) fn busy(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail)
    }

    pub(crate) fn stopping() -> Self {
        let detail = "the server is being stopped; try another one, or again in a moment";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", detail)
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(crate) fn code(&self) -> &'static str {
        self.0.code
    }

    /// The problem, with what became of each record.
    pub(crate) fn with_results(mut self, results: &impl Serialize) -> Self {
        self.0.results = serde_json::value::to_raw_value(results).ok();
        self
    }

    /// The problem, with more to be said before it.
    pub(crate) fn context(mut self, before: &str) -> Self {
        self.0.detail = format!("{before}: {}", self.0.detail);
        self
    }

    pub(crate) fn retriable(mut self) -> Self {
        self.0.retriable = true;
        self
    }

    pub(crate) fn with_unknown_outcome(mut self) -> Self {
        self.0.outcome = "unknown";
        self
    }

    /// As a JSON object, for streams and results.
    pub(crate) fn body(&self) -> &ProblemBody {
        &self.0
    }
}

/// The status and the code of a kind of error.
fn class(kind: ErrorKind) -> (StatusCode, &'static str) {
    match kind {
        ErrorKind::InvalidArgument => (StatusCode::BAD_REQUEST, "invalid_argument"),
        ErrorKind::TopicNotFound => (StatusCode::NOT_FOUND, "topic_not_found"),
        ErrorKind::TopicExists => (StatusCode::CONFLICT, "topic_exists"),
        ErrorKind::OffsetOutOfRange => (StatusCode::RANGE_NOT_SATISFIABLE, "offset_out_of_range"),
        ErrorKind::ConditionFailed => (StatusCode::CONFLICT, "condition_failed"),
        ErrorKind::Fenced => (StatusCode::CONFLICT, "fenced"),
        ErrorKind::GroupNotFound => (StatusCode::NOT_FOUND, "group_not_found"),
        ErrorKind::GroupNotEmpty => (StatusCode::CONFLICT, "group_not_empty"),
        ErrorKind::Closed => (StatusCode::SERVICE_UNAVAILABLE, "closed"),
        ErrorKind::Timeout => (StatusCode::GATEWAY_TIMEOUT, "timeout"),
        ErrorKind::QueueFull => (StatusCode::SERVICE_UNAVAILABLE, "queue_full"),
        ErrorKind::RecordTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "record_too_large"),
        ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        ErrorKind::Denied => (StatusCode::BAD_GATEWAY, "denied"),
        ErrorKind::UnsafeStore => (StatusCode::BAD_GATEWAY, "unsafe_store"),
        ErrorKind::ClockSkew => (StatusCode::INTERNAL_SERVER_ERROR, "clock_skew"),
        ErrorKind::Corrupt => (StatusCode::INTERNAL_SERVER_ERROR, "corrupt"),
        ErrorKind::Unsupported => (StatusCode::INTERNAL_SERVER_ERROR, "unsupported"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (status, code) = class(error.kind());
        let mut problem = Self::new(status, code, error.to_string());
        let body = &mut problem.0;
        body.retriable = error.is_retriable() || error.kind() == ErrorKind::Closed;
        if error.outcome() == Outcome::Unknown {
            body.outcome = "unknown";
        }
        body.earliest = error.offset_range().map(|(earliest, _)| earliest);
        body.tail = error.tail();
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let text = serde_json::to_vec(&self.0).unwrap_or_default();
        let mut response = (status, text).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"kaffic\"");
            headers.insert(axum::http::header::WWW_AUTHENTICATE, challenge);
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// What every path may answer.
impl utoipa::IntoResponses for Problem {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let schema = utoipa::openapi::Ref::from_schema_name("Problem");
        let content = utoipa::openapi::ContentBuilder::new().schema(Some(schema)).build();
        let response = utoipa::openapi::ResponseBuilder::new()
            .description("What went wrong.")
            .content("application/problem+json", content)
            .build();
        BTreeMap::from([("default".to_owned(), response.into())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_the_error_says() {
        let problem = Problem::from(Error::new(ErrorKind::TopicNotFound, "topic x"));
        assert_eq!(problem.status(), StatusCode::NOT_FOUND);
        let json = serde_json::to_value(problem.body()).unwrap();
        assert_eq!(json["code"], "topic_not_found");
        assert_eq!(json["retriable"], false);
        assert_eq!(json["outcome"], "not_written");
        let response = Problem::busy("all").into_response();
        assert_eq!(response.headers()[RETRY_AFTER], "1");
    }
}
