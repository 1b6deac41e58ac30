//! Messages that move in and out, and timelines that are numbered anew.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    model::{ConversationId, Error},
    rest::types::{
        admin::records::{MarkRecords, UserRecord},
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

/// A line of an export: a message, or in the last line what else there is of the user, if there is something.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum ExportedLine {
    Message(Box<ExportedMessage>),
    User(Box<ExportedUser>),
}

/// A user as a line of an export.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExportedUser {
    /// When it held.
    #[serde(with = "time::serde::rfc3339")]
    sent_at: OffsetDateTime,
    user: UserRecord,
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
    #[serde(flatten)]
    marks: MarkRecords,
    message_id: String,
    seq: i64,
}

/// What became of a group's members, as a line of an export.
///
/// The first line has the `group` as it was at first, each other one a `member` who came or went; the last one of a group
/// that was `dissolved` says so.
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
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    dissolved: bool,
}

/// A message, a group, a change of its members or a user as a line of an import: a line of an export will do.
///
/// A message has all but `group`, `change`, `member` and `user`, and either `recipient_id` or `group_id`. A group, which
/// comes before its messages, has `sent_at` and `group`; who came or went later has `sent_at`, `group_id`, `change` and
/// `member`, and the end of the group `sent_at`, `group_id` and `dissolved`. What a user shows, has set and has begun has
/// `sent_at` and `user`.
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
    #[serde(flatten)]
    marks: MarkRecords,
    group: Option<GroupRecord>,
    change: Option<MemberChange>,
    member: Option<MemberRecord>,
    user: Option<UserRecord>,
    #[serde(default)]
    #[schema(required = false)]
    dissolved: bool,
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

impl ExportedLine {
    /// A step of an export as a line; none for the one that says how many there are.
    pub(in crate::rest) fn of(step: Exported) -> Option<Self> {
        match step {
            Exported::Begun { .. } => None,
            Exported::Message(message) => Some(Self::Message(Box::new((*message).into()))),
            Exported::User(record) => {
                let (sent_at, user) = (record.at, (*record).into());
                Some(Self::User(Box::new(ExportedUser { sent_at, user })))
            }
        }
    }
}

impl From<service::ExportedMessage> for ExportedMessage {
    fn from(message: service::ExportedMessage) -> Self {
        let (recipient_id, group_id) = match &message.to {
            ConversationId::User(user_id) => (Some(user_id.into()), None),
            ConversationId::Group(group_id) => (None, Some(group_id.into())),
        };
        Self {
            sent_at: message.sent_at,
            sender_id: (&message.sender_id).into(),
            recipient_id,
            group_id,
            client_message_id: message.client_message_id,
            mentions: message.mentions.iter().map(Into::into).collect(),
            mention_all: message.mention_all,
            content: (&message.content).into(),
            marks: (&message.marks).into(),
            message_id: message.message_id.to_string(),
            seq: message.seq,
        }
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
                dissolved: false,
            },
            service::ExportedRecord::MemberChange { group_id, at, change, member } => Self {
                sent_at: at,
                group: None,
                group_id: Some((&group_id).into()),
                change: Some(change.into()),
                member: Some(member.into()),
                dissolved: false,
            },
            service::ExportedRecord::Dissolved { group_id, at } => Self {
                sent_at: at,
                group: None,
                group_id: Some((&group_id).into()),
                change: None,
                member: None,
                dissolved: true,
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
        if self.dissolved {
            return Ok(service::ImportRecord::Dissolved(self.group_id));
        }
        match (self.group, self.member, self.user) {
            (Some(group), None, None) => return Ok(service::ImportRecord::Group(group.into())),
            (None, None, Some(user)) => return Ok(service::ImportRecord::User(user.try_into()?)),
            (None, Some(member), None) => {
                let change =
                    self.change.ok_or_else(|| Error::invalid("change", "is needed with member"))?;
                return Ok(service::ImportRecord::MemberChange(ImportedChange {
                    group_id: self.group_id,
                    member: member.into(),
                    change: change.into(),
                }));
            }
            (None, None, None) => {}
            _ => {
                return Err(Error::invalid(
                    "group",
                    "excludes member and user, and they each other",
                ));
            }
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
            marks: self.marks.try_into()?,
        }))
    }
}

impl From<ImportProgress> for ImportResult {
    fn from(progress: ImportProgress) -> Self {
        let ImportProgress { line, imported, duplicates, users_created, timelines } = progress;
        Self { line, imported, duplicates, users_created, timelines }
    }
}
