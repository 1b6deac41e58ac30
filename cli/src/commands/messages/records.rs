//! What stands with a message, and what a user shows, has set and has begun, as members of a line.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use imd_proto::v1::{self, message::Content};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::clock;

/// A message by the name that its sender gave it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Name {
    sender_id: String,
    client_message_id: String,
}

/// Where a message comes from that is forwarded.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Forward {
    sender_id: String,
    #[serde(with = "time::serde::rfc3339")]
    sent_at: OffsetDateTime,
}

/// An edit, with what the message said before.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Edit {
    #[serde(with = "time::serde::rfc3339")]
    edited_at: OffsetDateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<String>,
}

/// Who reacts in one way.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reaction {
    reaction: String,
    user_ids: Vec<String>,
}

/// A pin.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pin {
    pinned_by: String,
    #[serde(with = "time::serde::rfc3339")]
    pinned_at: OffsetDateTime,
}

/// What a user shows, has set and has begun.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct User {
    user_id: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    avatar_url: String,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    attributes: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    conversations: Vec<Conversation>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    scheduled: Vec<ScheduledMessage>,
}

/// What a user has set for a conversation and begun in it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the members of the contract")]
struct Conversation {
    conversation_id: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pinned: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    archived: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    marked_unread: bool,
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    muted_until: Option<OffsetDateTime>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    hidden: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    draft: String,
}

/// A message that waits to be sent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScheduledMessage {
    client_message_id: String,
    #[serde(with = "time::serde::rfc3339")]
    send_at: OffsetDateTime,
    conversation_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    mentions: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    mention_all: bool,
}

/// What something says, member by member.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) text: Option<String>,
    pub(super) content_type: Option<String>,
    /// In base64.
    pub(super) data: Option<String>,
}

impl Said {
    /// Member by member, what one of the contract's messages says.
    pub(super) fn of(content: impl Into<Content>) -> Self {
        match content.into() {
            Content::Text(text) => Self { text: Some(text), ..Self::default() },
            Content::Data(typed) => Self {
                data: Some(BASE64_STANDARD.encode(&typed.data)),
                content_type: Some(typed.content_type),
                text: None,
            },
        }
    }

    /// The content; `None` where nothing is given.
    pub(super) fn content(self) -> Result<Option<Content>, String> {
        match (self.text, self.content_type, self.data) {
            (None, None, None) => Ok(None),
            (Some(text), None, None) => Ok(Some(Content::Text(text))),
            (None, Some(content_type), Some(data)) => {
                let data = BASE64_STANDARD.decode(data).map_err(|_| "data: must be base64")?;
                Ok(Some(Content::Data(v1::Data { content_type, data: data.into() })))
            }
            _ => Err("either text or content_type and data must be given".to_owned()),
        }
    }
}

impl From<v1::MessageName> for Name {
    fn from(name: v1::MessageName) -> Self {
        Self { sender_id: name.sender_id, client_message_id: name.client_message_id }
    }
}

impl From<Name> for v1::MessageName {
    fn from(name: Name) -> Self {
        Self { sender_id: name.sender_id, client_message_id: name.client_message_id }
    }
}

fn time(at: Option<prost_types::Timestamp>) -> OffsetDateTime {
    clock::time(at).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

impl From<v1::Forwarded> for Forward {
    fn from(from: v1::Forwarded) -> Self {
        Self { sender_id: from.sender_id, sent_at: time(from.sent_at) }
    }
}

impl From<Forward> for v1::Forwarded {
    fn from(from: Forward) -> Self {
        Self { sender_id: from.sender_id, sent_at: Some(clock::timestamp(from.sent_at)) }
    }
}

impl From<v1::EditRecord> for Edit {
    fn from(edit: v1::EditRecord) -> Self {
        let Said { text, content_type, data } = edit.before.map(Said::of).unwrap_or_default();
        Self { edited_at: time(edit.edited_at), text, content_type, data }
    }
}

impl TryFrom<Edit> for v1::EditRecord {
    type Error = String;

    fn try_from(edit: Edit) -> Result<Self, String> {
        let Edit { edited_at, text, content_type, data } = edit;
        let before = Said { text, content_type, data }.content();
        let before = before.map_err(|wrong| format!("edits: {wrong}"))?;
        Ok(Self { edited_at: Some(clock::timestamp(edited_at)), before: before.map(Into::into) })
    }
}

impl From<v1::ReactionRecord> for Reaction {
    fn from(record: v1::ReactionRecord) -> Self {
        Self { reaction: record.reaction, user_ids: record.user_ids }
    }
}

impl From<Reaction> for v1::ReactionRecord {
    fn from(record: Reaction) -> Self {
        Self { reaction: record.reaction, user_ids: record.user_ids }
    }
}

impl From<v1::PinRecord> for Pin {
    fn from(pin: v1::PinRecord) -> Self {
        Self { pinned_by: pin.pinned_by, pinned_at: time(pin.pinned_at) }
    }
}

impl From<Pin> for v1::PinRecord {
    fn from(pin: Pin) -> Self {
        Self { pinned_by: pin.pinned_by, pinned_at: Some(clock::timestamp(pin.pinned_at)) }
    }
}

impl From<v1::UserRecord> for User {
    fn from(user: v1::UserRecord) -> Self {
        Self {
            user_id: user.user_id,
            name: user.name,
            avatar_url: user.avatar_url,
            attributes: serde_json::from_str(&user.attributes).unwrap_or_default(),
            conversations: user.conversations.into_iter().map(Into::into).collect(),
            scheduled: user.scheduled.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<User> for v1::UserRecord {
    type Error = String;

    fn try_from(user: User) -> Result<Self, String> {
        let scheduled = user.scheduled.into_iter().map(TryInto::try_into);
        Ok(Self {
            sent_at: None,
            user_id: user.user_id,
            name: user.name,
            avatar_url: user.avatar_url,
            attributes: Value::Object(user.attributes).to_string(),
            conversations: user.conversations.into_iter().map(Into::into).collect(),
            scheduled: scheduled.collect::<Result<_, String>>()?,
        })
    }
}

impl From<v1::ConversationRecord> for Conversation {
    fn from(record: v1::ConversationRecord) -> Self {
        Self {
            conversation_id: record.conversation_id,
            pinned: record.pinned,
            archived: record.archived,
            marked_unread: record.marked_unread,
            muted_until: clock::time(record.muted_until),
            hidden: record.hidden,
            draft: record.draft,
        }
    }
}

impl From<Conversation> for v1::ConversationRecord {
    fn from(record: Conversation) -> Self {
        Self {
            conversation_id: record.conversation_id,
            pinned: record.pinned,
            archived: record.archived,
            marked_unread: record.marked_unread,
            muted_until: record.muted_until.map(clock::timestamp),
            hidden: record.hidden,
            draft: record.draft,
        }
    }
}

impl From<v1::ScheduledRecord> for ScheduledMessage {
    fn from(record: v1::ScheduledRecord) -> Self {
        let Said { text, content_type, data } = record.content.map(Said::of).unwrap_or_default();
        Self {
            client_message_id: record.client_message_id,
            send_at: time(record.send_at),
            conversation_id: record.conversation_id,
            text,
            content_type,
            data,
            mentions: record.mentions,
            mention_all: record.mention_all,
        }
    }
}

impl TryFrom<ScheduledMessage> for v1::ScheduledRecord {
    type Error = String;

    fn try_from(message: ScheduledMessage) -> Result<Self, String> {
        let ScheduledMessage { text, content_type, data, .. } = message;
        let content = Said { text, content_type, data }.content();
        let content = content.map_err(|wrong| format!("scheduled: {wrong}"))?;
        Ok(Self {
            client_message_id: message.client_message_id,
            send_at: Some(clock::timestamp(message.send_at)),
            conversation_id: message.conversation_id,
            content: content.map(Into::into),
            mentions: message.mentions,
            mention_all: message.mention_all,
        })
    }
}
