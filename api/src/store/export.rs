//! Exporting the messages of a timeline.

use std::collections::HashSet;

use bytes::Bytes;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{
    Audit, Store,
    entries::KIND_MESSAGE,
    reading,
    retention::floor_search,
    timelines::{Closed, why_closed},
    transaction,
};
use crate::model::{Content, Error, MessageId, Result, SealedMessageId, UserId, UserNo};

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
    /// To whom; the sender for a note to oneself.
    pub recipient_id: UserId,
    /// The id that its sender gave it, or a stand-in where the sender's copy is gone.
    pub client_message_id: Uuid,
    /// When it was appended to the exported timeline.
    pub sent_at: OffsetDateTime,
    /// What it says.
    pub content: Content,
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

    /// The next messages of a timeline that still say something, at most `limit`, in the order of seq.
    pub async fn export_page(
        &self,
        owner: UserNo,
        after: i64,
        limit: i64,
    ) -> Result<Vec<ExportedMessage>> {
        let rows = reading!(self, async |client| {
            let statement = client
            .prepare_cached(
                "SELECT e.seq, e.conversation, e.sender, e.home_seq,
                     coalesce(e.generation, 0::smallint) AS generation, e.appended_at, e.content_type,
                     e.body, coalesce(e.client_message_id, s.client_message_id) AS client_message_id
                 FROM entries e
                 LEFT JOIN entries s ON s.owner = e.sender AND s.seq = e.home_seq AND e.sender <> e.owner
                 WHERE e.owner = $1 AND e.seq > $2 AND e.kind = $3 AND e.tombstone IS NULL
                 ORDER BY e.seq LIMIT $4",
            )
            .await?;
            Ok(client.query(&statement, &[&owner.0, &after, &KIND_MESSAGE, &limit]).await?)
        })?;
        let user_nos: HashSet<i64> =
            rows.iter().flat_map(|row| [row.get("conversation"), row.get("sender")]).collect();
        let known = self.known_users(&user_nos).await?;
        let user_id = |user_no: i64| match known.get(&user_no) {
            Some(known) => Ok(known.user_id.clone()),
            None => Err(Error::internal(format!("no user has number {user_no}"))),
        };
        let owner_id = self.user_id(owner).await?;
        let cipher = self.message_id_cipher().await?;
        let message = |row: &Row| {
            let sender = UserNo(row.get("sender"));
            let recipient_id =
                if sender == owner { user_id(row.get("conversation"))? } else { owner_id.clone() };
            let sender_id = user_id(sender.0)?;
            let message_id = MessageId {
                home: sender.into(),
                seq: row.get("home_seq"),
                generation: row.get("generation"),
            };
            let own: Option<Uuid> = row.get("client_message_id");
            let body: Vec<u8> = row.get("body");
            Ok(ExportedMessage {
                message_id: cipher.seal(message_id)?,
                seq: row.get("seq"),
                client_message_id: own.unwrap_or_else(|| message_id.stand_in(&sender_id)),
                sender_id,
                recipient_id,
                sent_at: row.get("appended_at"),
                content: Content::from_stored(row.get("content_type"), Bytes::from(body)),
            })
        };
        rows.iter().map(message).collect()
    }
}
