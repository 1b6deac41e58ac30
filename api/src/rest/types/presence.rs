//! Who is there.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::id::UserId;
use crate::model;

/// How a user is. The set is open.
///
/// `ONLINE`: a terminal of the user has a stream open, or had one a few seconds ago. `IDLE`: so it has, and
/// nobody is at any of them. `OFFLINE`: it has none, or does not let the caller see.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum PresenceState {
    Online,
    Idle,
    Offline,
}

/// How a user is, as far as the caller may see.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(
    json!({ "user_id": "bob", "state": "ONLINE", "terminal_types": ["pc", "phone"] }),
    json!({ "user_id": "carl", "state": "OFFLINE", "terminal_types": [], "last_seen": "2026-11-23T07:30:00Z" }),
))]
pub(crate) struct UserPresence {
    user_id: UserId,
    state: PresenceState,
    /// The types of the terminals that it is there with, sorted; empty where the user does not show them.
    terminal_types: Vec<String>,
    /// Of who is offline: when it was there last, to the minute. Absent where that is not known, or not shown.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    last_seen: Option<OffsetDateTime>,
}

/// Users, how they are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PresenceList {
    users: Vec<UserPresence>,
}

/// Whether nobody is at a terminal.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "idle": true })))]
pub(crate) struct SetIdleRequest {
    /// Whether nobody is at the terminal.
    #[serde(default)]
    #[schema(required = false)]
    pub(in crate::rest) idle: bool,
}

impl From<&[model::Presence]> for PresenceList {
    fn from(users: &[model::Presence]) -> Self {
        Self { users: users.iter().map(UserPresence::from).collect() }
    }
}

impl From<&model::Presence> for UserPresence {
    fn from(presence: &model::Presence) -> Self {
        Self {
            user_id: (&presence.user_id).into(),
            state: match presence.state {
                model::PresenceState::Online => PresenceState::Online,
                model::PresenceState::Idle => PresenceState::Idle,
                model::PresenceState::Offline => PresenceState::Offline,
            },
            terminal_types: presence.terminal_types.clone(),
            last_seen: presence.last_seen,
        }
    }
}
