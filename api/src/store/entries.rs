//! Rows of `entries` and what they mean.

use std::collections::HashSet;

use bytes::Bytes;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use super::Store;
use crate::model::{
    Body, Content, ConversationId, ConversationNo, Cursor, Entry, EntryKind, Error, Message,
    MessageGone, MessageId, MessageIdCipher, ReadUpTo, Result, SessionChanged, TimelineNo,
    Tombstone, UserNo,
};

/// `entries.kind` of a message.
pub(super) const KIND_MESSAGE: i16 = 1;
/// `entries.kind` of a change of sessions; the body is a [`SessionChanged`] as JSON.
const KIND_SESSION_CHANGED: i16 = 2;
const KIND_READ_MARK: i16 = 3;
const KIND_READ_RECEIPT: i16 = 4;
const KIND_MESSAGE_RECALLED: i16 = 5;
const KIND_MESSAGE_DELETED: i16 = 6;
const KIND_MESSAGES_ERASED: i16 = 7;
/// `entries.kind` of a change of blocks; the body is JSON: whether the user is blocked.
const KIND_BLOCK_CHANGED: i16 = 8;

/// The columns that [`EntryRow`] reads, of a table or subquery `e`.
pub(super) const ENTRY_COLUMNS: &str = "e.seq, e.conversation, e.sender, e.home_seq, \
     e.appended_at, e.kind, e.tombstone, e.client_message_id, e.content_type, e.target_seq, e.body";

/// A row as it stands, with user numbers in place of ids.
pub(super) struct EntryRow {
    seq: i64,
    conversation: Option<i64>,
    sender: Option<i64>,
    home_seq: Option<i64>,
    appended_at: OffsetDateTime,
    kind: i16,
    tombstone: Option<i16>,
    client_message_id: Option<Uuid>,
    content_type: Option<String>,
    target_seq: Option<i64>,
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
            home_seq: row.try_get("home_seq")?,
            appended_at: row.try_get("appended_at")?,
            kind: row.try_get("kind")?,
            tombstone: row.try_get("tombstone")?,
            client_message_id: row.try_get("client_message_id")?,
            content_type: row.try_get("content_type")?,
            target_seq: row.try_get("target_seq")?,
            body: row.try_get("body")?,
        }))
    }

    /// A column that a row of this kind has. Errors: [`Error::Internal`] where it has not: nobody but imd
    /// writes rows, so the database is damaged, and a made-up value would be taken for a real one.
    fn require<T: Copy>(&self, column: &'static str, value: Option<T>) -> Result<T> {
        let Self { seq, kind, .. } = self;
        value.ok_or_else(|| {
            Error::internal(format!("entry {seq}, of kind {kind}, has no column {column}"))
        })
    }

    /// The conversation that the row is of, or about.
    fn conversation(&self) -> Result<ConversationNo> {
        self.require("conversation", self.conversation).map(ConversationNo)
    }

    /// The message that the row is, or is about.
    fn message_id(&self) -> Result<MessageId> {
        let sender = UserNo(self.require("sender", self.sender)?);
        let home = self.conversation()?.group().map_or(sender.into(), TimelineNo::from);
        Ok(MessageId { home, seq: self.require("home_seq", self.home_seq)? })
    }

    fn read_up_to(&self, conversation_id: ConversationId) -> Result<ReadUpTo> {
        Ok(ReadUpTo { conversation_id, seq: self.require("target_seq", self.target_seq)? })
    }

    fn message_gone(
        &self,
        conversation_id: ConversationId,
        cipher: &MessageIdCipher,
    ) -> Result<MessageGone> {
        let message_id = cipher.seal(self.message_id()?)?;
        Ok(MessageGone {
            message_id,
            conversation_id,
            seq: self.require("target_seq", self.target_seq)?,
        })
    }

    fn body(self) -> Result<Body> {
        let Some(number) = self.tombstone else {
            return Ok(Body::Content(Content::from_stored(
                self.content_type,
                Bytes::from(self.body),
            )));
        };
        let tombstone = Tombstone::from_number(number)
            .ok_or_else(|| Error::internal(format!("no tombstone has number {number}")))?;
        Ok(Body::Tombstone(tombstone))
    }
}

/// What the row of an event says beside its place and its conversation.
pub(super) struct EventColumns {
    pub(super) kind: i16,
    pub(super) target_seq: Option<i64>,
    pub(super) body: Vec<u8>,
}

impl EventColumns {
    /// The columns of `event`, which is no message.
    pub(super) fn of(event: &EntryKind) -> Result<Self> {
        let columns = |kind| Self { kind, target_seq: None, body: Vec::new() };
        let read = |kind, read: &ReadUpTo| Self { target_seq: Some(read.seq), ..columns(kind) };
        let gone = |kind, gone: &MessageGone| Self { target_seq: Some(gone.seq), ..columns(kind) };
        Ok(match event {
            EntryKind::SessionChanged(change) => {
                let body = serde_json::to_vec(change).map_err(Error::internal)?;
                Self { body, ..columns(KIND_SESSION_CHANGED) }
            }
            EntryKind::ReadMark(mark) => read(KIND_READ_MARK, mark),
            EntryKind::ReadReceipt(receipt) => read(KIND_READ_RECEIPT, receipt),
            EntryKind::MessageRecalled(recalled) => gone(KIND_MESSAGE_RECALLED, recalled),
            EntryKind::MessageDeleted(deleted) => gone(KIND_MESSAGE_DELETED, deleted),
            EntryKind::MessagesErased { .. } => columns(KIND_MESSAGES_ERASED),
            EntryKind::BlockChanged { blocked, .. } => {
                let body = serde_json::to_vec(blocked).map_err(Error::internal)?;
                Self { body, ..columns(KIND_BLOCK_CHANGED) }
            }
            EntryKind::Message(_) | EntryKind::Unknown => {
                return Err(Error::internal("this is no event that could be appended"));
            }
        })
    }
}

impl Store {
    /// The entries of one timeline, in the order of `rows`.
    pub(super) async fn entries(&self, epoch: i64, rows: Vec<EntryRow>) -> Result<Vec<Entry>> {
        let user_nos: HashSet<i64> =
            rows.iter().flat_map(|row| [row.conversation, row.sender]).flatten().collect();
        let known = self.known_users(&user_nos).await?;
        let cipher = self.message_id_cipher().await?;
        let user = |user_no: i64| {
            let found = known.get(&user_no).cloned();
            found.ok_or_else(|| Error::internal(format!("no user has number {user_no}")))
        };
        let conversation = |row: &EntryRow| {
            let ConversationNo(peer) = row.conversation()?;
            Ok::<_, Error>(ConversationId::User(user(peer)?.user_id))
        };
        let entry = |row: EntryRow| {
            let cursor = Cursor { epoch, seq: row.seq };
            let appended_at = row.appended_at;
            let kind = match row.kind {
                KIND_MESSAGE => {
                    let sender = user(row.require("sender", row.sender)?)?;
                    EntryKind::Message(Message {
                        message_id: cipher.seal(row.message_id()?)?,
                        conversation_id: conversation(&row)?,
                        sender: sender.user_id,
                        sender_deleted: sender.deleted,
                        client_message_id: row.client_message_id,
                        body: row.body()?,
                    })
                }
                KIND_SESSION_CHANGED => {
                    EntryKind::SessionChanged(from_json::<SessionChanged>(&row.body)?)
                }
                KIND_READ_MARK => EntryKind::ReadMark(row.read_up_to(conversation(&row)?)?),
                KIND_READ_RECEIPT => EntryKind::ReadReceipt(row.read_up_to(conversation(&row)?)?),
                KIND_MESSAGE_RECALLED => {
                    EntryKind::MessageRecalled(row.message_gone(conversation(&row)?, &cipher)?)
                }
                KIND_MESSAGE_DELETED => {
                    EntryKind::MessageDeleted(row.message_gone(conversation(&row)?, &cipher)?)
                }
                KIND_MESSAGES_ERASED => {
                    EntryKind::MessagesErased { conversation_id: conversation(&row)? }
                }
                KIND_BLOCK_CHANGED => EntryKind::BlockChanged {
                    user_id: user(row.conversation()?.0)?.user_id,
                    blocked: from_json(&row.body)?,
                },
                _ => EntryKind::Unknown,
            };
            Ok(Entry { cursor, appended_at, kind })
        };
        rows.into_iter().map(entry).collect()
    }
}

fn from_json<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(Error::internal)
}
