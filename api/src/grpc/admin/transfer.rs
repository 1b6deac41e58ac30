//! Exports and imports in the contract's messages.

use imd_proto::v1::{self, export_group_response::Record, import_messages_request::Step};
use prost_types::Timestamp;
use time::OffsetDateTime;

use super::records::{add_marks, imported_user, take_marks, user_record};
use crate::{
    grpc::{
        convert::{self, time, timestamp},
        group,
    },
    model::{ConversationId, Error, GroupProfile, GroupRole, MemberChange},
    service::{
        Exported, ExportedMessage, ExportedRecord, ImportLine, ImportProgress, ImportRecord,
        ImportStep, ImportedChange, ImportedGroup, ImportedMessage, RecordedMember, recipient,
    },
};

pub(super) fn exported(step: Exported) -> v1::ExportMessagesResponse {
    match step {
        Exported::Begun { messages } => {
            v1::ExportMessagesResponse { messages, ..v1::ExportMessagesResponse::default() }
        }
        Exported::Message(message) => v1::ExportMessagesResponse {
            message: Some(exported_message(&message)),
            ..v1::ExportMessagesResponse::default()
        },
        Exported::User(user) => v1::ExportMessagesResponse {
            user: Some(user_record(*user)),
            ..v1::ExportMessagesResponse::default()
        },
    }
}

fn exported_message(message: &ExportedMessage) -> v1::ExportedMessage {
    let (recipient_id, group_id) = match &message.to {
        ConversationId::User(user_id) => (user_id.to_string(), String::new()),
        ConversationId::Group(group_id) => (String::new(), group_id.to_string()),
    };
    let record = v1::MessageRecord {
        client_message_id: message.client_message_id.to_string(),
        sent_at: Some(timestamp(message.sent_at)),
        sender_id: message.sender_id.to_string(),
        recipient_id,
        group_id,
        mentions: message.mentions.iter().map(ToString::to_string).collect(),
        mention_all: message.mention_all,
        content: Some(convert::content(&message.content).into()),
        ..v1::MessageRecord::default()
    };
    v1::ExportedMessage {
        message: Some(add_marks(record, &message.marks)),
        message_id: message.message_id.to_string(),
        seq: message.seq,
    }
}

pub(super) fn exported_record(record: ExportedRecord) -> v1::ExportGroupResponse {
    let record = match record {
        ExportedRecord::Group { group_id, profile, created_at, members } => {
            Record::Group(v1::GroupRecord {
                sent_at: Some(timestamp(created_at)),
                group_id: group_id.to_string(),
                name: profile.name,
                announcement: profile.announcement,
                join: profile.join as i32,
                history: profile.history,
                muted: profile.muted,
                attributes: profile.attributes,
                members: members.into_iter().map(member).collect(),
            })
        }
        ExportedRecord::MemberChange { group_id, at, change, member: who } => {
            Record::MemberChange(v1::MemberChangeRecord {
                sent_at: Some(timestamp(at)),
                group_id: group_id.to_string(),
                change: change as i32,
                member: Some(member(who)),
            })
        }
        ExportedRecord::Dissolved { group_id, at } => Record::Dissolved(v1::GroupDissolvedRecord {
            sent_at: Some(timestamp(at)),
            group_id: group_id.to_string(),
        }),
    };
    v1::ExportGroupResponse { record: Some(record) }
}

fn member(member: RecordedMember) -> v1::GroupMember {
    v1::GroupMember {
        user_id: member.user_id,
        role: member.role as i32,
        nickname: member.nickname,
        muted_until: member.muted_until.map(timestamp),
        joined_at: None,
    }
}

pub(super) fn import_step(request: v1::ImportMessagesRequest) -> Result<ImportStep, Error> {
    let (line, read) = match request.step {
        Some(Step::Begin(begin)) => {
            return Ok(ImportStep::Begin { create_users: begin.create_users });
        }
        Some(Step::End(end)) => return Ok(ImportStep::End { finish_all: end.finish_all }),
        Some(Step::Message(given)) => {
            (given.line, imported_message(given.message.unwrap_or_default()))
        }
        Some(Step::Group(given)) => (given.line, imported_group(given.group.unwrap_or_default())),
        Some(Step::Dissolved(given)) => {
            (given.line, imported_end(given.dissolved.unwrap_or_default()))
        }
        Some(Step::User(given)) => (given.line, read_user(given.user.unwrap_or_default())),
        Some(Step::MemberChange(given)) => {
            (given.line, imported_change(given.change.unwrap_or_default()))
        }
        None => return Err(Error::invalid("step", "is needed")),
    };
    let (sent_at, record) = read.map_err(|error| Error::at_line(line, error))?;
    Ok(ImportStep::Line(Box::new(ImportLine { line, sent_at, record })))
}

/// A record and its time.
type Read = Result<(Option<OffsetDateTime>, ImportRecord), Error>;

fn imported_message(mut record: v1::MessageRecord) -> Read {
    let marks = take_marks(&mut record)?;
    let content = record.content.map(convert::send_content);
    let message = ImportedMessage {
        sender_id: record.sender_id,
        to: recipient(record.recipient_id, record.group_id)?,
        client_message_id: record.client_message_id,
        content,
        mentions: record.mentions,
        mention_all: record.mention_all,
        marks,
    };
    Ok((sent_at(record.sent_at)?, ImportRecord::Message(message)))
}

fn imported_end(record: v1::GroupDissolvedRecord) -> Read {
    Ok((sent_at(record.sent_at)?, ImportRecord::Dissolved(record.group_id)))
}

fn read_user(record: v1::UserRecord) -> Read {
    Ok((sent_at(record.sent_at)?, ImportRecord::User(imported_user(record)?)))
}

fn imported_group(record: v1::GroupRecord) -> Read {
    let join = group::join_rule(record.join());
    let named = GroupProfile::named(record.name);
    let attributes = Some(record.attributes).filter(|attributes| !attributes.is_empty());
    let profile = GroupProfile {
        announcement: record.announcement,
        join,
        history: record.history,
        muted: record.muted,
        attributes: attributes.unwrap_or_else(|| named.attributes.clone()),
        ..named
    };
    let members = record.members.into_iter().map(imported_member).collect::<Result<_, _>>()?;
    let imported = ImportedGroup { group_id: record.group_id, profile, members };
    Ok((sent_at(record.sent_at)?, ImportRecord::Group(imported)))
}

fn imported_change(record: v1::MemberChangeRecord) -> Read {
    let change = match record.change() {
        v1::MemberChange::Joined => MemberChange::Joined,
        v1::MemberChange::Left => MemberChange::Left,
        v1::MemberChange::Removed => MemberChange::Removed,
        _ => return Err(Error::invalid("change", "must be JOINED, LEFT or REMOVED")),
    };
    let member = imported_member(record.member.unwrap_or_default())?;
    let imported = ImportedChange { group_id: record.group_id, member, change };
    Ok((sent_at(record.sent_at)?, ImportRecord::MemberChange(imported)))
}

fn imported_member(member: v1::GroupMember) -> Result<RecordedMember, Error> {
    let role = match member.role() {
        v1::GroupRole::Unspecified => GroupRole::Member,
        given => group::role(given)?,
    };
    Ok(RecordedMember {
        role,
        user_id: member.user_id,
        nickname: member.nickname,
        muted_until: member.muted_until.map(|at| time("muted_until", at)).transpose()?,
    })
}

fn sent_at(at: Option<Timestamp>) -> Result<Option<OffsetDateTime>, Error> {
    at.map(|at| time("sent_at", at)).transpose()
}

pub(super) fn imported(progress: ImportProgress) -> v1::ImportMessagesResponse {
    let ImportProgress { line, imported, duplicates, users_created, timelines } = progress;
    v1::ImportMessagesResponse { line, imported, duplicates, users_created, timelines }
}
