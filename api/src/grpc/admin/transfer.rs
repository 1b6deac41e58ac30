//! Exports and imports in the contract's messages.

use imd_proto::v1::{self, import_messages_request::Step, message_record::Content as Wire};
use prost_types::Timestamp;
use time::OffsetDateTime;

use crate::{
    grpc::convert::{self, timestamp},
    model::{ConversationId, Error},
    service::{
        Exported, ExportedMessage, ImportProgress, ImportStep, ImportedMessage, SendContent,
    },
};

/// The time of a timestamp.
pub(super) fn time(field: &'static str, at: Timestamp) -> Result<OffsetDateTime, Error> {
    let nanoseconds = i128::from(at.seconds) * 1_000_000_000 + i128::from(at.nanos);
    OffsetDateTime::from_unix_timestamp_nanos(nanoseconds)
        .map_err(|_| Error::invalid(field, "is beyond the calendar"))
}

pub(super) fn exported(step: Exported) -> v1::ExportMessagesResponse {
    match step {
        Exported::Begun { messages } => v1::ExportMessagesResponse { messages, message: None },
        Exported::Message(message) => {
            v1::ExportMessagesResponse { messages: 0, message: Some(exported_message(&message)) }
        }
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
        content: Some(match convert::content(&message.content) {
            v1::message::Content::Text(text) => Wire::Text(text),
            v1::message::Content::Data(data) => Wire::Data(data),
        }),
    };
    v1::ExportedMessage {
        message: Some(record),
        message_id: message.message_id.to_string(),
        seq: message.seq,
    }
}

pub(super) fn import_step(request: v1::ImportMessagesRequest) -> Result<ImportStep, Error> {
    match request.step {
        Some(Step::Begin(begin)) => Ok(ImportStep::Begin { create_users: begin.create_users }),
        Some(Step::Message(message)) => imported_message(message).map(ImportStep::Message),
        Some(Step::End(end)) => Ok(ImportStep::End { finish_all: end.finish_all }),
        None => Err(Error::invalid("step", "is needed")),
    }
}

fn imported_message(message: v1::ImportedMessage) -> Result<ImportedMessage, Error> {
    let record = message.message.unwrap_or_default();
    let content = record.content.map(|content| match content {
        Wire::Text(text) => SendContent::Text(text),
        Wire::Data(typed) => {
            SendContent::Data { content_type: typed.content_type, data: typed.data }
        }
    });
    Ok(ImportedMessage {
        line: message.line,
        sender_id: record.sender_id,
        recipient_id: record.recipient_id,
        group_id: record.group_id,
        client_message_id: record.client_message_id,
        sent_at: record.sent_at.map(|at| time("sent_at", at)).transpose()?,
        content,
    })
}

pub(super) fn imported(progress: ImportProgress) -> v1::ImportMessagesResponse {
    let ImportProgress { line, imported, duplicates, users_created, timelines } = progress;
    v1::ImportMessagesResponse { line, imported, duplicates, users_created, timelines }
}
