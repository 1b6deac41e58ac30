//! Exporting the messages of a timeline: those between users, and those of groups as its owner has them.

mod marks;
mod user;

use std::collections::HashMap;

use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use self::marks::Location;
use super::{
    Audit, Store,
    conversations::SAID,
    entries::{ENTRIES_AT, ENTRY_COLUMNS},
    reading,
    retention::floor_search,
    timelines::{Closed, why_closed},
    transaction,
};
use crate::model::{
    Body, Content, ConversationId, Entry, EntryKind, Error, Message, MessageId, MessageIdCipher,
    MessageMarks, Result, SealedMessageId, UserId, UserNo,
};

/// Where an export begins.
#[derive(Debug, Clone, Copy)]
pub struct ExportStart {
    /// The messages are those after this place.
    pub after: i64,
    /// How many there are at most.
    pub messages: i64,
}

/// A message as one participant sent it to the other.
#[derive(Debug, Clone)]
pub struct ExportedMessage {
    /// The message.
    pub message_id: SealedMessageId,
    /// The place in the exported timeline.
    pub seq: i64,
    /// Who sent it.
    pub sender_id: UserId,
    /// To whom, the sender for a note to oneself; or to which group.
    pub to: ConversationId,
    /// The id that its sender gave it, or a stand-in: where the sender's copy is gone, and in groups.
    pub client_message_id: Uuid,
    /// When it was appended to the exported timeline.
    pub sent_at: OffsetDateTime,
    /// What it says.
    pub content: Content,
    /// Whom it mentions; only in groups.
    pub mentions: Vec<UserId>,
    /// Whether it mentions everybody; only in groups.
    pub mention_all: bool,
    /// What stands with it.
    pub marks: MessageMarks,
}

/// Messages of an exported timeline.
#[derive(Debug)]
pub struct ExportPage {
    /// In the order of seq.
    pub messages: Vec<ExportedMessage>,
    /// Where the next page begins: behind this place; `None` when there is nothing more.
    pub last: Option<i64>,
}

impl Store {
    /// Finds where to begin: at the first message of `since` or later. Errors:
    /// [`Error::UserNotFound`] for a deleted user.
    pub async fn begin_export(
        &self,
        owner: UserNo,
        since: Option<OffsetDateTime>,
        audit: Audit<'_>,
    ) -> Result<ExportStart> {
        transaction!(self, async |tx| {
            let row = tx
                .query_opt(
                    &format!(
                        "WITH RECURSIVE exported AS MATERIALIZED (
                         SELECT owner, last_message_no, purged_to + 1 AS low, last_seq + 1 AS high,
                             $2::timestamptz AS oldest, NULL::bigint AS beyond
                         FROM timelines WHERE owner = $1 AND state <> $3
                     ), {first}
                     SELECT first.floor - 1 AS after, x.last_message_no - coalesce(
                         (SELECT message_no FROM entries WHERE owner = $1 AND seq = first.floor), 1
                     ) + 1 AS messages
                     FROM exported x CROSS JOIN first",
                        first = floor_search("first", "exported")
                    ),
                    &[&owner.0, &since, &(Closed::Deleted as i16)],
                )
                .await?;
            let Some(row) = row else { return Err(why_closed(&tx, owner).await?) };
            audit.record(&tx, Some(owner)).await?;
            tx.commit().await?;
            Ok(ExportStart { after: row.get("after"), messages: row.get("messages") })
        })
    }

    /// The next messages of a timeline that still say something, of the next `limit` that it has, in the
    /// order of seq.
    pub async fn export_page(&self, owner: UserNo, after: i64, limit: i64) -> Result<ExportPage> {
        let sql = format!(
            "SELECT {ENTRY_COLUMNS} FROM entries e
             WHERE e.owner = $1 AND e.seq > $2 AND {SAID} ORDER BY e.seq LIMIT $3"
        );
        let rows = reading!(self, async |client| {
            let statement = client.prepare_cached(&sql).await?;
            Ok(client.query(&statement, &[&owner.0, &after, &limit]).await?)
        })?;
        let owner_id = self.user_id(owner).await?;
        let cipher = self.message_id_cipher().await?;
        let mut found = Vec::with_capacity(rows.len());
        for entry in self.entries_of(0, &rows).await? {
            found.extend(Found::read(entry, &cipher)?);
        }
        let ids = self.client_message_ids(found.iter().flat_map(Found::named_at).collect()).await?;
        let mut marks = self.marks_of(owner, &found).await?;
        let exported = |found: Found| {
            let marks = marks.of(&found, (owner, &owner_id), &ids);
            found.exported(marks, &owner_id, &ids)
        };
        let messages = found.into_iter().map(exported).collect();
        Ok(ExportPage { last: rows.last().map(|row| row.get("seq")), messages })
    }

    /// The ids that senders gave messages, by the places of the messages; none where the sender's copy
    /// is gone.
    async fn client_message_ids(&self, places: Vec<Location>) -> Result<ClientIds> {
        let (senders, seqs): (Vec<i64>, Vec<i64>) = places.into_iter().unzip();
        let rows = reading!(self, async |client| {
            let statement = client
                .prepare_cached(&format!(
                    "SELECT e.owner, e.seq, e.client_message_id
                     FROM {ENTRIES_AT} WHERE e.client_message_id IS NOT NULL"
                ))
                .await?;
            Ok(client.query(&statement, &[&senders, &seqs]).await?)
        })?;
        let id = |row: &Row| ((row.get("owner"), row.get("seq")), row.get("client_message_id"));
        Ok(rows.iter().map(id).collect())
    }
}

/// The ids that senders gave messages between users, by the places of the messages.
type ClientIds = HashMap<Location, Uuid>;

/// Where the sender of a message between users gave it an id. In groups there is one for all members, so that what
/// several have is one when it is put together.
fn named_at(message_id: MessageId) -> Option<Location> {
    message_id.home.user().map(|sender| (sender.0, message_id.seq))
}

/// The id of a message, or one that stands for it.
fn client_message_id(message_id: MessageId, sender_id: &UserId, ids: &ClientIds) -> Uuid {
    let given = named_at(message_id).and_then(|place| ids.get(&place).copied());
    given.unwrap_or_else(|| message_id.stand_in(sender_id))
}

/// A message of the exported timeline that says something.
struct Found {
    message: Message,
    message_id: MessageId,
    content: Content,
    /// Its place.
    seq: i64,
    appended_at: OffsetDateTime,
    /// The message that it quotes, and who sent that, while it says something.
    quoted: Option<(MessageId, UserId)>,
}

impl Found {
    /// `None` for what is no message, or one whose home says nothing more.
    fn read(entry: Entry, cipher: &MessageIdCipher) -> Result<Option<Self>> {
        let (seq, appended_at) = (entry.seq(), entry.appended_at);
        let EntryKind::Message(message) = entry.kind else { return Ok(None) };
        let Body::Content(content) = &message.body else { return Ok(None) };
        let content = content.clone();
        let quoted = message.reply_to.as_ref().and_then(|quote| quote.quoted.as_ref());
        let quoted = quoted
            .map(|quoted| Ok::<_, Error>((cipher.open(quoted.message_id)?, quoted.sender.clone())))
            .transpose()?;
        let message_id = cipher.open(message.message_id)?;
        Ok(Some(Self { message, message_id, content, seq, appended_at, quoted }))
    }

    /// As [`named_at`], of it and of what it quotes.
    fn named_at(&self) -> impl Iterator<Item = Location> {
        let quoted = self.quoted.as_ref().map(|(message_id, _)| *message_id);
        [Some(self.message_id), quoted].into_iter().flatten().filter_map(named_at)
    }

    /// It as the timeline of `owner_id` has it.
    fn exported(self, marks: MessageMarks, owner_id: &UserId, ids: &ClientIds) -> ExportedMessage {
        let Self { message, message_id, content, seq, appended_at, .. } = self;
        let to = match message.conversation_id {
            ConversationId::User(_) if message.sender != *owner_id => {
                ConversationId::User(owner_id.clone())
            }
            to => to,
        };
        ExportedMessage {
            message_id: message.message_id,
            seq,
            client_message_id: client_message_id(message_id, &message.sender, ids),
            sender_id: message.sender,
            to,
            sent_at: appended_at,
            content,
            mentions: message.mentions,
            mention_all: message.mention_all,
            marks,
        }
    }
}
