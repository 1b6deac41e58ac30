//! Accounts, as administrators see and change them.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{
    model::{self, Error, Page},
    rest::types::{id::UserId, session::Session, timeline::Retention},
    service,
};

/// Whether a user may log in.
///
/// `ACTIVE`: may. `DISABLED`: may not, and still receives messages. `DELETED`: is no more, and the id is not given
/// out again. `SYSTEM`: speaks for the system; nobody can log in as it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum UserState {
    Active,
    Disabled,
    Deleted,
    System,
}

/// An account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct User {
    user_id: UserId,
    state: UserState,
    /// What people call the user, by its newest assertion that said so; may be empty.
    name: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// Absent while it is there.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    deleted_at: Option<OffsetDateTime>,
    live_sessions: i64,
    /// How many of them have a stream open.
    online_sessions: i64,
    /// The seq of the newest entry of its timeline.
    last_seq: i64,
    /// When the newest entry was appended; absent when there is none.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_at: Option<OffsetDateTime>,
    /// How far back it may see.
    retention: Retention,
}

/// A page of users, by id.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserList {
    users: Vec<User>,
    /// For the next page; empty on the last one.
    next_page_token: String,
}

/// A user to make.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "user_id": "ann", "tier": "free" })))]
pub(crate) struct CreateUserRequest {
    #[serde(default)]
    #[schema(required = true)]
    user_id: UserId,
    /// 8–1,024 bytes; absent for a user who logs in by assertions alone.
    pub(in crate::rest) password: Option<String>,
    /// The setting `default_tier` when absent or empty.
    #[serde(default)]
    pub(in crate::rest) tier: String,
}

impl CreateUserRequest {
    pub(in crate::rest) fn user_id(&self) -> &str {
        &self.user_id.0
    }
}

/// A new password.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SetPasswordRequest {
    /// 8–1,024 bytes.
    #[serde(default)]
    #[schema(required = true)]
    pub(in crate::rest) password: String,
}

/// A word for the terminals whose sessions end.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NoteRequest {
    /// Up to 256 characters on one line.
    #[serde(default)]
    pub(in crate::rest) note: String,
}

/// Which limits a user is to have: those of a tier, or its own.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "tier": "premium" }), json!({ "override": { "max_age_seconds": 604_800 } })))]
pub(crate) struct UserLimitsRequest {
    tier: Option<String>,
    r#override: Option<OwnLimits>,
}

/// How far back one sees and how much one may store; a limit that is absent does not limit.
#[derive(Debug, Deserialize, ToSchema)]
struct OwnLimits {
    /// Older entries are hidden.
    max_age_seconds: Option<u64>,
    /// Of the messages, only the newest so many may be seen.
    max_messages: Option<i64>,
    /// How many bytes of messages that the user has sent may be stored.
    max_bytes: Option<i64>,
}

/// What limits would hide from a user, and show again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserLimitsEffect {
    entries_hidden: i64,
    entries_shown: i64,
}

/// How far a deletion has come.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeletionProgress {
    /// The sessions that the deletion ended; in the first line alone.
    ended: Vec<Session>,
    entries: i64,
    entries_total: i64,
    /// Peers whose copies are erased.
    peers: i64,
    peers_total: i64,
}

impl From<&service::User> for User {
    fn from(user: &service::User) -> Self {
        Self {
            user_id: (&user.user_id).into(),
            state: match user.state {
                model::UserState::Active => UserState::Active,
                model::UserState::Disabled => UserState::Disabled,
                model::UserState::Deleted => UserState::Deleted,
                model::UserState::System => UserState::System,
            },
            name: user.name.clone(),
            created_at: user.created_at,
            deleted_at: user.deleted_at,
            live_sessions: user.live_sessions,
            online_sessions: user.online_sessions,
            last_seq: user.last_seq,
            last_at: user.last_at,
            retention: user.retention.clone().into(),
        }
    }
}

impl From<Page<service::User>> for UserList {
    fn from(page: Page<service::User>) -> Self {
        Self {
            users: page.items.iter().map(Into::into).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }
    }
}

impl TryFrom<UserLimitsRequest> for service::NewUserLimits {
    type Error = Error;

    fn try_from(request: UserLimitsRequest) -> Result<Self, Error> {
        match (request.tier, request.r#override) {
            (Some(name), None) => Ok(Self::Tier(name)),
            (None, Some(own)) => Ok(Self::Override {
                max_age: own.max_age_seconds.map(std::time::Duration::from_secs),
                max_messages: own.max_messages,
                max_bytes: own.max_bytes,
            }),
            _ => Err(Error::invalid("limits", "a tier or an override is needed, and not both")),
        }
    }
}

impl From<service::Effect> for UserLimitsEffect {
    fn from(effect: service::Effect) -> Self {
        Self { entries_hidden: effect.entries_hidden, entries_shown: effect.entries_shown }
    }
}

impl From<service::DeletionProgress> for DeletionProgress {
    fn from(progress: service::DeletionProgress) -> Self {
        Self {
            ended: Session::list(&progress.ended),
            entries: progress.entries,
            entries_total: progress.entries_total,
            peers: progress.peers,
            peers_total: progress.peers_total,
        }
    }
}
