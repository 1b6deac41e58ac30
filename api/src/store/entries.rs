//! Rows of `entries` and what they mean.

use std::collections::HashSet;

use bytes::Bytes;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use super::Store;
use crate::model::{
    Content, ConversationId, Cursor, Entry, EntryKind, Error, Message, MessageId, Result,
    SessionChanged, UserNo,
};

/// `entries.kind` of a message.
pub(super) const KIND_MESSAGE: i16 = 1;
/// `entries.kind` of a change of sessions; the body is a [`SessionChanged`] as JSON.
pub(super) const KIND_SESSION_CHANGED: i16 = 2;

/// The columns that [`EntryRow`] reads, of a table or subquery `e`.
pub(super) const ENTRY_COLUMNS: &str = "e.seq, e.conversation, e.sender, e.sender_seq, \
     e.appended_at, e.kind, e.client_message_id, e.content_type, e.body";

/// A row as it stands, with user numbers in place of ids.
pub(super) struct EntryRow {
    seq: i64,
    conversation: Option<i64>,
    sender: Option<i64>,
    sender_seq: Option<i64>,
    appended_at: OffsetDateTime,
    kind: i16,
    client_message_id: Option<Uuid>,
    content_type: Option<String>,
    body: Vec<u8>,
}

impl EntryRow {
    /// Reads [`ENTRY_COLUMNS`]; `None` where an outer join found no entry.
    pub(super) fn read(row: &Row) -> Result<Option<Self>> {
        let Some(seq) = row.try_get("seq")? else { return Ok(None) };
        Ok(Some(Self {
            seq,
            conversation: row.try_get("conversation")?,
            sender: row.try_get("sender")?,
            sender_seq: row.try_get("sender_seq")?,
            appended_at: row.try_get("appended_at")?,
            kind: row.try_get("kind")?,
            client_message_id: row.try_get("client_message_id")?,
            content_type: row.try_get("content_type")?,
            body: row.try_get("body")?,
        }))
    }
}

impl Store {
    /// The entries of one timeline, in the order of `rows`.
    pub(super) async fn entries(&self, epoch: i64, rows: Vec<EntryRow>) -> Result<Vec<Entry>> {
        let user_nos: HashSet<i64> =
            rows.iter().flat_map(|row| [row.conversation, row.sender]).flatten().collect();
        let user_ids = self.user_ids(&user_nos).await?;
        let user_id = |user_no: Option<i64>| {
            let known = user_no.and_then(|no| user_ids.get(&no));
            known.cloned().ok_or_else(|| Error::internal(format!("no user has number {user_no:?}")))
        };
        let entry = |row: EntryRow| {
            let kind = match row.kind {
                KIND_MESSAGE => EntryKind::Message(Message {
                    message_id: MessageId {
                        sender: UserNo(row.sender.unwrap_or_default()),
                        sender_seq: row.sender_seq.unwrap_or_default(),
                    },
                    conversation_id: ConversationId::User(user_id(row.conversation)?),
                    sender: user_id(row.sender)?,
                    client_message_id: row.client_message_id,
                    content: Content::from_stored(row.content_type, Bytes::from(row.body)),
                }),
                KIND_SESSION_CHANGED => {
                    EntryKind::SessionChanged(from_json::<SessionChanged>(&row.body)?)
                }
                _ => EntryKind::Unknown,
            };
            Ok(Entry { cursor: Cursor { epoch, seq: row.seq }, appended_at: row.appended_at, kind })
        };
        rows.into_iter().map(entry).collect()
    }
}

fn from_json<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(Error::internal)
}
