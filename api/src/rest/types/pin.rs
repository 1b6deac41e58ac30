//! Pinned messages.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{
    entry::Entry,
    id::{ConversationId, UserId},
};
use crate::model;

/// A message that is to be pinned in its conversation, or is to be pinned no longer.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct PinRequest {
    /// A message that the caller has.
    #[serde(default)]
    #[schema(required = true, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")]
    pub(in crate::rest) message_id: String,
    /// Whether it is to be pinned no longer. Absent for false.
    #[serde(default)]
    #[schema(required = false)]
    pub(in crate::rest) remove: bool,
}

/// A message was pinned in its conversation, or is so no longer. One that is gone is pinned no longer, which is not
/// told by itself.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MessagePinned {
    /// Which message.
    message_id: String,
    conversation_id: ConversationId,
    /// The message's place in this timeline.
    #[schema(minimum = 1)]
    seq: i64,
    /// Whether it is pinned from now on.
    pinned: bool,
    /// Who has done it.
    by: UserId,
}

/// The pinned messages of a conversation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PinnedMessageList {
    /// The one pinned last first.
    pinned_messages: Vec<PinnedMessage>,
}

/// A message that is pinned.
#[derive(Debug, Serialize, ToSchema)]
struct PinnedMessage {
    /// The message, where it stands.
    message: Entry,
    /// Who has pinned it.
    pinned_by: UserId,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pinned_at: OffsetDateTime,
}

impl From<&model::MessagePinned> for MessagePinned {
    fn from(pinned: &model::MessagePinned) -> Self {
        Self {
            message_id: pinned.message_id.to_string(),
            conversation_id: (&pinned.conversation_id).into(),
            seq: pinned.seq,
            pinned: pinned.change.pinned,
            by: (&pinned.change.by).into(),
        }
    }
}

impl From<Vec<model::PinnedMessage>> for PinnedMessageList {
    fn from(pinned: Vec<model::PinnedMessage>) -> Self {
        let pin = |pin: &model::PinnedMessage| PinnedMessage {
            message: (&pin.message).into(),
            pinned_by: (&pin.pinned_by).into(),
            pinned_at: pin.pinned_at,
        };
        Self { pinned_messages: pinned.iter().map(pin).collect() }
    }
}
