//! Roaming: conversations and their history.

use serde::Serialize;
use utoipa::ToSchema;

use super::{TimelineState, entry::Entry, id::ConversationId};
use crate::{
    model::{self, Page},
    service::History,
};

/// A page of the caller's conversations, the one with the newest message first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "conversations": [{ "conversation_id": "user:bob", "last_message": Entry::example() }],
    "next_page_token": "",
})))]
pub(crate) struct ConversationList {
    conversations: Vec<Conversation>,
    /// For the next page; empty on the last one.
    next_page_token: String,
}

/// A conversation as the caller sees it.
#[derive(Debug, Serialize, ToSchema)]
struct Conversation {
    conversation_id: ConversationId,
    /// Whether the account of the peer was deleted: nothing can be sent to it any more. Seen within seconds
    /// on every node. Absent for false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    peer_deleted: bool,
    /// Its newest message.
    last_message: Entry,
    /// Up to where the caller has marked it as read, a place in the caller's timeline; 0 when never.
    #[schema(minimum = 0)]
    read_seq: i64,
    /// How many messages of others stand after `read_seq` and after the caller's own newest message,
    /// recalled ones left out; 100 stands for 100 or more.
    #[schema(minimum = 0, maximum = 100)]
    unread_count: i64,
    /// How many of the unread messages mention the caller; 100 stands for 100 or more.
    #[schema(minimum = 0, maximum = 100)]
    unread_mentions: i64,
    /// Up to where the peer has read what the caller sent, a place in the caller's timeline, as far as
    /// receipts have told; 0 when they have not, or where the deployment has none.
    #[schema(minimum = 0)]
    peer_read_seq: i64,
}

/// A page of a conversation's messages, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "entries": [Entry::example()],
    "next_page_token": "",
    "end": "BEGINNING",
    "epoch": 1_763_880_000,
    "last_seq": 42,
    "floor": 1,
    "retention": { "tier": "free", "overridden": false, "max_age_seconds": 604_800, "max_messages": 10_000 },
})))]
pub(crate) struct HistoryPage {
    /// Entries that are messages.
    entries: Vec<Entry>,
    /// For the next, older page; empty on the last one.
    next_page_token: String,
    /// Set on the last page.
    #[schema(required = true)]
    end: Option<HistoryEnd>,
    #[serde(flatten)]
    state: TimelineState,
}

/// Why a listing of history ends here.
///
/// `BEGINNING`: the conversation begins here. `RETENTION_LIMIT`: older messages exist or existed beyond
/// what may be seen.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum HistoryEnd {
    Beginning,
    RetentionLimit,
}

impl From<Page<model::Conversation>> for ConversationList {
    fn from(page: Page<model::Conversation>) -> Self {
        let conversation = |conversation: &model::Conversation| Conversation {
            conversation_id: (&conversation.conversation_id).into(),
            peer_deleted: conversation.peer_deleted,
            last_message: (&conversation.last_message).into(),
            read_seq: conversation.read_seq,
            unread_count: conversation.unread_count,
            unread_mentions: conversation.unread_mentions,
            peer_read_seq: conversation.peer_read_seq,
        };
        Self {
            conversations: page.items.iter().map(conversation).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }
    }
}

impl From<History> for HistoryPage {
    fn from(history: History) -> Self {
        Self {
            entries: Entry::list(&history.page.items),
            next_page_token: history.page.next_page_token.unwrap_or_default(),
            end: history.end.map(|end| match end {
                model::HistoryEnd::Beginning => HistoryEnd::Beginning,
                model::HistoryEnd::RetentionLimit => HistoryEnd::RetentionLimit,
            }),
            state: history.state.into(),
        }
    }
}
