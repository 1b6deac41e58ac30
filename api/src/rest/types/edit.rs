//! Editing messages, and what they said before.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{
    content::{Content, ContentMembers},
    id::UserId,
    send::given,
};
use crate::{
    model::Error,
    service::{self, EarlierVersion, EditedMessage},
};

/// What a message is to say.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(from = "Members")]
#[schema(examples(json!({
    "client_edit_id": "0199e0a4-5b1c-7c3e-9d2f-3a1b5c7d9e11",
    "text": "On my way, ten minutes",
})))]
pub(crate) struct EditMessageRequest {
    /// Made by the client, new for each edit and the same for each retry of it.
    #[schema(value_type = Uuid)]
    client_edit_id: String,
    #[serde(flatten)]
    content: ContentMembers,
    /// Members whom it is to mention; only in groups. Those whom it mentioned so far and who are not among them
    /// are mentioned no longer.
    #[schema(required = false, max_items = 50)]
    mentions: Vec<UserId>,
    /// Whether it is to mention everybody; only in groups, by their owner and admins.
    #[schema(required = false)]
    mention_all: bool,
}

/// The same with the message that it is about, for a transport without paths.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(from = "MembersWithMessage")]
pub(crate) struct EditOfMessage {
    /// A message that the caller has sent.
    #[schema(pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")]
    pub(in crate::rest) message_id: String,
    #[serde(flatten)]
    pub(in crate::rest) edit: EditMessageRequest,
}

/// The members of an [`EditMessageRequest`]. Not nested: serde cannot name a wrong member that it flattens.
#[derive(Deserialize)]
struct Members {
    #[serde(default)]
    client_edit_id: String,
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
}

#[derive(Deserialize)]
struct MembersWithMessage {
    #[serde(default)]
    message_id: String,
    #[serde(default)]
    client_edit_id: String,
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
}

/// An edit that has been made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "edit_no": 1,
    "edited_at": "2026-11-23T07:31:00.123456Z",
    "duplicate": false,
})))]
pub(crate) struct EditMessageResponse {
    /// How often the message has been edited, this edit included.
    #[schema(minimum = 1)]
    edit_no: i32,
    /// When it was edited.
    #[serde(with = "time::serde::rfc3339")]
    edited_at: OffsetDateTime,
    /// Whether this is the result of an earlier call with the same `client_edit_id`.
    duplicate: bool,
}

/// A page of the edits of a message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EditList {
    /// Newest first.
    edits: Vec<MessageEdit>,
    /// For the next, older page; empty on the last one.
    next_page_token: String,
}

/// An edit of a message.
#[derive(Debug, Serialize, ToSchema)]
struct MessageEdit {
    /// 1, 2, 3 … of the message.
    #[schema(minimum = 1)]
    edit_no: i32,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    edited_at: OffsetDateTime,
    /// What the message said before it. Absent where the deployment did not keep that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    previous: Option<Content>,
}

impl EditMessageRequest {
    pub(in crate::rest) fn client_edit_id(&self) -> &str {
        &self.client_edit_id
    }

    /// As the service takes it, of a message.
    pub(in crate::rest) fn of(self, message_id: String) -> Result<service::EditMessage, Error> {
        Ok(service::EditMessage {
            message_id,
            client_edit_id: self.client_edit_id,
            content: self.content.into_content()?,
            mentions: self.mentions.into_iter().map(|id| id.0).collect(),
            mention_all: self.mention_all,
            address: None,
        })
    }
}

impl From<Members> for EditMessageRequest {
    fn from(members: Members) -> Self {
        let Members { client_edit_id, text, content_type, data, mentions, mention_all } = members;
        let content = ContentMembers { text, content_type, data };
        Self { client_edit_id, content, mentions, mention_all }
    }
}

impl From<MembersWithMessage> for EditOfMessage {
    fn from(members: MembersWithMessage) -> Self {
        let MembersWithMessage {
            message_id,
            client_edit_id,
            text,
            content_type,
            data,
            mentions,
            mention_all,
        } = members;
        let content = ContentMembers { text, content_type, data };
        let edit = EditMessageRequest { client_edit_id, content, mentions, mention_all };
        Self { message_id, edit }
    }
}

impl From<EditedMessage> for EditMessageResponse {
    fn from(edited: EditedMessage) -> Self {
        let EditedMessage { edit, duplicate } = edited;
        Self { edit_no: edit.edit_no, edited_at: edit.edited_at, duplicate }
    }
}

impl From<crate::model::Page<EarlierVersion>> for EditList {
    fn from(page: crate::model::Page<EarlierVersion>) -> Self {
        let edit = |version: &EarlierVersion| MessageEdit {
            edit_no: version.edit.edit_no,
            edited_at: version.edit.edited_at,
            previous: version.content.as_ref().map(Into::into),
        };
        Self {
            edits: page.items.iter().map(edit).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }
    }
}
