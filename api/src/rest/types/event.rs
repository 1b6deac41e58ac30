//! Entries that say what became of messages, read, recalled or deleted, and of blocks.

use serde::Serialize;
use utoipa::ToSchema;

use super::id::{ConversationId, UserId};
use crate::model;

/// The timeline's owner has read a conversation up to a place.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReadMark {
    conversation_id: ConversationId,
    /// The last message read, by its place in this timeline. Higher with each mark of the conversation.
    #[schema(minimum = 1)]
    seq: i64,
}

/// The peer has read a conversation up to a place.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReadReceipt {
    /// `user:` and the peer who has read.
    conversation_id: ConversationId,
    /// The last message read, one that the timeline's owner has sent, by its place in this timeline.
    /// Higher with each receipt of the conversation.
    #[schema(minimum = 1)]
    seq: i64,
}

/// The sender of a message has recalled it. The entry at `seq` is a tombstone from now on.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MessageRecalled {
    /// Which message.
    message_id: String,
    conversation_id: ConversationId,
    /// The message's place in this timeline; 0 where it has none, as for who joined a group later.
    #[schema(minimum = 0)]
    seq: i64,
}

/// The timeline's owner has deleted a message for itself. The entry at `seq` is a tombstone from now on.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MessageDeleted {
    /// Which message.
    message_id: String,
    conversation_id: ConversationId,
    /// The message's place in this timeline.
    #[schema(minimum = 1)]
    seq: i64,
}

/// An account was deleted, and every message that it had sent in the conversation erased: those before this
/// entry are tombstones from now on.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MessagesErased {
    conversation_id: ConversationId,
    /// Whose messages: the peer's, or a member's of the group.
    sender_id: UserId,
}

/// The timeline's owner blocks a user, or blocks it no longer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BlockChanged {
    user_id: UserId,
    /// Whether the user is blocked from now on.
    blocked: bool,
}

impl From<&model::BlockChanged> for BlockChanged {
    fn from(change: &model::BlockChanged) -> Self {
        Self { user_id: (&change.user_id).into(), blocked: change.blocked }
    }
}

impl From<&model::MessagesErased> for MessagesErased {
    fn from(erased: &model::MessagesErased) -> Self {
        Self {
            conversation_id: (&erased.conversation_id).into(),
            sender_id: (&erased.sender).into(),
        }
    }
}

impl From<&model::ReadUpTo> for ReadMark {
    fn from(mark: &model::ReadUpTo) -> Self {
        Self { conversation_id: (&mark.conversation_id).into(), seq: mark.seq }
    }
}

impl From<&model::ReadUpTo> for ReadReceipt {
    fn from(receipt: &model::ReadUpTo) -> Self {
        Self { conversation_id: (&receipt.conversation_id).into(), seq: receipt.seq }
    }
}

impl From<&model::MessageGone> for MessageRecalled {
    fn from(recalled: &model::MessageGone) -> Self {
        Self {
            message_id: recalled.message_id.to_string(),
            conversation_id: (&recalled.conversation_id).into(),
            seq: recalled.seq,
        }
    }
}

impl From<&model::MessageGone> for MessageDeleted {
    fn from(deleted: &model::MessageGone) -> Self {
        Self {
            message_id: deleted.message_id.to_string(),
            conversation_id: (&deleted.conversation_id).into(),
            seq: deleted.seq,
        }
    }
}
