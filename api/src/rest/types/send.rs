//! Sending.

use serde::{Deserialize, Deserializer, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{
    content::ContentMembers,
    id::{ConversationId, Cursor, GroupId, UserId},
};
use crate::{
    model::Error,
    service::{Recipient, Send, Sent},
};

/// A message to send.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(from = "Members")]
#[schema(examples(
    json!({
        "to": { "user_id": "bob" },
        "client_message_id": "0199e0a4-5b1c-7c3e-9d2f-3a1b5c7d9e0f",
        "text": "On my way",
    }),
    json!({
        "to": { "user_id": "bob" },
        "client_message_id": "0199e0a4-5b1c-7c3e-9d2f-3a1b5c7d9e10",
        "content_type": "application/vnd.example.card+json",
        "data": "eyJraW5kIjoiY2FyZCJ9",
    }),
))]
pub(crate) struct SendRequest {
    pub(super) to: To,
    /// Made by the client, new for each message and the same for each retry of it.
    #[schema(value_type = Uuid)]
    pub(super) client_message_id: String,
    #[serde(flatten)]
    pub(super) content: ContentMembers,
    /// Members whom it mentions; only in groups.
    #[schema(required = false, max_items = 50)]
    pub(super) mentions: Vec<UserId>,
    /// Whether it mentions everybody; only in groups, by their owner and admins.
    #[schema(required = false)]
    pub(super) mention_all: bool,
    /// A message of the same conversation that it quotes, and that the caller can see; empty for none.
    #[schema(required = false, pattern = "^([A-Za-z0-9_-]{21}[AQgw])?$")]
    pub(super) reply_to: String,
    /// A message that the caller can see, whose content is sent on in place of one of its own; empty for none. It
    /// need not be of the same conversation. What was forwarded already comes from where it came.
    #[schema(required = false, pattern = "^([A-Za-z0-9_-]{21}[AQgw])?$")]
    pub(super) forward_of: String,
    /// Attachments of the caller's, by their ids; each must be uploaded. Not with `forward_of`, which brings those of the
    /// other message.
    #[schema(required = false, max_items = 10)]
    pub(super) attachments: Vec<String>,
}

/// The members of a [`SendRequest`]. Not nested: serde cannot name a wrong member that it flattens.
#[derive(Deserialize)]
struct Members {
    #[serde(default)]
    to: To,
    #[serde(default)]
    client_message_id: String,
    #[serde(default, deserialize_with = "given")]
    text: Option<String>,
    #[serde(default, deserialize_with = "given")]
    content_type: Option<String>,
    #[serde(default, deserialize_with = "given")]
    data: Option<String>,
    #[serde(default)]
    mentions: Vec<UserId>,
    #[serde(default)]
    mention_all: bool,
    #[serde(default)]
    reply_to: String,
    #[serde(default)]
    forward_of: String,
    #[serde(default)]
    attachments: Vec<String>,
}

/// A text where the member was given: null is none.
pub(super) fn given<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

/// The recipient.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(expecting = "an object with the member user_id or group_id")]
pub(super) struct To {
    /// A user; one's own id is a note to oneself.
    pub(super) user_id: Option<UserId>,
    /// A group that the caller is a member of.
    pub(super) group_id: Option<GroupId>,
}

impl To {
    /// The recipient, if there is one.
    pub(super) fn into_recipient(self) -> Result<Option<Recipient>, Error> {
        match (self.user_id, self.group_id) {
            (Some(_), Some(_)) => Err(Error::invalid("to", "must be a user or a group")),
            (Some(id), None) => Ok(Some(Recipient::User(id.0))),
            (None, id) => Ok(id.map(|id| Recipient::Group(id.0))),
        }
    }
}

/// A message that has been stored.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "message_id": "AAAAAAAAAAEAAAAAAAAAKg",
    "seq": 42,
    "cursor": "1763880000.42",
    "conversation_id": "user:bob",
    "sent_at": "2026-11-23T07:30:00.123456Z",
    "duplicate": false,
})))]
pub(crate) struct SendResponse {
    /// Opaque. The same for every participant.
    message_id: String,
    /// The message's place in the sender's timeline.
    #[schema(minimum = 1)]
    seq: i64,
    /// The cursor of that place. Not for resuming: entries before it may still be on their way to this
    /// terminal.
    cursor: Cursor,
    conversation_id: ConversationId,
    /// When it was appended to the sender's timeline.
    #[serde(with = "time::serde::rfc3339")]
    sent_at: OffsetDateTime,
    /// Whether this is the result of an earlier send with the same `client_message_id`.
    duplicate: bool,
}

impl SendRequest {
    pub(in crate::rest) fn client_message_id(&self) -> &str {
        &self.client_message_id
    }
}

impl From<Members> for SendRequest {
    fn from(members: Members) -> Self {
        let Members {
            to,
            client_message_id,
            text,
            content_type,
            data,
            mentions,
            mention_all,
            reply_to,
            forward_of,
            attachments,
        } = members;
        let content = ContentMembers { text, content_type, data };
        Self {
            to,
            client_message_id,
            content,
            mentions,
            mention_all,
            reply_to,
            forward_of,
            attachments,
        }
    }
}

impl TryFrom<SendRequest> for Send {
    type Error = Error;

    fn try_from(request: SendRequest) -> Result<Self, Error> {
        Ok(Self {
            to: request.to.into_recipient()?,
            client_message_id: request.client_message_id,
            content: request.content.into_content()?,
            mentions: request.mentions.into_iter().map(|id| id.0).collect(),
            mention_all: request.mention_all,
            reply_to: request.reply_to,
            forward_of: request.forward_of,
            attachments: request.attachments,
            address: None,
        })
    }
}

impl From<Sent> for SendResponse {
    fn from(sent: Sent) -> Self {
        Self {
            message_id: sent.message_id.to_string(),
            seq: sent.cursor.seq,
            cursor: sent.cursor.into(),
            conversation_id: (&sent.conversation_id).into(),
            sent_at: sent.sent_at,
            duplicate: sent.duplicate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_of_another_shape_is_told_the_right_one() {
        let error = serde_json::from_str::<SendRequest>(r#"{"to": "bob"}"#).expect_err("a string");
        assert!(
            error.to_string().contains("expected an object with the member user_id or group_id"),
            "{error}"
        );
    }
}
