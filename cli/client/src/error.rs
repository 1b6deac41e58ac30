//! What can go wrong, and what of it may pass.

use std::{error::Error as _, time::Duration};

use imd_proto::v1::{EndReason, SessionEnd};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Why a call or a stream failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The list of servers cannot be used.
    #[error("servers: {0}")]
    Servers(String),
    /// The session has ended. Only a fresh login helps.
    #[error("the session has ended: {}", .0.reason().as_str_name().trim_start_matches("END_REASON_"))]
    SessionEnded(Box<SessionEnd>),
    /// imd answered with an error.
    #[error("{} ({})", .0.message, .0.code)]
    Answer(Box<Answer>),
    /// No connection, or one that broke before the answer.
    #[error("no answer: {0}")]
    Connection(String),
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The server does not keep to the contract.
    #[error("unexpected answer: {0}")]
    Contract(&'static str),
}

/// An error answer of imd.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The stable name of the error: `user_not_found`, `overloaded` …
    pub code: String,
    /// When to try again, if the server says so.
    pub retry_after: Option<Duration>,
    /// The server's words, for people.
    pub message: String,
}

impl Error {
    /// A short stable name for statistics: imd's own code, or what kept it from answering.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Servers(_) => "servers",
            Self::SessionEnded(_) => "session_ended",
            Self::Answer(answer) => &answer.code,
            Self::Connection(_) => "connection",
            Self::Timeout => "timeout",
            Self::Contract(_) => "contract",
        }
    }

    /// Whether the same call may succeed when it is made again.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Connection(_) | Self::Timeout => true,
            Self::Answer(answer) => {
                matches!(
                    answer.code.as_str(),
                    "overloaded" | "rate_limited" | "unavailable" | "internal"
                )
            }
            Self::Servers(_) | Self::SessionEnded(_) | Self::Contract(_) => false,
        }
    }

    /// Whether a call that changes something may have done so all the same.
    #[must_use]
    pub fn outcome_unknown(&self) -> bool {
        match self {
            Self::Connection(_) | Self::Timeout | Self::Contract(_) => true,
            Self::Answer(answer) => matches!(answer.code.as_str(), "unavailable" | "internal"),
            Self::Servers(_) | Self::SessionEnded(_) => false,
        }
    }

    /// Whether another server may do better than the one that was asked.
    pub(crate) fn is_of_the_server(&self) -> bool {
        match self {
            Self::Connection(_) | Self::Timeout => true,
            Self::Answer(answer) => answer.code == "unavailable",
            _ => false,
        }
    }

    /// Whether the access token has to be replaced.
    pub(crate) fn is_of_the_token(&self) -> bool {
        matches!(self, Self::Answer(answer) if answer.code == "invalid_token")
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Answer(answer) => answer.retry_after,
            _ => None,
        }
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let Some(info) = status.get_details_error_info() else {
            return without_details(&status);
        };
        if info.reason == "session_ended" {
            return session_ended(|name| info.metadata.get(name).cloned().unwrap_or_default());
        }
        let retry_after = status.get_details_retry_info().and_then(|retry| retry.retry_delay);
        let message = status.message().to_owned();
        Self::Answer(Box::new(Answer { code: info.reason, retry_after, message }))
    }
}

/// The end of the session, as the members of an error tell it.
pub(crate) fn session_ended(said: impl Fn(&str) -> String) -> Error {
    let reason = EndReason::from_str_name(&format!("END_REASON_{}", said("end_reason")));
    Error::SessionEnded(Box::new(SessionEnd {
        reason: reason.unwrap_or_default().into(),
        by_terminal_type: said("ended_by_terminal_type"),
        by_device_name: said("ended_by_device_name"),
        ended_at: said("ended_at").parse().ok(),
        note: said("note"),
    }))
}

/// imd gives details with each of its errors: this one comes from the way there, or from elsewhere.
fn without_details(status: &Status) -> Error {
    match status.code() {
        Code::Unavailable
        | Code::Unknown
        | Code::Internal
        | Code::Cancelled
        | Code::Aborted
        | Code::ResourceExhausted => Error::Connection(innermost(status)),
        Code::DeadlineExceeded => Error::Timeout,
        code => {
            let code = format!("{code:?}").to_lowercase();
            let message = status.message().to_owned();
            Error::Answer(Box::new(Answer { code, retry_after: None, message }))
        }
    }
}

/// The outer causes only say "transport error".
fn innermost(status: &Status) -> String {
    let mut cause = status.source();
    while let Some(inner) = cause.and_then(std::error::Error::source) {
        cause = Some(inner);
    }
    cause.map_or_else(|| status.message().to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic_types::ErrorDetails;

    use super::*;

    fn answer(code: Code, reason: &str, metadata: &[(&str, &str)]) -> Error {
        let metadata: HashMap<String, String> =
            metadata.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let details = ErrorDetails::with_error_info(reason, "imd", metadata);
        Status::with_error_details(code, "no", details).into()
    }

    #[test]
    fn the_end_of_the_session_is_told_with_its_circumstances() {
        let error = answer(
            Code::Unauthenticated,
            "session_ended",
            &[
                ("end_reason", "REPLACED"),
                ("ended_by_terminal_type", "phone"),
                ("ended_by_device_name", "Ann's new phone"),
                ("ended_at", "2026-11-23T12:00:00Z"),
            ],
        );
        let Error::SessionEnded(end) = error else { panic!("{error:?}") };
        assert_eq!(end.reason(), EndReason::Replaced);
        assert_eq!(end.by_terminal_type, "phone");
        assert_eq!(end.by_device_name, "Ann's new phone");
        assert_eq!(end.ended_at.map(|at| at.seconds), Some(1_795_435_200));
    }

    #[test]
    fn an_unknown_reason_ends_the_session_all_the_same() {
        let error = answer(Code::Unauthenticated, "session_ended", &[("end_reason", "ABDUCTED")]);
        assert!(matches!(error, Error::SessionEnded(_)), "{error:?}");
        assert!(!error.may_pass());
    }

    #[test]
    fn what_may_pass_and_what_may_have_happened() {
        let server = Code::Unavailable;
        for (error, may_pass, unknown) in [
            (answer(Code::ResourceExhausted, "overloaded", &[]), true, false),
            (answer(server, "unavailable", &[]), true, true),
            (answer(Code::Internal, "internal", &[]), true, true),
            (answer(Code::NotFound, "user_not_found", &[]), false, false),
            (Status::new(server, "broken pipe").into(), true, true),
            (Status::new(Code::Unimplemented, "").into(), false, false),
            (Error::Timeout, true, true),
        ] {
            assert_eq!(error.may_pass(), may_pass, "{error:?}");
            assert_eq!(error.outcome_unknown(), unknown, "{error:?}");
        }
    }
}
