//! Pinned messages.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{ConversationId, Entry, SealedMessageId, UserId};

/// The most messages that are pinned in one conversation.
pub const MOST_PINS: i64 = 50;

/// A message that is pinned.
#[derive(Debug)]
pub struct PinnedMessage {
    /// The message, as the caller has it.
    pub message: Entry,
    /// Who has pinned it.
    pub pinned_by: UserId,
    /// When.
    pub pinned_at: OffsetDateTime,
}

/// A message was pinned, or is so no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessagePinned {
    /// Which message.
    pub message_id: SealedMessageId,
    /// As the owner of the timeline sees it.
    pub conversation_id: ConversationId,
    /// The place of the owner's copy, in the same timeline.
    pub seq: i64,
    /// What has been done.
    pub change: PinChange,
}

/// What has been done to a message. Stored as JSON: fields are added, never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinChange {
    /// Whether it is pinned from now on.
    pub pinned: bool,
    /// Who has done it.
    pub by: UserId,
}
