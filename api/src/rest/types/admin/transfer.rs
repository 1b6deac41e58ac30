//! Messages that move in and out, and timelines that are numbered anew.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    model::{ConversationId, Error},
    rest::types::{
        content::{Content, ContentMembers},
        id::{GroupId, UserId},
    },
    service::{self, Exported, ImportProgress, ImportedMessage},
};

/// How far something has come.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Progress {
    done: i64,
    total: i64,
}

/// Whose timelines are to be numbered anew: one user's, or all.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "all": true })))]
pub(crate) struct StartEpochRequest {
    user_id: Option<UserId>,
    #[serde(default)]
    all: bool,
}

/// A message as a line of an export.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExportedMessage {
    #[serde(with = "time::serde::rfc3339")]
    sent_at: OffsetDateTime,
    sender_id: UserId,
    /// Absent in a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    recipient_id: Option<UserId>,
    /// Absent between users.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    group_id: Option<GroupId>,
    client_message_id: Uuid,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    mentions: Vec<UserId>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    mention_all: bool,
    #[serde(flatten)]
    content: Content,
    message_id: String,
    seq: i64,
}

/// A message as a line of an import: a line of an export will do.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ImportRecord {
    #[serde(default, with = "time::serde::rfc3339::option")]
    #[schema(required = true, nullable = false)]
    sent_at: Option<OffsetDateTime>,
    #[serde(default)]
    sender_id: String,
    #[serde(default)]
    recipient_id: String,
    #[serde(default)]
    group_id: String,
    #[serde(default)]
    client_message_id: String,
    text: Option<String>,
    content_type: Option<String>,
    data: Option<String>,
}

/// What an import has done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImportResult {
    /// Everything up to this line is stored.
    line: i64,
    imported: i64,
    /// Messages that stood before.
    duplicates: i64,
    users_created: i64,
    /// Timelines that were opened at the end.
    timelines: i64,
}

impl From<service::Progress> for Progress {
    fn from(service::Progress { done, total }: service::Progress) -> Self {
        Self { done, total }
    }
}

impl From<StartEpochRequest> for Option<service::Whose> {
    fn from(request: StartEpochRequest) -> Self {
        match (request.user_id, request.all) {
            (Some(user_id), false) => Some(service::Whose::User(user_id.0)),
            (None, true) => Some(service::Whose::All),
            _ => None,
        }
    }
}

impl ExportedMessage {
    /// A step of an export as a line; none for the one that says how many there are.
    pub(in crate::rest) fn line(step: Exported) -> Option<Self> {
        let Exported::Message(message) = step else { return None };
        let (recipient_id, group_id) = match &message.to {
            ConversationId::User(user_id) => (Some(user_id.into()), None),
            ConversationId::Group(group_id) => (None, Some(group_id.into())),
        };
        Some(Self {
            sent_at: message.sent_at,
            sender_id: (&message.sender_id).into(),
            recipient_id,
            group_id,
            client_message_id: message.client_message_id,
            mentions: message.mentions.iter().map(Into::into).collect(),
            mention_all: message.mention_all,
            content: (&message.content).into(),
            message_id: message.message_id.to_string(),
            seq: message.seq,
        })
    }
}

impl ImportRecord {
    /// The message that stands in a line.
    pub(in crate::rest) fn at(self, line: i64) -> Result<ImportedMessage, Error> {
        let Self { text, content_type, data, .. } = self;
        let content = ContentMembers { text, content_type, data }.into_content()?;
        Ok(ImportedMessage {
            line,
            sender_id: self.sender_id,
            recipient_id: self.recipient_id,
            group_id: self.group_id,
            client_message_id: self.client_message_id,
            sent_at: self.sent_at,
            content,
        })
    }
}

impl From<ImportProgress> for ImportResult {
    fn from(progress: ImportProgress) -> Self {
        let ImportProgress { line, imported, duplicates, users_created, timelines } = progress;
        Self { line, imported, duplicates, users_created, timelines }
    }
}
