//! What stands in timelines.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    content::Content,
    id::{ConversationId, Cursor, UserId},
    session::Session,
};
use crate::model;

/// One row of a timeline. `kind` says which of the other members it has.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "seq": 42,
    "cursor": "1763880000.42",
    "appended_at": "2026-11-23T07:30:00.123456Z",
    "kind": "message",
    "message": {
        "message_id": "AAAAAAAAAAEAAAAAAAAAKg",
        "conversation_id": "user:ann",
        "sender_id": "ann",
        "text": "On my way",
    },
})))]
pub(crate) struct Entry {
    /// The place in the timeline: 1, 2, 3 … without gaps, in the order of commits.
    #[schema(minimum = 1)]
    seq: i64,
    cursor: Cursor,
    /// When it was appended, by the database's clock; never decreases with `seq`.
    #[serde(with = "time::serde::rfc3339")]
    appended_at: OffsetDateTime,
    kind: EntryKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    message: Option<Message>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    session_changed: Option<SessionChanged>,
}

/// What an entry is. The set is open: a client that meets a kind it does not know moves its cursor on
/// and ignores the entry.
///
/// `message`: sent or received. `session_changed`: a terminal of the user logged in, or sessions ended.
/// `unknown`: something that the answering node does not know, written by a newer one.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum EntryKind {
    Message,
    SessionChanged,
    Unknown,
}

/// A message as one participant sees it.
#[derive(Debug, Serialize, ToSchema)]
struct Message {
    /// Opaque. The same for every participant.
    message_id: String,
    conversation_id: ConversationId,
    sender_id: UserId,
    /// The id its sender gave it, to match a local echo. Only in the sender's own timeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    client_message_id: Option<Uuid>,
    #[serde(flatten)]
    content: Content,
}

/// A change of the set of live sessions: a login with all that it ended, a logout, a kick. One entry
/// for each transaction that changed them.
#[derive(Debug, Serialize, ToSchema)]
struct SessionChanged {
    /// The session that was opened, if one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    started: Option<Session>,
    /// The sessions that ended.
    ended: Vec<Session>,
}

impl Entry {
    pub(super) fn list(entries: &[model::Entry]) -> Vec<Self> {
        entries.iter().map(Self::from).collect()
    }
}

impl From<&model::Entry> for Entry {
    fn from(entry: &model::Entry) -> Self {
        let (kind, message, session_changed) = match &entry.kind {
            model::EntryKind::Message(message) => (EntryKind::Message, Some(message.into()), None),
            model::EntryKind::SessionChanged(change) => {
                (EntryKind::SessionChanged, None, Some(change.into()))
            }
            model::EntryKind::Unknown => (EntryKind::Unknown, None, None),
        };
        Self {
            seq: entry.seq(),
            cursor: entry.cursor.into(),
            appended_at: entry.appended_at,
            kind,
            message,
            session_changed,
        }
    }
}

impl From<&model::Message> for Message {
    fn from(message: &model::Message) -> Self {
        Self {
            message_id: message.message_id.to_string(),
            conversation_id: (&message.conversation_id).into(),
            sender_id: (&message.sender).into(),
            client_message_id: message.client_message_id,
            content: (&message.content).into(),
        }
    }
}

impl From<&model::SessionChanged> for SessionChanged {
    fn from(change: &model::SessionChanged) -> Self {
        Self {
            started: change.started.as_ref().map(|session| Session::new(session, None)),
            ended: Session::list(&change.ended),
        }
    }
}
