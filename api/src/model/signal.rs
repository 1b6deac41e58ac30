//! What users say to whoever has a stream open, stored nowhere.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Content, ConversationId, UserId};

/// The largest content of a signal, in bytes.
pub const MAX_SIGNAL_BYTES: usize = 1024;

/// How long typing holds for those who see it, if nothing else comes.
pub const TYPING_EXPIRES: Duration = Duration::from_secs(6);

/// A signal as its recipients get it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// The conversation as the recipients see it: the sender, or the group.
    pub conversation_id: ConversationId,
    /// Whose signal it is.
    pub sender: UserId,
    /// What it says.
    pub content: SignalContent,
}

/// What a signal says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalContent {
    /// Whether the sender types.
    Typing(Typing),
    /// A content of the client's own, with a content type.
    Data(Content),
}

/// Whether a user types. Numbered as in the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Typing {
    /// It types.
    Started = 1,
    /// It types no longer.
    Stopped = 2,
}

impl Signal {
    /// Whether `later` makes this one pointless: both say whether the same user types in the same
    /// conversation.
    #[must_use]
    pub fn is_replaced_by(&self, later: &Self) -> bool {
        let of_typing = |signal: &Self| matches!(signal.content, SignalContent::Typing(_));
        of_typing(self)
            && of_typing(later)
            && self.sender == later.sender
            && self.conversation_id == later.conversation_id
    }

    /// How long it holds if nothing else comes; `None` where that is not for the server to say.
    #[must_use]
    pub fn expires_in(&self) -> Option<Duration> {
        matches!(self.content, SignalContent::Typing(Typing::Started)).then_some(TYPING_EXPIRES)
    }
}
