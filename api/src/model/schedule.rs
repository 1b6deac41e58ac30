//! Messages that are to be sent later.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Attachment, Content, ConversationId};

/// The most messages of one user that wait to be sent, those that were refused included.
pub const MOST_SCHEDULED: i64 = 100;

/// A message that is to be sent later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduledMessage {
    /// The id that the client gave it, and that it keeps when it is sent.
    pub client_message_id: Uuid,
    /// To whom.
    pub conversation_id: ConversationId,
    /// When.
    pub send_at: OffsetDateTime,
    /// What it says.
    pub content: Content,
    /// Members whom it mentions, by id; only in groups.
    pub mentions: Vec<String>,
    /// Whether it mentions everybody; only in groups.
    pub mention_all: bool,
    /// The message that it quotes, as the client named it; empty for none.
    pub reply_to: String,
    /// What it has with it.
    pub attachments: Vec<Attachment>,
    /// Why it was not sent, if it was refused.
    pub refusal: Option<Refusal>,
}

/// Why a message was not sent that had been scheduled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The stable code of the error that a send would have had.
    pub code: String,
    /// The same in words.
    pub message: String,
}

/// What became of a scheduled message. Numbered as in the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ScheduledState {
    /// It waits, or says something else than before, or waits for another time.
    Waiting = 1,
    /// It was taken back.
    Cancelled = 2,
    /// It was sent: the message is an entry of its own.
    Sent = 3,
    /// It was due, and was refused.
    Refused = 4,
}

/// A scheduled message was made, changed or sent. Stored as JSON: fields are added, never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduledChanged {
    /// Which.
    pub client_message_id: Uuid,
    /// To whom.
    pub conversation_id: ConversationId,
    /// What became of it.
    pub state: ScheduledState,
    /// When it is, or was, to be sent.
    #[serde(with = "time::serde::rfc3339")]
    pub send_at: OffsetDateTime,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
}
