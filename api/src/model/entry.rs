//! Timelines and what stands in them.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Content, ConversationId, Cursor, MessageId, Retention, Session, SessionId, UserId};

/// One row of a timeline.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The place and the stamp of its numbering.
    pub cursor: Cursor,
    /// When it was appended; never decreases with `seq`.
    pub appended_at: OffsetDateTime,
    /// What it is.
    pub kind: EntryKind,
}

impl Entry {
    /// The place in the timeline: 1, 2, 3 …
    #[must_use]
    pub fn seq(&self) -> i64 {
        self.cursor.seq
    }
}

/// What an entry is.
#[derive(Debug, Clone)]
pub enum EntryKind {
    /// A message, sent or received.
    Message(Message),
    /// Sessions of the owner began or ended.
    SessionChanged(SessionChanged),
    /// Something that a newer node has written.
    Unknown,
}

/// A message as the owner of a timeline sees it.
#[derive(Debug, Clone)]
pub struct Message {
    /// The same for every participant.
    pub message_id: MessageId,
    /// The other side, as the owner sees it.
    pub conversation_id: ConversationId,
    /// Who sent it.
    pub sender: UserId,
    /// The id its sender gave it; only in the sender's own timeline.
    pub client_message_id: Option<Uuid>,
    /// What it says.
    pub content: Content,
}

/// The sessions that one transaction began and ended. Stored as JSON: fields are added, never
/// renamed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SessionChanged {
    /// The session that was opened, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Session>,
    /// The sessions that ended, each with its `end`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<Session>,
}

impl SessionChanged {
    /// The end of the session, if this change ended it.
    #[must_use]
    pub fn end_of(&self, session_id: SessionId) -> Option<&super::SessionEnd> {
        self.ended.iter().find(|session| session.session_id == session_id)?.end.as_ref()
    }
}

/// How far a timeline reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineState {
    /// The stamp of the numbering.
    pub epoch: i64,
    /// The newest entry's seq; 0 when there is none.
    pub last_seq: i64,
    /// The lowest seq that may be seen; `last_seq + 1` when none may.
    pub floor: i64,
    /// What sets the floor.
    pub retention: Retention,
}

/// A range of seqs that can no longer be had, both ends included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truncated {
    /// The first seq that is gone.
    pub from: i64,
    /// The last seq that is gone.
    pub to: i64,
    /// What holds, which mostly is the reason.
    pub retention: Retention,
}

/// A conversation in the listing of them.
#[derive(Debug, Clone)]
pub struct Conversation {
    /// As the caller sees it.
    pub conversation_id: ConversationId,
    /// Its newest message.
    pub last_message: Entry,
}
