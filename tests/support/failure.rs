//! How calls fail, the same whatever the transport.

use std::{collections::BTreeMap, fmt::Display, time::Duration};

use tonic::{Code, Status};
use tonic_types::StatusExt;

/// The stable codes of the contract and how each transport shows them.
const CODES: &[(&str, Code, u16)] = &[
    ("invalid_argument", Code::InvalidArgument, 400),
    ("invalid_credentials", Code::Unauthenticated, 401),
    ("invalid_assertion", Code::Unauthenticated, 401),
    ("invalid_token", Code::Unauthenticated, 401),
    ("session_ended", Code::Unauthenticated, 401),
    ("invalid_admin_key", Code::Unauthenticated, 401),
    ("permission_denied", Code::PermissionDenied, 403),
    ("admin_key_exists", Code::AlreadyExists, 409),
    ("admin_key_not_found", Code::NotFound, 404),
    ("terminal_occupied", Code::FailedPrecondition, 409),
    ("user_not_found", Code::NotFound, 404),
    ("session_not_found", Code::NotFound, 404),
    ("tier_not_found", Code::NotFound, 404),
    ("tier_exists", Code::AlreadyExists, 409),
    ("tier_in_use", Code::FailedPrecondition, 409),
    ("terminal_type_exists", Code::AlreadyExists, 409),
    ("terminal_type_in_use", Code::FailedPrecondition, 409),
    ("message_not_found", Code::NotFound, 404),
    ("not_accepted", Code::PermissionDenied, 403),
    ("too_many_contacts", Code::FailedPrecondition, 409),
    ("recall_window_over", Code::FailedPrecondition, 409),
    ("edit_window_over", Code::FailedPrecondition, 409),
    ("too_many_reactions", Code::FailedPrecondition, 409),
    ("too_many_pins", Code::FailedPrecondition, 409),
    ("search_disabled", Code::FailedPrecondition, 409),
    ("attachment_not_found", Code::NotFound, 404),
    ("attachment_quota_used", Code::FailedPrecondition, 409),
    ("message_quota_used", Code::FailedPrecondition, 409),
    ("too_many_scheduled", Code::FailedPrecondition, 409),
    ("scheduled_not_found", Code::NotFound, 404),
    ("client_edit_id_conflict", Code::AlreadyExists, 409),
    ("blocked", Code::PermissionDenied, 403),
    ("recipient_blocked", Code::FailedPrecondition, 409),
    ("too_many_blocks", Code::FailedPrecondition, 409),
    ("import_unfinished", Code::Unavailable, 503),
    ("timeline_not_empty", Code::FailedPrecondition, 409),
    ("user_exists", Code::AlreadyExists, 409),
    ("client_message_id_conflict", Code::AlreadyExists, 409),
    ("purge_running", Code::FailedPrecondition, 409),
    ("job_not_found", Code::NotFound, 404),
    ("job_not_running", Code::FailedPrecondition, 409),
    ("policy_refused", Code::PermissionDenied, 403),
    ("webhook_not_found", Code::NotFound, 404),
    ("too_many_webhooks", Code::FailedPrecondition, 409),
    ("broadcast_not_found", Code::NotFound, 404),
    ("broadcast_id_conflict", Code::AlreadyExists, 409),
    ("broadcast_ended", Code::FailedPrecondition, 409),
    ("rate_limited", Code::ResourceExhausted, 429),
    ("overloaded", Code::ResourceExhausted, 429),
    ("unavailable", Code::Unavailable, 503),
    ("internal", Code::Internal, 500),
    ("group_not_found", Code::NotFound, 404),
    ("group_exists", Code::AlreadyExists, 409),
    ("group_full", Code::FailedPrecondition, 409),
    ("not_a_member", Code::PermissionDenied, 403),
    ("member_not_found", Code::NotFound, 404),
    ("request_not_found", Code::NotFound, 404),
    ("group_role_needed", Code::PermissionDenied, 403),
    ("invitation_needed", Code::PermissionDenied, 403),
    ("owner_must_stay", Code::FailedPrecondition, 409),
    ("muted", Code::PermissionDenied, 403),
    ("version_conflict", Code::FailedPrecondition, 409),
];

/// The code of a call that got no answer of imd's: the connection is gone.
pub(crate) const LOST: &str = "lost";

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// `invalid_argument` …, or [`LOST`].
    pub(crate) code: String,
    /// For people.
    pub(crate) message: String,
    /// What a program may want to know beyond the code.
    pub(crate) details: BTreeMap<String, String>,
    /// When to try again, where that was said.
    pub(crate) retry_after: Option<Duration>,
}

impl Failure {
    pub(crate) fn lost(error: impl Display) -> Self {
        Self {
            code: LOST.to_owned(),
            message: error.to_string(),
            details: BTreeMap::new(),
            retry_after: None,
        }
    }

    /// What a REST call failed with: a problem. Panics when the status is not that of the code.
    pub(crate) fn from_problem(
        status: u16,
        mut problem: BTreeMap<String, serde_json::Value>,
    ) -> Self {
        let mut take = |name| problem.remove(name).unwrap_or_default();
        let code = take("code").as_str().expect("a problem has a code").to_owned();
        assert_eq!(status, known(&code).2, "the HTTP status of {code}");
        assert_eq!(take("status"), status, "the status in a problem");
        let message = take("detail").as_str().expect("a problem has a detail").to_owned();
        // The same for every problem of a status.
        let (_, _) = (take("type"), take("title"));
        // Another one for each call.
        assert!(take("request_id").as_str().is_none_or(|id| !id.is_empty()), "an id");
        let retry_after = take("retry_after").as_u64().map(Duration::from_secs);
        let text =
            |(name, value): (String, serde_json::Value)| Some((name, value.as_str()?.to_owned()));
        let details = problem.into_iter().filter_map(text).collect();
        Self { code, message, details, retry_after }
    }

    /// A detail by name; empty when there is none.
    pub(crate) fn detail(&self, name: &str) -> &str {
        self.details.get(name).map_or("", String::as_str)
    }

    /// The field that is wrong; panics when this is about something else.
    #[track_caller]
    pub(crate) fn field(&self) -> &str {
        assert_eq!(self.code, "invalid_argument", "{self:?}");
        self.detail("field")
    }

    /// Why the session ended; panics when this is about something else.
    #[track_caller]
    pub(crate) fn end_reason(&self) -> &str {
        assert_eq!(self.code, "session_ended", "{self:?}");
        self.detail("end_reason")
    }

    /// Whether the call may have done its work all the same.
    pub(crate) fn outcome_is_unknown(&self) -> bool {
        self.code == LOST || self.code == "unavailable"
    }
}

/// What a gRPC call failed with. Panics when the status is not that of the code.
impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let Some(info) = status.get_details_error_info() else { return Self::lost(status) };
        assert_eq!(info.domain, "imd", "the domain of {status:?}");
        assert_eq!(status.code(), known(&info.reason).1, "the gRPC status of {}", info.reason);
        Self {
            code: info.reason,
            message: status.message().to_owned(),
            details: info.metadata.into_iter().collect(),
            retry_after: status.get_details_retry_info().and_then(|info| info.retry_delay),
        }
    }
}

fn known(code: &str) -> (&'static str, Code, u16) {
    let found = CODES.iter().find(|(name, ..)| *name == code);
    *found.unwrap_or_else(|| panic!("{code:?} is not a code of the contract"))
}
