//! What moves beside messages: what stands with them, and what users show, have set and have begun.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{
    model::{self, ConversationSettings, Error, MessageMarks},
    rest::types::{
        content::ContentMembers,
        id::{ConversationId, UserId},
    },
    service::{
        ImportedConversation, ImportedEdit, ImportedForward, ImportedMarks, ImportedName,
        ImportedPin, ImportedReaction, ImportedScheduled, ImportedUser,
    },
};

/// What stands with a message as it moves from one system to another.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
pub(super) struct MarkRecords {
    /// The message of the same conversation that it quotes: one that is gone where it does not stand there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reply_to: Option<MessageName>,
    /// Where what it says comes from, if it is forwarded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    forwarded: Option<ForwardRecord>,
    /// Its edits, the oldest first. The message says what it says since the last of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, max_items = 1000)]
    edits: Vec<EditRecord>,
    /// Who reacts to it with what, in the order in which the kinds came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, max_items = 20)]
    reactions: Vec<ReactionRecord>,
    /// Whether it is pinned in its conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pinned: Option<PinRecord>,
}

/// A message by the name that its sender gave it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct MessageName {
    sender_id: UserId,
    /// The UUID that its sender gave it.
    #[schema(format = Uuid)]
    client_message_id: String,
}

/// Where a message comes from that is forwarded.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct ForwardRecord {
    /// Who sent first what it says.
    sender_id: UserId,
    #[serde(with = "time::serde::rfc3339")]
    sent_at: OffsetDateTime,
}

/// An edit, with what the message said before: none of it where that was not kept.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct EditRecord {
    #[serde(with = "time::serde::rfc3339")]
    edited_at: OffsetDateTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    content_type: Option<String>,
    /// In base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    data: Option<String>,
}

/// Who reacts to a message in one way.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct ReactionRecord {
    /// An emoji, or a key of the customer's own.
    #[schema(min_length = 1, examples("👍"))]
    reaction: String,
    user_ids: Vec<UserId>,
}

/// A pin of a message.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct PinRecord {
    pinned_by: UserId,
    #[serde(with = "time::serde::rfc3339")]
    pinned_at: OffsetDateTime,
}

/// What a user shows of itself, and has set and begun in its conversations.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct UserRecord {
    #[serde(default)]
    #[schema(required = true)]
    user_id: UserId,
    /// Up to 64 characters on one line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    name: String,
    /// An `https` or `http` URL; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    avatar_url: String,
    /// Of the customer's own, up to 4,096 bytes.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object, required = false)]
    attributes: Map<String, Value>,
    /// Those for which something is set or begun.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    conversations: Vec<ConversationRecord>,
    /// The messages that wait to be sent, but for those that were refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, max_items = 100)]
    scheduled: Vec<ScheduledRecord>,
}

/// What a user has set for a conversation and begun in it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "the members of the contract")]
struct ConversationRecord {
    #[schema(value_type = ConversationId)]
    conversation_id: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pinned: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    archived: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    marked_unread: bool,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "time::serde::rfc3339::option"
    )]
    #[schema(value_type = String, format = DateTime, required = false)]
    muted_until: Option<OffsetDateTime>,
    /// Until its next message.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    hidden: bool,
    /// What is written so far; empty for no draft.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    draft: String,
}

/// A message that waits to be sent.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct ScheduledRecord {
    /// The UUID that the client gave it.
    #[schema(format = Uuid)]
    client_message_id: String,
    #[serde(with = "time::serde::rfc3339")]
    send_at: OffsetDateTime,
    #[schema(value_type = ConversationId)]
    conversation_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    content_type: Option<String>,
    /// In base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    data: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    mentions: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    mention_all: bool,
}

impl From<&MessageMarks> for MarkRecords {
    fn from(marks: &MessageMarks) -> Self {
        let edit = |edit: &model::EditRecord| {
            let before = edit.before.as_ref().map(ContentMembers::from);
            let ContentMembers { text, content_type, data } = before.unwrap_or_default();
            EditRecord { edited_at: edit.edited_at, text, content_type, data }
        };
        Self {
            reply_to: marks.reply_to.as_ref().map(|name| MessageName {
                sender_id: (&name.sender_id).into(),
                client_message_id: name.client_message_id.to_string(),
            }),
            forwarded: marks.forwarded.as_ref().map(|from| ForwardRecord {
                sender_id: (&from.sender).into(),
                sent_at: from.sent_at,
            }),
            edits: marks.edits.iter().map(edit).collect(),
            reactions: marks
                .reactions
                .iter()
                .map(|record| ReactionRecord {
                    reaction: record.reaction.as_str().to_owned(),
                    user_ids: record.user_ids.iter().map(Into::into).collect(),
                })
                .collect(),
            pinned: marks.pinned.as_ref().map(|pin| PinRecord {
                pinned_by: (&pin.pinned_by).into(),
                pinned_at: pin.pinned_at,
            }),
        }
    }
}

impl TryFrom<MarkRecords> for ImportedMarks {
    type Error = Error;

    fn try_from(records: MarkRecords) -> Result<Self, Error> {
        let edit = |record: EditRecord| {
            let EditRecord { edited_at, text, content_type, data } = record;
            let before = ContentMembers { text, content_type, data }.into_content()?;
            Ok(ImportedEdit { edited_at: Some(edited_at), before })
        };
        Ok(Self {
            reply_to: records.reply_to.map(|name| ImportedName {
                sender_id: name.sender_id.0,
                client_message_id: name.client_message_id,
            }),
            forwarded: records.forwarded.map(|from| ImportedForward {
                sender_id: from.sender_id.0,
                sent_at: Some(from.sent_at),
            }),
            edits: records.edits.into_iter().map(edit).collect::<Result<_, Error>>()?,
            reactions: records
                .reactions
                .into_iter()
                .map(|record| ImportedReaction {
                    reaction: record.reaction,
                    user_ids: record.user_ids.into_iter().map(|id| id.0).collect(),
                })
                .collect(),
            pinned: records.pinned.map(|pin| ImportedPin {
                pinned_by: pin.pinned_by.0,
                pinned_at: Some(pin.pinned_at),
            }),
        })
    }
}

impl From<model::UserRecord> for UserRecord {
    fn from(record: model::UserRecord) -> Self {
        Self {
            user_id: (&record.user_id).into(),
            name: record.name,
            avatar_url: record.avatar_url,
            // What was checked when it was stored.
            attributes: serde_json::from_str(&record.attributes).unwrap_or_default(),
            conversations: record.conversations.into_iter().map(Into::into).collect(),
            scheduled: record.scheduled.iter().map(Into::into).collect(),
        }
    }
}

impl From<model::ConversationRecord> for ConversationRecord {
    fn from(record: model::ConversationRecord) -> Self {
        let ConversationSettings { pinned, archived, marked_unread, hidden, muted_until } =
            record.settings;
        Self {
            conversation_id: record.conversation_id.to_string(),
            pinned,
            archived,
            marked_unread,
            muted_until,
            hidden,
            draft: record.draft,
        }
    }
}

impl From<&model::ScheduledMessage> for ScheduledRecord {
    fn from(message: &model::ScheduledMessage) -> Self {
        let ContentMembers { text, content_type, data } = (&message.content).into();
        Self {
            client_message_id: message.client_message_id.to_string(),
            send_at: message.send_at,
            conversation_id: message.conversation_id.to_string(),
            text,
            content_type,
            data,
            mentions: message.mentions.clone(),
            mention_all: message.mention_all,
        }
    }
}

impl TryFrom<UserRecord> for ImportedUser {
    type Error = Error;

    fn try_from(record: UserRecord) -> Result<Self, Error> {
        let conversation = |record: ConversationRecord| ImportedConversation {
            conversation_id: record.conversation_id,
            settings: ConversationSettings {
                pinned: record.pinned,
                archived: record.archived,
                marked_unread: record.marked_unread,
                hidden: record.hidden,
                muted_until: record.muted_until,
            },
            draft: record.draft,
        };
        let scheduled = |record: ScheduledRecord| {
            let ScheduledRecord { text, content_type, data, .. } = record;
            Ok(ImportedScheduled {
                client_message_id: record.client_message_id,
                send_at: Some(record.send_at),
                conversation_id: record.conversation_id,
                content: ContentMembers { text, content_type, data }.into_content()?,
                mentions: record.mentions,
                mention_all: record.mention_all,
            })
        };
        Ok(Self {
            user_id: record.user_id.0,
            name: record.name,
            avatar_url: record.avatar_url,
            attributes: Value::Object(record.attributes).to_string(),
            conversations: record.conversations.into_iter().map(conversation).collect(),
            scheduled: record.scheduled.into_iter().map(scheduled).collect::<Result<_, Error>>()?,
        })
    }
}
