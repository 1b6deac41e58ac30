//! What a client gets to see, the same whatever the transport.

use serde::Deserialize;
use time::{OffsetDateTime, serde::rfc3339};

/// A terminal as a login names it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Device {
    #[serde(rename = "type")]
    pub(crate) terminal_type: String,
    pub(crate) device_id: String,
    pub(crate) device_name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Session {
    pub(crate) session_id: String,
    pub(crate) terminal: Device,
    #[serde(with = "rfc3339")]
    pub(crate) created_at: OffsetDateTime,
    #[serde(with = "rfc3339")]
    pub(crate) last_used_at: OffsetDateTime,
    pub(crate) online: bool,
    pub(crate) current: bool,
    pub(crate) end: Option<SessionEnd>,
}

impl Session {
    /// How it ended; panics when it has not.
    pub(crate) fn end(&self) -> &SessionEnd {
        self.end.as_ref().unwrap_or_else(|| panic!("{self:?} has not ended"))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct SessionEnd {
    /// `REPLACED` …
    pub(crate) reason: String,
    pub(crate) by_terminal_type: String,
    pub(crate) by_device_name: String,
    #[serde(with = "rfc3339")]
    pub(crate) ended_at: OffsetDateTime,
    pub(crate) note: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Tokens {
    pub(crate) access_token: String,
    pub(crate) expires_in: u32,
    pub(crate) refresh_token: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct LoggedIn {
    #[serde(flatten)]
    pub(crate) tokens: Tokens,
    pub(crate) session: Session,
    pub(crate) replaced: Vec<Session>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Sent {
    pub(crate) message_id: String,
    pub(crate) seq: i64,
    pub(crate) cursor: String,
    pub(crate) conversation_id: String,
    #[serde(with = "rfc3339")]
    pub(crate) sent_at: OffsetDateTime,
    pub(crate) duplicate: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Text(String),
    Data { content_type: String, data: Vec<u8> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the members of the contract")]
pub(crate) struct Message {
    pub(crate) message_id: String,
    pub(crate) conversation_id: String,
    pub(crate) sender_id: String,
    pub(crate) sender_deleted: bool,
    /// Only in the sender's own timeline.
    pub(crate) client_message_id: Option<String>,
    /// `None` in a tombstone.
    pub(crate) content: Option<Content>,
    /// `RECALLED` …
    pub(crate) tombstone: Option<String>,
    pub(crate) mentions: Vec<String>,
    pub(crate) mention_all: bool,
    pub(crate) mentioned: bool,
    pub(crate) silent: bool,
    pub(crate) no_push: bool,
    /// 0 for one that was never edited.
    pub(crate) edit_no: i32,
    pub(crate) edited_at: Option<OffsetDateTime>,
    pub(crate) reply_to: Option<Quote>,
    pub(crate) reactions: Vec<Reaction>,
    pub(crate) forwarded: Option<Forwarded>,
    pub(crate) attachments: Vec<Attachment>,
}

/// Where a forwarded message comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Forwarded {
    pub(crate) sender_id: String,
    #[serde(with = "rfc3339")]
    pub(crate) sent_at: OffsetDateTime,
}

/// A kind of reaction to a message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Reaction {
    pub(crate) reaction: String,
    pub(crate) count: i32,
    #[serde(default)]
    pub(crate) own: bool,
}

/// The reactions to a message have changed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct ReactionsChanged {
    pub(crate) message_id: String,
    pub(crate) conversation_id: String,
    pub(crate) seq: i64,
    pub(crate) reactions: Vec<Reaction>,
}

/// The profile of a user has changed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct ProfileChanged {
    pub(crate) user_id: String,
}

/// What became of a scheduled message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct ScheduledChanged {
    pub(crate) client_message_id: String,
    pub(crate) conversation_id: String,
    /// `WAITING` …
    pub(crate) state: String,
    #[serde(with = "rfc3339")]
    pub(crate) send_at: OffsetDateTime,
    pub(crate) refusal: Option<Refusal>,
}

/// Why a scheduled message was not sent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) message: String,
}

/// A file of a message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Attachment {
    pub(crate) attachment_id: String,
    pub(crate) file_name: String,
    pub(crate) content_type: String,
    pub(crate) size: i64,
    #[serde(default)]
    pub(crate) sha256: String,
}

/// A file that a client tells of.
#[derive(Debug, Clone)]
pub(crate) struct FileCall {
    pub(crate) file_name: String,
    pub(crate) content_type: String,
    pub(crate) size: i64,
    pub(crate) sha256: String,
}

/// A request to upload a file or to get it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct FileRequest {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: std::collections::BTreeMap<String, String>,
    #[serde(with = "rfc3339")]
    pub(crate) expires_at: OffsetDateTime,
}

/// What is looked for in messages.
#[derive(Debug, Clone, Default)]
pub(crate) struct SearchCall {
    pub(crate) q: String,
    pub(crate) conversation_id: String,
    pub(crate) from: String,
    pub(crate) after: Option<OffsetDateTime>,
    pub(crate) before: Option<OffsetDateTime>,
    pub(crate) page_size: i32,
    pub(crate) page_token: String,
}

/// Messages that were found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FoundPage {
    /// Each with what is shown of it; matches stand in brackets.
    pub(crate) results: Vec<(Entry, String)>,
    pub(crate) next_page_token: String,
    pub(crate) incomplete: bool,
}

/// A message was pinned, or is so no longer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct MessagePinned {
    pub(crate) message_id: String,
    pub(crate) conversation_id: String,
    pub(crate) seq: i64,
    pub(crate) pinned: bool,
    pub(crate) by: String,
}

/// Who reacts with what: reactions with users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReactionPage {
    pub(crate) reactions: Vec<(String, String)>,
    pub(crate) next_page_token: String,
}

/// A message that another one quotes; all is empty where it cannot be seen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Quote {
    pub(crate) seq: i64,
    pub(crate) message_id: String,
    pub(crate) sender_id: String,
    pub(crate) text: String,
    pub(crate) content_type: String,
    /// `RECALLED` …
    pub(crate) tombstone: String,
}

impl Message {
    /// Whether it is the same message, one of them perhaps from before it was gone.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        let gone = |message: &Self| Self {
            content: None,
            tombstone: Some(String::new()),
            sender_deleted: false,
            mentions: Vec::new(),
            mention_all: false,
            edit_no: 0,
            edited_at: None,
            reply_to: None,
            reactions: Vec::new(),
            forwarded: None,
            attachments: Vec::new(),
            ..message.clone()
        };
        let unreacted = |message: &Self| Self { reactions: Vec::new(), ..message.clone() };
        self == other
            || unreacted(self) == unreacted(other)
            || self.edit_no != other.edit_no && gone(self) == gone(other)
            || self.tombstone != other.tombstone && gone(self) == gone(other)
    }
}

/// A message was edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MessageEdited {
    pub(crate) seq: i64,
    pub(crate) message: Message,
}

/// What a call to edit a message has returned.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Edited {
    pub(crate) edit_no: i32,
    #[serde(with = "rfc3339")]
    pub(crate) edited_at: OffsetDateTime,
    pub(crate) duplicate: bool,
}

/// What a message said before its edits: the numbers of the edits, and the contents where they were kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EditPage {
    pub(crate) edits: Vec<(i32, Option<Content>)>,
    pub(crate) next_page_token: String,
}

/// How far a conversation has been read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct ReadUpTo {
    pub(crate) conversation_id: String,
    pub(crate) seq: i64,
}

/// A message that was recalled or deleted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct MessageGone {
    pub(crate) message_id: String,
    pub(crate) conversation_id: String,
    pub(crate) seq: i64,
}

/// All that a peer had sent was erased with its account.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct MessagesErased {
    pub(crate) conversation_id: String,
    pub(crate) sender_id: String,
}

/// A group was made, changed or dissolved.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct GroupChanged {
    pub(crate) group_id: String,
    #[serde(default)]
    pub(crate) by: String,
    pub(crate) name: String,
    pub(crate) version: i64,
    pub(crate) dissolved: bool,
}

/// Members came, went or changed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct MemberChanged {
    pub(crate) group_id: String,
    #[serde(default)]
    pub(crate) by: String,
    /// `JOINED` …
    pub(crate) change: String,
    pub(crate) user_ids: Vec<String>,
}

/// Somebody asks to join a group, is invited or is answered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct GroupRequest {
    pub(crate) group_id: String,
    pub(crate) user_id: String,
    #[serde(default)]
    pub(crate) invited_by: String,
    /// `PENDING` …
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) approved: bool,
}

/// A contact was asked, made, changed or removed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct ContactChanged {
    pub(crate) user_id: String,
    /// `SENT` …
    pub(crate) change: String,
    pub(crate) remark: String,
    pub(crate) note: String,
}

/// What a user takes from whom: `ANYONE` …
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Settings {
    pub(crate) messages_from: String,
    pub(crate) groups_invite_from: String,
    pub(crate) presence_visible_to: String,
    pub(crate) presence_terminal_types: bool,
    pub(crate) invisible: bool,
}

/// What a user has set for a conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the members of the contract")]
pub(crate) struct ConversationSettings {
    pub(crate) pinned: bool,
    pub(crate) archived: bool,
    pub(crate) marked_unread: bool,
    pub(crate) hidden: bool,
    #[serde(default, with = "rfc3339::option")]
    pub(crate) muted_until: Option<OffsetDateTime>,
}

/// Something was set for a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct ConversationChanged {
    pub(crate) conversation_id: String,
    pub(crate) settings: ConversationSettings,
}

/// A draft was written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct DraftChanged {
    pub(crate) conversation_id: String,
    pub(crate) text: String,
}

/// A user was blocked, or is so no longer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct BlockChanged {
    pub(crate) user_id: String,
    pub(crate) blocked: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct SessionChanged {
    pub(crate) started: Option<Session>,
    pub(crate) ended: Vec<Session>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Message(Message),
    SessionChanged(SessionChanged),
    ReadMark(ReadUpTo),
    ReadReceipt(ReadUpTo),
    MessageRecalled(MessageGone),
    MessageEdited(MessageEdited),
    ReactionsChanged(ReactionsChanged),
    ProfileChanged(ProfileChanged),
    MessagePinned(MessagePinned),
    ScheduledChanged(ScheduledChanged),
    MessageDeleted(MessageGone),
    MessagesErased(MessagesErased),
    BlockChanged(BlockChanged),
    GroupChanged(GroupChanged),
    MemberChanged(MemberChanged),
    GroupRequest(GroupRequest),
    ContactChanged(ContactChanged),
    SettingsChanged(Settings),
    ConversationChanged(ConversationChanged),
    DraftChanged(DraftChanged),
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) seq: i64,
    pub(crate) cursor: String,
    pub(crate) appended_at: OffsetDateTime,
    pub(crate) kind: Kind,
}

impl Entry {
    pub(crate) fn as_message(&self) -> Option<&Message> {
        match &self.kind {
            Kind::Message(message) => Some(message),
            _ => None,
        }
    }

    /// The message that it is; panics when it is none.
    pub(crate) fn message(&self) -> &Message {
        self.as_message().unwrap_or_else(|| panic!("{self:?} is no message"))
    }

    /// The text of the message that it is; panics when it is none.
    pub(crate) fn text(&self) -> &str {
        match &self.message().content {
            Some(Content::Text(text)) => text,
            _ => panic!("{self:?} is no text"),
        }
    }

    /// The change of sessions that it is; panics when it is none.
    pub(crate) fn session_changed(&self) -> &SessionChanged {
        match &self.kind {
            Kind::SessionChanged(change) => change,
            _ => panic!("{self:?} is no change of sessions"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct TimelineState {
    pub(crate) epoch: i64,
    pub(crate) last_seq: i64,
    pub(crate) floor: i64,
    pub(crate) retention: Retention,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Retention {
    pub(crate) tier: String,
    pub(crate) overridden: bool,
    pub(crate) max_age_seconds: Option<i64>,
    pub(crate) max_messages: Option<i64>,
    pub(crate) max_bytes: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct HistoryTruncated {
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) retention: Retention,
}

#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly every event is an entry")]
pub(crate) enum Event {
    Opened(TimelineState),
    Entry(Entry),
    HistoryTruncated(HistoryTruncated),
    TimelineReset { epoch: i64 },
    Signal(Signal),
    Presence(Vec<UserPresence>),
    Heartbeat,
    SessionEnded(SessionEnd),
    Reconnect,
}

/// How a user is: `ONLINE` …
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct UserPresence {
    pub(crate) user_id: String,
    pub(crate) state: String,
    pub(crate) terminal_types: Vec<String>,
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub(crate) last_seen: Option<OffsetDateTime>,
}

/// As it stands in an event and in an answer.
#[derive(Debug, Deserialize)]
pub(crate) struct PresenceList {
    pub(crate) users: Vec<UserPresence>,
}

/// What is stored nowhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Signal {
    pub(crate) conversation_id: String,
    pub(crate) sender_id: String,
    pub(crate) typing: Option<String>,
    /// In seconds.
    pub(crate) expires_in: Option<i64>,
    pub(crate) content_type: Option<String>,
    /// In base64.
    pub(crate) data: Option<String>,
}

/// What a pull of the timeline brings.
#[derive(Debug, Clone)]
pub(crate) struct Stretch {
    pub(crate) entries: Vec<Entry>,
    pub(crate) state: TimelineState,
    pub(crate) history_truncated: Option<HistoryTruncated>,
    /// The epoch that holds now, when the cursor was of another.
    pub(crate) timeline_reset: Option<i64>,
    pub(crate) next_after: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Conversation {
    pub(crate) conversation_id: String,
    pub(crate) peer_deleted: bool,
    pub(crate) last_message: Entry,
    pub(crate) read_seq: i64,
    pub(crate) unread_count: i64,
    pub(crate) peer_read_seq: i64,
    pub(crate) unread_mentions: i64,
    pub(crate) settings: ConversationSettings,
    pub(crate) draft: String,
}

#[derive(Debug, Clone)]
pub(crate) struct ConversationPage {
    pub(crate) conversations: Vec<Conversation>,
    /// Empty on the last page.
    pub(crate) next_page_token: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct BlockedUser {
    pub(crate) user_id: String,
    #[serde(with = "rfc3339")]
    pub(crate) blocked_at: OffsetDateTime,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct BlockedUserPage {
    pub(crate) blocked_users: Vec<BlockedUser>,
    /// Empty on the last page.
    pub(crate) next_page_token: String,
}

#[derive(Debug, Clone)]
pub(crate) struct HistoryPage {
    pub(crate) entries: Vec<Entry>,
    /// Empty on the last page.
    pub(crate) next_page_token: String,
    /// `BEGINNING` or `RETENTION_LIMIT`, on the last page.
    pub(crate) end: Option<String>,
    pub(crate) state: TimelineState,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Info {
    pub(crate) version: String,
    pub(crate) terminal_types: Vec<TerminalType>,
    pub(crate) max_body_bytes: usize,
    /// In seconds.
    pub(crate) heartbeat_interval: u64,
    /// In seconds.
    pub(crate) recall_window: u64,
    /// In seconds.
    pub(crate) edit_window: u64,
    pub(crate) read_receipts: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct TerminalType {
    pub(crate) name: String,
    pub(crate) session_limit: i32,
    pub(crate) excludes: Vec<String>,
}
