//! Exporting the messages of a timeline: those between users, and those of groups as its owner has them.

use std::collections::HashMap;

use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{
    Audit, Store,
    conversations::SAID,
    entries::ENTRY_COLUMNS,
    reading,
    retention::floor_search,
    timelines::{Closed, why_closed},
    transaction,
};
use crate::model::{
    Body, Content, ConversationId, EntryKind, Message, MessageId, Result, SealedMessageId, UserId,
    UserNo,
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
        let sent_by_others = rows.iter().filter_map(|row| {
            let (sender, conversation): (i64, i64) = (row.get("sender"), row.get("conversation"));
            (sender != owner.0 && conversation > 0).then(|| (sender, row.get("home_seq")))
        });
        let ids = self.client_message_ids(sent_by_others.collect()).await?;
        let owner_id = self.user_id(owner).await?;
        let cipher = self.message_id_cipher().await?;
        let mut messages = Vec::with_capacity(rows.len());
        for (entry, row) in self.entries_of(0, &rows).await?.into_iter().zip(&rows) {
            let at = (entry.seq(), entry.appended_at);
            let EntryKind::Message(message) = entry.kind else { continue };
            let message_id = cipher.open(message.message_id)?;
            let sender: i64 = row.get("sender");
            let id = match message.conversation_id {
                // One for all members, so that what several have is one when it is put together.
                ConversationId::Group(_) => None,
                ConversationId::User(_) if sender == owner.0 => message.client_message_id,
                ConversationId::User(_) => ids.get(&(sender, message_id.seq)).copied(),
            };
            messages.extend(exported(message, message_id, at, id, &owner_id));
        }
        Ok(ExportPage { last: rows.last().map(|row| row.get("seq")), messages })
    }

    /// The ids that senders gave messages, by the places of the messages; none where the sender's copy
    /// is gone.
    async fn client_message_ids(
        &self,
        places: Vec<(i64, i64)>,
    ) -> Result<HashMap<(i64, i64), Uuid>> {
        let (senders, seqs): (Vec<i64>, Vec<i64>) = places.into_iter().unzip();
        let rows = reading!(self, async |client| {
            let statement = client
                .prepare_cached(
                    "SELECT e.owner, e.seq, e.client_message_id
                     FROM unnest($1::bigint[], $2::bigint[]) s (owner, seq)
                     JOIN entries e ON e.owner = s.owner AND e.seq = s.seq
                     WHERE e.client_message_id IS NOT NULL",
                )
                .await?;
            Ok(client.query(&statement, &[&senders, &seqs]).await?)
        })?;
        let id = |row: &Row| ((row.get("owner"), row.get("seq")), row.get("client_message_id"));
        Ok(rows.iter().map(id).collect())
    }
}

/// A message as it is exported from the timeline of `owner_id`; `None` when its home says nothing more.
fn exported(
    message: Message,
    message_id: MessageId,
    (seq, sent_at): (i64, OffsetDateTime),
    client_message_id: Option<Uuid>,
    owner_id: &UserId,
) -> Option<ExportedMessage> {
    let Body::Content(content) = message.body else { return None };
    let client_message_id =
        client_message_id.unwrap_or_else(|| message_id.stand_in(&message.sender));
    let to = match message.conversation_id {
        ConversationId::User(_) if message.sender != *owner_id => {
            ConversationId::User(owner_id.clone())
        }
        to => to,
    };
    Some(ExportedMessage {
        message_id: message.message_id,
        seq,
        sender_id: message.sender,
        to,
        client_message_id,
        sent_at,
        content,
        mentions: message.mentions,
        mention_all: message.mention_all,
    })
}
