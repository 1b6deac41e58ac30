//! Messages that move in and out, and timelines that are numbered anew.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    model::{ConversationId, Error},
    rest::types::{
        content::{Content, ContentMembers},
        group::{GroupRecord, MemberChange, MemberRecord},
        id::{GroupId, UserId},
    },
    service::{
        self, Exported, ImportLine, ImportProgress, ImportedChange, ImportedMessage, recipient,
    },
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

/// What became of a group's members, as a line of an export.
///
/// The first line has the `group` as it was at first, each other one a `member` who came or went.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExportedRecord {
    #[serde(with = "time::serde::rfc3339")]
    sent_at: OffsetDateTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    group: Option<GroupRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    group_id: Option<GroupId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    change: Option<MemberChange>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    member: Option<MemberRecord>,
}

/// A message, a group or a change of its members as a line of an import: a line of an export will do.
///
/// A message has all but `group`, `change` and `member`, and either `recipient_id` or `group_id`. A group, which comes
/// before its messages, has `sent_at` and `group`; who came or went later has `sent_at`, `group_id`, `change` and `member`.
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
    #[serde(default)]
    #[schema(required = false)]
    mentions: Vec<UserId>,
    #[serde(default)]
    #[schema(required = false)]
    mention_all: bool,
    group: Option<GroupRecord>,
    change: Option<MemberChange>,
    member: Option<MemberRecord>,
}

/// What an import has done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImportResult {
    /// Everything up to this line is stored.
    line: i64,
    imported: i64,
    /// Lines of which all stood before.
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

impl ExportedRecord {
    pub(in crate::rest) fn of(record: service::ExportedRecord) -> Self {
        match record {
            service::ExportedRecord::Group { group_id, profile, created_at, members } => Self {
                sent_at: created_at,
                group: Some(GroupRecord::new(&group_id, profile, members)),
                group_id: None,
                change: None,
                member: None,
            },
            service::ExportedRecord::MemberChange { group_id, at, change, member } => Self {
                sent_at: at,
                group: None,
                group_id: Some((&group_id).into()),
                change: Some(change.into()),
                member: Some(member.into()),
            },
        }
    }
}

impl ImportRecord {
    /// What stands in a line.
    pub(in crate::rest) fn at(self, line: i64) -> Result<ImportLine, Error> {
        let sent_at = self.sent_at;
        Ok(ImportLine { line, sent_at, record: self.into_record()? })
    }

    fn into_record(self) -> Result<service::ImportRecord, Error> {
        match (self.group, self.member) {
            (Some(group), None) => return Ok(service::ImportRecord::Group(group.into())),
            (None, Some(member)) => {
                let change =
                    self.change.ok_or_else(|| Error::invalid("change", "is needed with member"))?;
                return Ok(service::ImportRecord::MemberChange(ImportedChange {
                    group_id: self.group_id,
                    member: member.into(),
                    change: change.into(),
                }));
            }
            (Some(_), Some(_)) => return Err(Error::invalid("member", "must not be beside group")),
            (None, None) => {}
        }
        let Self { text, content_type, data, .. } = self;
        let content = ContentMembers { text, content_type, data }.into_content()?;
        Ok(service::ImportRecord::Message(ImportedMessage {
            sender_id: self.sender_id,
            to: recipient(self.recipient_id, self.group_id)?,
            client_message_id: self.client_message_id,
            content,
            mentions: self.mentions.into_iter().map(|id| id.0).collect(),
            mention_all: self.mention_all,
        }))
    }
}

impl From<ImportProgress> for ImportResult {
    fn from(progress: ImportProgress) -> Self {
        let ImportProgress { line, imported, duplicates, users_created, timelines } = progress;
        Self { line, imported, duplicates, users_created, timelines }
    }
}
