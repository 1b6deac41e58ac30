//! Errors as REST shows them: RFC 9457 `application/problem+json`, whatever went wrong and wherever.

use std::{collections::BTreeMap, fmt::Display, time::Duration};

use axum::{
    extract::rejection::{BytesRejection, PathRejection},
    http::{
        HeaderValue, StatusCode,
        header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, UPGRADE, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    model::Error,
    telemetry::{self, call},
};

/// The media type of problems.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// The codes that REST has beside those of the model: name, status, and when it is given.
pub(super) const OWN_CODES: [(&str, u16, &str); 5] = [
    ("not_found", 404, "There is nothing at this path."),
    ("method_not_allowed", 405, "The path does not take this method."),
    ("body_too_large", 413, "The body is larger than any that could be valid."),
    ("unsupported_media_type", 415, "The body is not JSON."),
    ("upgrade_required", 426, "Only WebSockets are to be had at this path."),
];

/// What a request failed with: an error of the service, or a request that never got that far.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    details: BTreeMap<&'static str, String>,
    retry_after: Option<Duration>,
}

/// An error, as RFC 9457 has it. `code` says what went wrong; further members depend on it:
///
/// | code | members |
/// |---|---|
/// | `invalid_argument` | `field`: its name, as in `terminal.device_id` |
/// | `session_ended` | `end_reason`, `ended_by_terminal_type`, `ended_by_device_name`, `ended_at`, `note` |
/// | `terminal_occupied` | `terminal_type`, `device_name`, `last_used_at` |
/// | `rate_limited` | `limit`: its name, as in `sends_per_user` |
#[derive(Serialize, ToSchema)]
#[schema(as = Problem, examples(json!({
    "type": "about:blank",
    "title": "Bad Request",
    "status": 400,
    "detail": "limit: must not be negative",
    "code": "invalid_argument",
    "field": "limit",
})))]
pub(crate) struct Members {
    /// `about:blank`: the title is that of the status.
    r#type: &'static str,
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What went wrong, for people.
    detail: String,
    /// What went wrong, for programs. Stable; the set is open.
    code: &'static str,
    #[serde(flatten)]
    details: BTreeMap<&'static str, String>,
    /// When to try again, in seconds, where that is known. Also in the header `retry-after`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1)]
    retry_after: Option<u64>,
    /// Names the call in the logs of the server. Also in the header `x-request-id`; over a WebSocket it is that of
    /// the handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 128)]
    request_id: Option<String>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { status, code, detail, details: BTreeMap::new(), retry_after: None }
    }

    /// A field that cannot be read.
    pub(super) fn invalid(field: &str, reason: &dyn Display) -> Self {
        let mut problem =
            Self::new(StatusCode::BAD_REQUEST, "invalid_argument", format!("{field}: {reason}"));
        problem.details.insert("field", field.to_owned());
        problem
    }

    pub(super) fn unsupported_media_type() -> Self {
        let detail = "the body must be of type application/json";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path")
    }

    pub(super) fn method_not_allowed() -> Self {
        let detail = "the path does not take this method";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
    }

    pub(super) fn body_too_large() -> Self {
        let detail = "the body is larger than any that could be valid";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
    }

    pub(super) fn upgrade_required() -> Self {
        let detail = "only WebSockets are to be had at this path";
        Self::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", detail)
    }

    /// Whether the session has ended, so that no other answer will follow.
    pub(super) fn is_end_of_session(&self) -> bool {
        self.code == "session_ended"
    }

    /// The same problem with what it is about: `client_message_id` or another member of the request.
    pub(super) fn about(mut self, member: &'static str, value: &str) -> Self {
        self.details.insert(member, value.to_owned());
        self
    }

    /// The same problem with its field named from inside the member that it stands in.
    pub(super) fn below_member(mut self) -> Self {
        if let Some(field) = self.details.get_mut("field")
            && let Some((_, below)) = field.split_once('.')
        {
            *field = below.to_owned();
        }
        self
    }

    /// What went wrong, for people.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    pub(super) fn into_members(self) -> Members {
        // Never sooner than was meant.
        let in_seconds = |wait: Duration| wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Members {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            detail: self.detail,
            code: self.code,
            details: self.details,
            retry_after: self.retry_after.map(in_seconds),
            request_id: call::request_id().map(|id| id.to_string()),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        telemetry::note(&error);
        Self {
            status: StatusCode::from_u16(error.class().http_status())
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            code: error.code(),
            detail: error.to_string(),
            details: error.details().into_iter().collect(),
            retry_after: error.retry_after(),
        }
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Self::body_too_large(),
            _ => Self::invalid("body", &rejection),
        }
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        use axum::extract::path::ErrorKind;
        match &rejection {
            PathRejection::FailedToDeserializePathParams(error) => match error.kind() {
                ErrorKind::InvalidUtf8InPathParam { key } => Self::invalid(key, &"must be UTF-8"),
                ErrorKind::ParseErrorAtKey { key, .. } => Self::invalid(key, &"must be a number"),
                other => Self::invalid("path", other),
            },
            other => Self::from(Error::internal(other.to_string())),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, members) = (self.status, self.into_members());
        let retry_after = members.retry_after;
        let mut response =
            (status, [(CONTENT_TYPE, MEDIA_TYPE)], axum::Json(members)).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::UPGRADE_REQUIRED {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use serde_json::{Value, json};
    use time::macros::datetime;

    use super::*;
    use crate::model::{EndReason, SessionEnd};

    async fn shown(error: Error) -> (axum::http::HeaderMap, Value) {
        let (parts, body) = Problem::from(error).into_response().into_parts();
        let problem: Value =
            serde_json::from_slice(&to_bytes(body, usize::MAX).await.unwrap()).unwrap();
        assert_eq!(parts.headers[CONTENT_TYPE], MEDIA_TYPE);
        assert_eq!(problem["status"], parts.status.as_u16());
        (parts.headers, problem)
    }

    #[tokio::test]
    async fn an_ended_session_is_told_why() {
        let end = SessionEnd {
            reason: EndReason::Replaced,
            by_terminal_type: "phone".to_owned(),
            by_device_name: "Ann's Pixel".to_owned(),
            ended_at: datetime!(2026-11-23 07:30 UTC),
            note: String::new(),
        };
        let (headers, problem) = shown(Error::SessionEnded(Box::new(end))).await;
        assert_eq!(headers[WWW_AUTHENTICATE], "Bearer");
        assert_eq!(
            problem,
            json!({
                "type": "about:blank",
                "title": "Unauthorized",
                "status": 401,
                "detail": "the session has ended: REPLACED",
                "code": "session_ended",
                "end_reason": "REPLACED",
                "ended_by_terminal_type": "phone",
                "ended_by_device_name": "Ann's Pixel",
                "ended_at": "2026-11-23T07:30:00Z",
                "note": "",
            })
        );
    }

    #[tokio::test]
    async fn a_fault_of_the_server_shows_nothing_of_its_inside() {
        for error in [Error::internal("secret"), Error::unavailable("secret")] {
            let (_, problem) = shown(error).await;
            assert!(!problem.to_string().contains("secret"), "{problem}");
        }
    }

    #[tokio::test]
    async fn a_client_is_never_asked_back_too_early() {
        for (milliseconds, seconds) in [(1, 1), (1000, 1), (1001, 2)] {
            let retry_after = Duration::from_millis(milliseconds);
            let (headers, problem) = shown(Error::Overloaded { retry_after }).await;
            assert_eq!(headers[RETRY_AFTER], seconds.to_string());
            assert_eq!(problem["retry_after"], seconds);
        }
    }
}
