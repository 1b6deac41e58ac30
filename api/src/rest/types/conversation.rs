//! Roaming: conversations and their history.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{
    TimelineState,
    entry::Entry,
    group::{MutedUntil, given},
    id::ConversationId,
};
use crate::{
    model::{self, ChangeConversation, Page},
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
    settings: ConversationSettings,
    /// What the caller has begun to write. Absent for nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    draft: String,
}

/// What a user has begun to write in a conversation.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "text": "What I wanted to say" })))]
pub(crate) struct SetDraftRequest {
    /// What is written so far: up to 4,096 bytes; empty for nothing.
    #[schema(max_length = 4096)]
    pub(in crate::rest) text: String,
}

/// What the timeline's owner has begun to write in a conversation.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DraftChanged {
    conversation_id: ConversationId,
    /// What is written so far; empty for nothing.
    text: String,
}

/// What a user has set for a conversation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "pinned": true,
    "archived": false,
    "marked_unread": false,
    "hidden": false,
    "muted_until": "2026-12-24T00:00:00Z",
})))]
#[expect(clippy::struct_excessive_bools, reason = "the members of the contract")]
pub(crate) struct ConversationSettings {
    /// Whether it is pinned to the top of the list.
    pinned: bool,
    /// Whether it is put away, until the user takes it out again.
    archived: bool,
    /// Whether it is to look unread, until the user marks it as read.
    marked_unread: bool,
    /// Whether it is left out of the list, until its next message.
    hidden: bool,
    /// Until when only those of its messages are pushed that mention the user; absent when it is not muted.
    #[serde(skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    #[schema(value_type = String, format = DateTime, required = false)]
    muted_until: Option<OffsetDateTime>,
}

/// What is to change of what is set for a conversation; what is absent stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(examples(json!({ "pinned": true }), json!({ "muted_until": "2026-12-24T00:00:00Z" })))]
pub(crate) struct UpdateConversationRequest {
    /// Whether it is pinned to the top of the list.
    pinned: Option<bool>,
    /// Whether it is put away, until this is taken back.
    archived: Option<bool>,
    /// Whether it is to look unread, until it is marked as read.
    marked_unread: Option<bool>,
    /// Whether it is left out of the list, until its next message.
    hidden: Option<bool>,
    /// Until when only those of its messages are pushed that mention the caller; null, or a time that is over,
    /// ends that. The year 9999 stands for ever.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, format = DateTime)]
    muted_until: Option<MutedUntil>,
}

/// A conversation, and what is to change of what is set for it; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct UpdateOfConversation {
    /// `user:<peer id>` or `group:<group id>`.
    #[serde(default)]
    #[schema(required = true, pattern = "^(user|group):[A-Za-z0-9._@+=-]{1,64}$")]
    pub(in crate::rest) conversation_id: String,
    /// Whether it is pinned to the top of the list.
    pinned: Option<bool>,
    /// Whether it is put away, until this is taken back.
    archived: Option<bool>,
    /// Whether it is to look unread, until it is marked as read.
    marked_unread: Option<bool>,
    /// Whether it is left out of the list, until its next message.
    hidden: Option<bool>,
    /// Until when only those of its messages are pushed that mention the caller; null, or a time that is over,
    /// ends that. The year 9999 stands for ever.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, format = DateTime)]
    muted_until: Option<MutedUntil>,
}

impl From<UpdateOfConversation> for ChangeConversation {
    fn from(update: UpdateOfConversation) -> Self {
        let UpdateOfConversation { pinned, archived, marked_unread, hidden, muted_until, .. } =
            update;
        UpdateConversationRequest { pinned, archived, marked_unread, hidden, muted_until }.into()
    }
}

/// A conversation, and what the caller has begun to write in it.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct DraftOfConversation {
    /// `user:<peer id>` or `group:<group id>`.
    #[serde(default)]
    #[schema(required = true, pattern = "^(user|group):[A-Za-z0-9._@+=-]{1,64}$")]
    pub(in crate::rest) conversation_id: String,
    /// What is written so far: up to 4,096 bytes; empty for nothing.
    #[schema(max_length = 4096)]
    pub(in crate::rest) text: String,
}

/// What the timeline's owner has set for a conversation, from now on. A later `read_mark` of the conversation
/// takes `marked_unread` away, a later message `hidden`, without an entry of their own.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConversationChanged {
    conversation_id: ConversationId,
    /// All that is set.
    settings: ConversationSettings,
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
            settings: conversation.settings.into(),
            draft: conversation.draft.clone(),
        };
        Self {
            conversations: page.items.iter().map(conversation).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }
    }
}

impl From<model::ConversationSettings> for ConversationSettings {
    fn from(settings: model::ConversationSettings) -> Self {
        let model::ConversationSettings { pinned, archived, marked_unread, hidden, muted_until } =
            settings;
        Self { pinned, archived, marked_unread, hidden, muted_until }
    }
}

impl From<UpdateConversationRequest> for ChangeConversation {
    fn from(request: UpdateConversationRequest) -> Self {
        let UpdateConversationRequest { pinned, archived, marked_unread, hidden, muted_until } =
            request;
        let muted_until = muted_until.map(|until| until.0);
        Self { pinned, archived, marked_unread, hidden, muted_until }
    }
}

impl From<&model::ConversationChanged> for ConversationChanged {
    fn from(changed: &model::ConversationChanged) -> Self {
        Self {
            conversation_id: (&changed.conversation_id).into(),
            settings: changed.settings.into(),
        }
    }
}

impl From<&model::DraftChanged> for DraftChanged {
    fn from(changed: &model::DraftChanged) -> Self {
        Self { conversation_id: (&changed.conversation_id).into(), text: changed.text.clone() }
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
