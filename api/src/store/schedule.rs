//! Messages that are to be sent later.
//!
//! Whoever sends one claims its row first; from then on nobody changes it or takes it back, and the send is made,
//! however often nodes die on the way: it is tried until the row is gone, and the `client_message_id` has it stored
//! once.

use bytes::Bytes;
use time::OffsetDateTime;
use tokio_postgres::{Row, types::ToSql};
use uuid::Uuid;

use super::{
    Store, Transaction,
    attachments::{hold_attachments, read_attachments, release_scheduled, write_attachments},
    reading,
    sessions::require_live,
    timelines::{About, Place, no_timeline},
    transaction,
    users::read_state,
};
use crate::model::{
    Content, ConversationId, Entry, EntryKind, Error, MOST_SCHEDULED, Refusal, Result,
    ScheduledChanged, ScheduledMessage, ScheduledState, SessionId, UserId, UserNo, UserState,
};

/// How long a message rests that could not be sent, and was not refused.
const RETRY: &str = "interval '15 seconds'";

/// A scheduled message that is due, claimed with this look.
#[derive(Debug)]
pub struct DueMessage {
    /// Whose it is.
    pub owner: UserNo,
    /// What is to be sent.
    pub message: ScheduledMessage,
}

/// What is to change of a scheduled message; what is `None` stays.
#[derive(Debug, Clone)]
pub struct ChangeScheduled {
    /// When it is to be sent.
    pub send_at: Option<OffsetDateTime>,
    /// What it is to say.
    pub content: Option<Content>,
}

const COLUMNS: &str =
    "client_message_id, send_at, conversation_id, content_type, body, mentions, mention_all,
     reply_to, attachments, refused, refusal";

fn read(row: &Row) -> Result<ScheduledMessage> {
    let refused: Option<String> = row.get("refused");
    let message = || row.get::<_, Option<String>>("refusal").unwrap_or_default();
    Ok(ScheduledMessage {
        client_message_id: row.get("client_message_id"),
        conversation_id: ConversationId::parse(row.get("conversation_id"))
            .map_err(Error::internal)?,
        send_at: row.get("send_at"),
        content: Content::from_stored(
            row.get("content_type"),
            Bytes::from(row.get::<_, Vec<u8>>("body")),
        ),
        mentions: row.get("mentions"),
        mention_all: row.get("mention_all"),
        reply_to: row.get("reply_to"),
        attachments: read_attachments(row.get("attachments"))?,
        refusal: refused.map(|code| Refusal { code, message: message() }),
    })
}

fn changed(message: &ScheduledMessage, state: ScheduledState) -> EntryKind {
    EntryKind::ScheduledChanged(ScheduledChanged {
        client_message_id: message.client_message_id,
        conversation_id: message.conversation_id.clone(),
        state,
        send_at: message.send_at,
        refusal: message.refusal.clone(),
    })
}

/// How many messages of a user wait to be sent, those that were refused included.
pub(super) async fn count_scheduled(tx: &Transaction<'_>, owner: UserNo) -> Result<i64> {
    let count =
        tx.prepare_cached("SELECT count(*) FROM scheduled_messages WHERE owner = $1").await?;
    Ok(tx.query_one(&count, &[&owner.0]).await?.get(0))
}

/// Writes a message down that is to be sent later. One by the same id is left as it is.
pub(super) async fn insert_scheduled(
    tx: &Transaction<'_>,
    owner: UserNo,
    message: &ScheduledMessage,
) -> Result<()> {
    let insert = tx
        .prepare_cached(
            "INSERT INTO scheduled_messages (owner, client_message_id, send_at, due_at, sending,
                 conversation_id, content_type, body, mentions, mention_all, reply_to, attachments)
             VALUES ($1, $2, $3, $3, false, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT DO NOTHING",
        )
        .await?;
    let attachments = write_attachments(&message.attachments);
    let values: [&(dyn ToSql + Sync); 10] = [
        &owner.0,
        &message.client_message_id,
        &message.send_at,
        &message.conversation_id.to_string(),
        &message.content.content_type(),
        &message.content.body().as_ref(),
        &message.mentions,
        &message.mention_all,
        &message.reply_to,
        &attachments,
    ];
    tx.execute(&insert, &values).await?;
    Ok(())
}

impl Store {
    /// Has a message be sent later: the message, whether it was scheduled before, and the entry that says so.
    ///
    /// Errors: [`Error::ClientMessageIdConflict`], [`Error::TooManyScheduled`]; [`Error::SessionEnded`],
    /// [`Error::InvalidToken`].
    pub async fn schedule(
        &self,
        owner: UserNo,
        session_id: SessionId,
        message: &ScheduledMessage,
    ) -> Result<(ScheduledMessage, bool, Option<Entry>)> {
        transaction!(self, async |tx| {
            let place = Place::take_if_open(&tx, owner).await?;
            require_live(&tx, owner, session_id).await?;
            let place = place.ok_or_else(|| no_timeline(owner))?;
            if let Some(found) = find(&tx, owner, message.client_message_id).await? {
                let asked = ScheduledMessage { refusal: found.refusal.clone(), ..message.clone() };
                // Nothing is committed: the place is given back.
                return if asked == found {
                    Ok((found, true, None))
                } else {
                    Err(Error::ClientMessageIdConflict)
                };
            }
            if count_scheduled(&tx, owner).await? >= MOST_SCHEDULED {
                return Err(Error::TooManyScheduled);
            }
            insert_scheduled(&tx, owner, message).await?;
            hold_attachments(&tx, owner, message).await?;
            let event = changed(message, ScheduledState::Waiting);
            let entry = place.fill(&tx, About::default(), event).await?;
            tx.commit().await?;
            Ok((message.clone(), false, Some(entry)))
        })
    }

    /// Changes a scheduled message that waits, or was refused and is to be tried once more: what it is then, and the
    /// entry that says so; none where nothing has changed.
    ///
    /// Errors: [`Error::ScheduledNotFound`] for one that there is not, or that is on its way;
    /// [`Error::SessionEnded`], [`Error::InvalidToken`].
    pub async fn change_scheduled(
        &self,
        owner: UserNo,
        session_id: SessionId,
        client_message_id: Uuid,
        change: &ChangeScheduled,
    ) -> Result<(ScheduledMessage, Option<Entry>)> {
        transaction!(self, async |tx| {
            let place = Place::take_if_open(&tx, owner).await?;
            require_live(&tx, owner, session_id).await?;
            let place = place.ok_or_else(|| no_timeline(owner))?;
            let before = find_waiting(&tx, owner, client_message_id).await?;
            let after = ScheduledMessage {
                send_at: change.send_at.unwrap_or(before.send_at),
                content: change.content.clone().unwrap_or_else(|| before.content.clone()),
                // It is tried anew.
                refusal: None,
                ..before.clone()
            };
            if after == before {
                // Nothing is committed: the place is given back.
                return Ok((before, None));
            }
            let update = tx
                .prepare_cached(
                    "UPDATE scheduled_messages SET send_at = $3, due_at = $3, content_type = $4, body = $5,
                         refused = NULL, refusal = NULL
                     WHERE owner = $1 AND client_message_id = $2",
                )
                .await?;
            let values: [&(dyn ToSql + Sync); 5] = [
                &owner.0,
                &client_message_id,
                &after.send_at,
                &after.content.content_type(),
                &after.content.body().as_ref(),
            ];
            tx.execute(&update, &values).await?;
            let event = changed(&after, ScheduledState::Waiting);
            let entry = place.fill(&tx, About::default(), event).await?;
            tx.commit().await?;
            Ok((after, Some(entry)))
        })
    }

    /// Takes a scheduled message back: the entry that says so.
    ///
    /// Errors: [`Error::ScheduledNotFound`] for one that there is not, or that is on its way;
    /// [`Error::SessionEnded`], [`Error::InvalidToken`].
    pub async fn cancel_scheduled(
        &self,
        owner: UserNo,
        session_id: SessionId,
        client_message_id: Uuid,
    ) -> Result<Entry> {
        transaction!(self, async |tx| {
            let place = Place::take_if_open(&tx, owner).await?;
            require_live(&tx, owner, session_id).await?;
            let place = place.ok_or_else(|| no_timeline(owner))?;
            let message = find_waiting(&tx, owner, client_message_id).await?;
            delete(&tx, owner, client_message_id).await?;
            let event = changed(&message, ScheduledState::Cancelled);
            let entry = place.fill(&tx, About::default(), event).await?;
            tx.commit().await?;
            Ok(entry)
        })
    }

    /// The scheduled messages of a user behind a place, in the order of their times: at most `limit`.
    pub async fn scheduled(
        &self,
        owner: UserNo,
        after: (OffsetDateTime, Uuid),
        limit: i64,
    ) -> Result<Vec<ScheduledMessage>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM scheduled_messages
             WHERE owner = $1 AND (send_at, client_message_id) > ($2, $3)
             ORDER BY send_at, client_message_id LIMIT $4"
        );
        let rows = reading!(self, async |client| {
            let statement = client.prepare_cached(&sql).await?;
            Ok(client.query(&statement, &[&owner.0, &after.0, &after.1, &limit]).await?)
        })?;
        rows.iter().map(read).collect()
    }

    /// One scheduled message of a user.
    ///
    /// Errors: [`Error::ScheduledNotFound`].
    pub async fn scheduled_message(
        &self,
        owner: UserNo,
        client_message_id: Uuid,
    ) -> Result<ScheduledMessage> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM scheduled_messages WHERE owner = $1 AND client_message_id = $2"
            ))
            .await?;
        let row = client.query_opt(&statement, &[&owner.0, &client_message_id]).await?;
        read(&row.ok_or(Error::ScheduledNotFound)?)
    }

    /// Claims up to `limit` messages that are due, those that have waited for longest first.
    pub async fn claim_scheduled(&self, limit: i64) -> Result<Vec<DueMessage>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(&format!(
                "UPDATE scheduled_messages SET sending = true, due_at = now() + {RETRY}
                 WHERE (owner, client_message_id) IN (
                     SELECT owner, client_message_id FROM scheduled_messages
                     WHERE due_at <= now() AND refused IS NULL
                     ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
                 ) RETURNING owner, {COLUMNS}"
            ))
            .await?;
        let rows = client.query(&statement, &[&limit]).await?;
        let due =
            |row: &Row| Ok(DueMessage { owner: UserNo(row.get("owner")), message: read(row)? });
        let mut due: Vec<DueMessage> = rows.iter().map(due).collect::<Result<_>>()?;
        due.sort_by_key(|due| due.message.send_at);
        Ok(due)
    }

    /// Who a claimed message is of.
    ///
    /// Errors: [`Error::UserNotFound`] for a user that is deleted or may not log in.
    pub async fn sender_of_scheduled(&self, owner: UserNo) -> Result<UserId> {
        let client = self.client().await?;
        let statement =
            client.prepare_cached("SELECT user_id, state FROM users WHERE user_no = $1").await?;
        let row = client.query_one(&statement, &[&owner.0]).await?;
        let user_id = UserId::from_stored(row.get("user_id"));
        match read_state(&row) {
            UserState::Active => Ok(user_id),
            UserState::Disabled | UserState::Deleted | UserState::System => {
                Err(Error::UserNotFound(user_id))
            }
        }
    }

    /// Notes that a claimed message is not on its way: nothing of it was stored. It is tried again.
    pub async fn unclaim_scheduled(&self, owner: UserNo, client_message_id: Uuid) -> Result<()> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "UPDATE scheduled_messages SET sending = false
                 WHERE owner = $1 AND client_message_id = $2",
            )
            .await?;
        client.execute(&statement, &[&owner.0, &client_message_id]).await?;
        Ok(())
    }

    /// Notes what became of a claimed message: the entry that says so; none where it was noted before, or the owner is
    /// gone.
    pub async fn finish_scheduled(&self, due: &DueMessage) -> Result<Option<Entry>> {
        let DueMessage { owner, message } = due;
        let owner = *owner;
        transaction!(self, async |tx| {
            let place = Place::take_if_open(&tx, owner).await?;
            let state = match &message.refusal {
                None => {
                    if delete(&tx, owner, message.client_message_id).await? == 0 {
                        // Nothing is committed: the place is given back.
                        return Ok(None);
                    }
                    ScheduledState::Sent
                }
                Some(Refusal { code, message: text }) => {
                    let refuse = tx
                        .prepare_cached(
                            "UPDATE scheduled_messages SET refused = $3, refusal = $4, sending = false
                             WHERE owner = $1 AND client_message_id = $2 AND refused IS NULL",
                        )
                        .await?;
                    let id = message.client_message_id;
                    if tx.execute(&refuse, &[&owner.0, &id, code, text]).await? == 0 {
                        return Ok(None);
                    }
                    ScheduledState::Refused
                }
            };
            let entry = match place {
                Some(place) => {
                    Some(place.fill(&tx, About::default(), changed(message, state)).await?)
                }
                None => None,
            };
            tx.commit().await?;
            Ok(entry)
        })
    }
}

async fn find(
    tx: &Transaction<'_>,
    owner: UserNo,
    client_message_id: Uuid,
) -> Result<Option<ScheduledMessage>> {
    let statement = tx
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM scheduled_messages WHERE owner = $1 AND client_message_id = $2"
        ))
        .await?;
    let row = tx.query_opt(&statement, &[&owner.0, &client_message_id]).await?;
    row.as_ref().map(read).transpose()
}

/// A message that nobody is sending, which nobody begins to until the transaction ends.
///
/// Errors: [`Error::ScheduledNotFound`].
async fn find_waiting(
    tx: &Transaction<'_>,
    owner: UserNo,
    client_message_id: Uuid,
) -> Result<ScheduledMessage> {
    let statement = tx
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM scheduled_messages
             WHERE owner = $1 AND client_message_id = $2 AND NOT sending FOR UPDATE"
        ))
        .await?;
    let row = tx.query_opt(&statement, &[&owner.0, &client_message_id]).await?;
    read(&row.ok_or(Error::ScheduledNotFound)?)
}

async fn delete(tx: &Transaction<'_>, owner: UserNo, client_message_id: Uuid) -> Result<u64> {
    let statement = tx
        .prepare_cached(
            "DELETE FROM scheduled_messages WHERE owner = $1 AND client_message_id = $2",
        )
        .await?;
    let deleted = tx.execute(&statement, &[&owner.0, &client_message_id]).await?;
    release_scheduled(tx, owner, Some(client_message_id)).await?;
    Ok(deleted)
}
