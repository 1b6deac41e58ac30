//! Reactions to messages.

use serde::{Deserialize, Serialize};

use super::{ConversationId, Error, Result, SealedMessageId, UserId};

/// The most kinds of reactions to one message.
pub const MOST_REACTIONS: usize = 20;

/// What a user reacts with: an emoji, or a key of the customer's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaction(String);

impl Reaction {
    /// The longest one, in bytes of UTF-8.
    pub const MAX_BYTES: usize = 64;

    /// Checks what a client gave as `field`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for nothing, for what is too long, and for spaces and control characters.
    pub fn parse(field: &'static str, value: &str) -> Result<Self> {
        if value.is_empty() || value.len() > Self::MAX_BYTES {
            return Err(Error::invalid(field, format!("must have 1–{} bytes", Self::MAX_BYTES)));
        }
        if value.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(Error::invalid(field, "must have no spaces and no control characters"));
        }
        Ok(Self(value.to_owned()))
    }

    /// One that was checked when it was stored.
    pub(crate) fn from_stored(value: String) -> Self {
        Self(value)
    }

    /// The reaction as the client gave it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How often one kind of reaction is given to a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReactionCount {
    /// Which kind.
    #[serde(rename = "r")]
    pub reaction: String,
    /// By how many users; never 0.
    #[serde(rename = "c")]
    pub count: i32,
    /// Whether the owner of the timeline is one of them.
    #[serde(rename = "o", default, skip_serializing_if = "std::ops::Not::not")]
    pub own: bool,
}

/// A reaction with the user who gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReactionOf {
    /// The reaction.
    pub reaction: String,
    /// The user.
    pub user_id: UserId,
}

/// The reactions to a message have changed, perhaps more than once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReactionsChanged {
    /// Which message.
    pub message_id: SealedMessageId,
    /// As the owner of the timeline sees it.
    pub conversation_id: ConversationId,
    /// The place of the owner's copy, in the same timeline.
    pub seq: i64,
    /// All there are now: they may have changed again since. None where the message is gone.
    pub reactions: Vec<ReactionCount>,
}
