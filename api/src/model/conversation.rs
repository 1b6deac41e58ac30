//! Conversations as their owners see and arrange them.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{ConversationId, Entry};

/// A conversation in the listing of them.
#[derive(Debug, Clone)]
pub struct Conversation {
    /// As the caller sees it.
    pub conversation_id: ConversationId,
    /// Whether the account of the peer is known to be deleted.
    pub peer_deleted: bool,
    /// Its newest message.
    pub last_message: Entry,
    /// Up to where the caller has marked it as read; 0 when it never did.
    pub read_seq: i64,
    /// How many messages are unread, [`MOST_UNREAD`] when there are more.
    pub unread_count: i64,
    /// How many of the unread messages mention the caller; at most [`MOST_UNREAD`].
    pub unread_mentions: i64,
    /// Up to where the peer has read it, as far as its receipts say; 0 when they say nothing.
    pub peer_read_seq: i64,
    /// What the caller has set for it.
    pub settings: ConversationSettings,
    /// What the caller has begun to write; empty for nothing.
    pub draft: String,
}

/// Unread messages of a conversation are counted up to here.
pub const MOST_UNREAD: i64 = 100;

/// What a user has set for a conversation. Stored as JSON: fields are added, never renamed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct ConversationSettings {
    /// Whether it is pinned to the top of the list.
    pub pinned: bool,
    /// Whether it is put away, until the user takes it out again.
    pub archived: bool,
    /// Whether it is to look unread, until the user marks it as read.
    pub marked_unread: bool,
    /// Whether it is left out of the list, until its next message.
    pub hidden: bool,
    /// Until when only messages that mention the user are pushed; `None` when it is not muted.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "time::serde::rfc3339::option"
    )]
    pub muted_until: Option<OffsetDateTime>,
}

/// What is to change of [`ConversationSettings`]; `None` for what stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChangeConversation {
    /// Whether it is pinned.
    pub pinned: Option<bool>,
    /// Whether it is put away.
    pub archived: Option<bool>,
    /// Whether it is to look unread.
    pub marked_unread: Option<bool>,
    /// Whether it is left out of the list until its next message.
    pub hidden: Option<bool>,
    /// Until when it is muted; `Some(None)`, or a time that is over, for no longer.
    pub muted_until: Option<Option<OffsetDateTime>>,
}

/// A change of what the owner of the timeline has set for a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationChanged {
    /// Which conversation.
    pub conversation_id: ConversationId,
    /// All that is set from now on.
    pub settings: ConversationSettings,
}

/// A change of what the owner of the timeline has begun to write in a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftChanged {
    /// Which conversation.
    pub conversation_id: ConversationId,
    /// What is written so far; empty for nothing.
    pub text: String,
}

/// Which conversations are listed; `None` where it does not matter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConversationFilter {
    /// Those with unread messages, or marked as unread; or those without.
    pub unread: Option<bool>,
    /// Those that are put away; or those that are not.
    pub archived: Option<bool>,
    /// Those that are pinned; or those that are not.
    pub pinned: Option<bool>,
}

impl ConversationFilter {
    /// Whether it lists all of them.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Names it in page tokens, which are good for the listing with the same filter alone.
    #[must_use]
    pub fn scope(self) -> String {
        let letter = |wanted: Option<bool>, name: char| match wanted {
            None => String::new(),
            Some(wanted) => format!("{name}{}", u8::from(wanted)),
        };
        let Self { unread, archived, pinned } = self;
        [letter(unread, 'u'), letter(archived, 'a'), letter(pinned, 'p')].concat()
    }
}
