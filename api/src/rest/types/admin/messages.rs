//! Where messages have got to.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::AdminSession;
use crate::{
    model::Tombstone,
    rest::types::id::{GroupId, UserId},
    service::{self, CopyState},
};

/// Where a message has got to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MessageTrace {
    message_id: String,
    sender_id: UserId,
    /// Null when the sender's copy is gone.
    #[schema(required = true)]
    client_message_id: Option<Uuid>,
    /// The sender's copy, then the others.
    copies: Vec<TracedCopy>,
    /// Where it stands once; null between users.
    #[schema(required = true)]
    home: Option<TracedHome>,
}

/// What has become of a copy.
///
/// `PENDING`: a member of the group has not got it yet. `OWNER_DELETED`: gone with its user.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum TracedState {
    There,
    Recalled,
    Deleted,
    Erased,
    Purged,
    OwnerDeleted,
    Pending,
}

/// The place of a message in its group's timeline.
#[derive(Debug, Serialize, ToSchema)]
struct TracedHome {
    group_id: GroupId,
    seq: i64,
    state: TracedState,
    #[serde(with = "time::serde::rfc3339")]
    appended_at: OffsetDateTime,
}

/// One participant's copy, and the terminals that are to have it.
#[derive(Debug, Serialize, ToSchema)]
struct TracedCopy {
    user_id: UserId,
    seq: i64,
    state: TracedState,
    /// Null when it is gone, or not there yet.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true)]
    appended_at: Option<OffsetDateTime>,
    /// The place in the group's timeline up to which the member's has been brought; null between users.
    #[schema(required = true)]
    fanned_to: Option<i64>,
    /// Whether the member has read it; null for its sender and between users.
    #[schema(required = true)]
    read: Option<bool>,
    terminals: Vec<TracedTerminal>,
}

/// A terminal that is to have a message.
#[derive(Debug, Serialize, ToSchema)]
struct TracedTerminal {
    session: AdminSession,
    /// Whether its cursor has passed the message.
    passed: bool,
}

impl From<CopyState> for TracedState {
    fn from(state: CopyState) -> Self {
        match state {
            CopyState::There => Self::There,
            CopyState::Gone(Tombstone::Recalled) => Self::Recalled,
            CopyState::Gone(Tombstone::Deleted) => Self::Deleted,
            CopyState::Gone(Tombstone::Erased) => Self::Erased,
            CopyState::Purged => Self::Purged,
            CopyState::OwnerDeleted => Self::OwnerDeleted,
            CopyState::Pending => Self::Pending,
        }
    }
}

impl From<service::MessageTrace> for MessageTrace {
    fn from(trace: service::MessageTrace) -> Self {
        let terminal = |traced: &service::TracedTerminal| TracedTerminal {
            session: (&traced.session).into(),
            passed: traced.passed,
        };
        let copy = |traced: service::TracedCopy| TracedCopy {
            user_id: (&traced.user_id).into(),
            seq: traced.copy.seq,
            state: traced.copy.state.into(),
            appended_at: traced.copy.appended_at,
            fanned_to: traced.copy.in_group.map(|member| member.fanned_to),
            read: traced.copy.in_group.and_then(|member| member.read),
            terminals: traced.terminals.iter().map(terminal).collect(),
        };
        let home = |home: service::MessageHome| TracedHome {
            group_id: (&home.group_id).into(),
            seq: home.seq,
            state: home.state.into(),
            appended_at: home.appended_at,
        };
        Self {
            message_id: trace.message_id.to_string(),
            sender_id: (&trace.sender_id).into(),
            client_message_id: trace.client_message_id,
            copies: trace.copies.into_iter().map(copy).collect(),
            home: trace.home.map(home),
        }
    }
}
