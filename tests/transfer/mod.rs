//! Messages that move from one system to another: exported, and imported with their own times.

mod export;
pub(crate) mod groups;
mod import;
mod marks;
mod refusals;
mod unfinished;
mod users;

use imd_proto::v1::{ExportedMessage, MessageRecord, message_record::Content};
use prost_types::Timestamp;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::support::grpc::at;

/// A text that one sent to another so many minutes ago, with a fresh id.
pub(crate) fn record(
    sender_id: &str,
    recipient_id: &str,
    minutes: i64,
    text: &str,
) -> MessageRecord {
    let sent_at = OffsetDateTime::now_utc() - Duration::minutes(minutes);
    // As exact as PostgreSQL can be.
    let nanos = sent_at.microsecond().cast_signed() * 1_000;
    MessageRecord {
        sent_at: Some(Timestamp { seconds: sent_at.unix_timestamp(), nanos }),
        sender_id: sender_id.to_owned(),
        recipient_id: recipient_id.to_owned(),
        client_message_id: Uuid::new_v4().to_string(),
        content: Some(Content::Text(text.to_owned())),
        ..MessageRecord::default()
    }
}

/// What an exported message consists of but the ids that are the system's own.
fn records(exported: Vec<ExportedMessage>) -> Vec<MessageRecord> {
    exported.into_iter().map(|message| message.message.expect("a message")).collect()
}

fn text(record: &MessageRecord) -> &str {
    match &record.content {
        Some(Content::Text(text)) => text,
        other => panic!("{other:?} is no text"),
    }
}

fn sent_at(record: &MessageRecord) -> OffsetDateTime {
    at(record.sent_at)
}
