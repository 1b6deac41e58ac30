//! Terminals and sessions.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::id::DeviceId;
use crate::model::{self, EndReason as Reason, SessionId};

/// The terminal a session is opened on.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "an object with the members type and device_id")]
pub(crate) struct Terminal {
    /// `phone`, `pc`, `web`, `pad`, `watch` or another that the deployment has set up; `GET /v1/info`
    /// lists them.
    #[serde(default)]
    #[schema(required = true, pattern = "^[a-z][a-z0-9_-]{0,31}$", examples("phone"))]
    pub(super) r#type: String,
    /// Logging in again from the same device replaces that device's session and no other's.
    #[serde(default)]
    #[schema(required = true)]
    pub(super) device_id: DeviceId,
    /// What people call the device: no control characters and no changes of direction; may be empty.
    #[serde(default)]
    #[schema(
        max_length = 64,
        pattern = r"^[^\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]*$",
        examples("Ann's Pixel")
    )]
    pub(super) device_name: String,
}

/// A session, live or ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Session {
    session_id: Uuid,
    terminal: Terminal,
    /// When the login committed.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// The last login, refresh, or start or end of a stream. Not moved by every call.
    #[serde(with = "time::serde::rfc3339")]
    last_used_at: OffsetDateTime,
    /// Whether a stream of it is open on some node.
    online: bool,
    /// Whether it is the session of the calling token.
    current: bool,
    /// How it ended; absent while it is live.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    end: Option<SessionEnd>,
}

/// How and why a session ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionEnd {
    reason: EndReason,
    /// The terminal type whose login or call ended it; empty when no terminal did.
    by_terminal_type: String,
    /// The name of the device that ended it; empty when no terminal did.
    by_device_name: String,
    /// When, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    ended_at: OffsetDateTime,
    /// A word from the administrator who ended it; may be empty.
    note: String,
}

/// Why a session ended. The set is open: a client stops at any reason, known to it or not.
///
/// `REPLACED`: a login of another device as the same terminal type took the place. `SUPERSEDED`: the
/// same device logged in again. `KICKED`: an administrator ended it. `LOGGED_OUT`: the user ended it,
/// on this terminal or from another. `EXPIRED`: not used for longer than a refresh token lasts.
/// `PASSWORD_CHANGED`, `USER_DISABLED`, `USER_DELETED`: what was done to the account. `TOKEN_REUSED`: a
/// refresh token that had been exchanged already was used again; it may have been stolen.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum EndReason {
    Replaced,
    Superseded,
    Kicked,
    LoggedOut,
    Expired,
    PasswordChanged,
    UserDisabled,
    UserDeleted,
    TokenReused,
}

/// The live sessions of the caller's user, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({ "sessions": [Session::example()] })))]
pub(crate) struct SessionList {
    /// Not paged: the limits of the terminal types bound them.
    sessions: Vec<Session>,
}

impl Session {
    /// One as the documentation of the API shows it.
    pub(super) fn example() -> Value {
        json!({
            "session_id": "0199e0a4-5b1c-7c3e-9d2f-3a1b5c7d9e0f",
            "terminal": { "type": "phone", "device_id": "pixel-7f3a", "device_name": "Ann's Pixel" },
            "created_at": "2026-11-23T07:30:00.123456Z",
            "last_used_at": "2026-11-23T07:30:00.123456Z",
            "online": false,
            "current": true,
        })
    }

    /// A session as the session `current` sees it, if it is one that asks.
    pub(super) fn new(session: &model::Session, current: Option<SessionId>) -> Self {
        Self {
            session_id: session.session_id.0,
            terminal: Terminal {
                r#type: session.terminal.terminal_type.clone(),
                device_id: DeviceId(session.terminal.device_id.as_str().to_owned()),
                device_name: session.terminal.device_name.clone(),
            },
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            online: session.online,
            current: current == Some(session.session_id),
            end: session.end.as_ref().map(SessionEnd::from),
        }
    }

    /// Sessions that somebody else than they asks for.
    pub(super) fn list(sessions: &[model::Session]) -> Vec<Self> {
        sessions.iter().map(|session| Self::new(session, None)).collect()
    }
}

impl SessionList {
    pub(in crate::rest) fn new(sessions: &[model::Session], current: SessionId) -> Self {
        Self { sessions: sessions.iter().map(|s| Session::new(s, Some(current))).collect() }
    }
}

impl From<&model::SessionEnd> for SessionEnd {
    fn from(end: &model::SessionEnd) -> Self {
        Self {
            reason: end.reason.into(),
            by_terminal_type: end.by_terminal_type.clone(),
            by_device_name: end.by_device_name.clone(),
            ended_at: end.ended_at,
            note: end.note.clone(),
        }
    }
}

impl From<Reason> for EndReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Replaced => Self::Replaced,
            Reason::Superseded => Self::Superseded,
            Reason::Kicked => Self::Kicked,
            Reason::LoggedOut => Self::LoggedOut,
            Reason::Expired => Self::Expired,
            Reason::PasswordChanged => Self::PasswordChanged,
            Reason::UserDisabled => Self::UserDisabled,
            Reason::UserDeleted => Self::UserDeleted,
            Reason::TokenReused => Self::TokenReused,
        }
    }
}
