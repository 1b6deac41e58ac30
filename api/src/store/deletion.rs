//! Deleting users. First the account goes, in one transaction; then, batch by batch, the timeline and
//! all else that is the user's; and where that is wanted, what the user sent to others (see
//! [`super::erasure`]). What is left is a tombstone: the row of the user with its id.

use super::{
    Audit, Ending, SessionsEnded, Store, Transaction, Which,
    attachments::{release_between, release_scheduled},
    outbox::tell_of_user,
    purge::NOTE_PURGED,
    search::forget_words_between,
    sessions::end_named,
    timelines::{Closed, Place},
    transaction,
    users::DELETED,
};
use crate::model::{EndReason, EventKind, Result, UserNo};

/// How long a deletion rests before somebody else takes it up.
const RESTING: &str = "interval '1 minute'";

/// What a call to delete a user found.
#[derive(Debug)]
pub enum Deletion {
    /// The account is gone with this call.
    Begun(Box<SessionsEnded>),
    /// It was gone before; batches are left.
    GoesOn,
    /// There is nothing left of it.
    Done,
}

/// How much of a user is left to delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remains {
    /// Entries of its timeline.
    pub entries: i64,
    /// Peers whose copies are to be erased, as far as they are known.
    pub peers: i64,
}

impl Store {
    /// Deletes the account: ends every live session (`USER_DELETED`), lets nobody log in or send to it
    /// any more, and marks the rest for deletion. The terminals get to see the note. Repeated, it only
    /// adds the wish to erase what the user sent.
    pub async fn begin_deletion(
        &self,
        user_no: UserNo,
        erase_sent: bool,
        note: &str,
        audit: Audit<'_>,
    ) -> Result<Deletion> {
        transaction!(self, async |tx| {
            let timeline = tx
                .query_opt("SELECT state FROM timelines WHERE owner = $1 FOR UPDATE", &[&user_no.0])
                .await?;
            let Some(timeline) = timeline else { return Ok(Deletion::Done) };
            let deletion = if Closed::read(timeline.get("state")) == Some(Closed::Deleted) {
                Deletion::GoesOn
            } else {
                Deletion::Begun(Box::new(delete_account(&tx, user_no, note).await?))
            };
            tx.execute(
                "INSERT INTO deletions (user_no, erase_sent) VALUES ($1, $2)
             ON CONFLICT (user_no) DO UPDATE
             SET erase_sent = deletions.erase_sent OR excluded.erase_sent, worked_at = now()",
                &[&user_no.0, &erase_sent],
            )
            .await?;
            let ended = match &deletion {
                Deletion::Begun(ended) => ended.ended.len(),
                Deletion::GoesOn | Deletion::Done => 0,
            };
            audit.ended(ended).record(&tx, Some(user_no)).await?;
            tx.commit().await?;
            self.directory().forget(user_no);
            Ok(deletion)
        })
    }

    /// A deletion that nobody works at, taken up with this call; `None` when there is none.
    pub async fn take_up_deletion(&self) -> Result<Option<UserNo>> {
        let client = self.client().await?;
        let row = client
            .query_opt(
                &format!(
                    "UPDATE deletions SET worked_at = now() WHERE user_no = (
                         SELECT user_no FROM deletions WHERE worked_at < now() - {RESTING}
                         ORDER BY worked_at LIMIT 1 FOR UPDATE SKIP LOCKED
                     ) RETURNING user_no"
                ),
                &[],
            )
            .await?;
        Ok(row.map(|row| UserNo(row.get(0))))
    }

    /// How much of a user whose account is gone is left.
    pub async fn remains(&self, user_no: UserNo) -> Result<Remains> {
        let client = self.client().await?;
        let row = client
            .query_one(
                "SELECT coalesce((SELECT last_seq - purged_to FROM timelines WHERE owner = $1), 0)
                         AS entries,
                     (SELECT count(*) FROM deletion_peers p JOIN deletions d USING (user_no)
                      WHERE p.user_no = $1 AND d.erase_sent) AS peers",
                &[&user_no.0],
            )
            .await?;
        Ok(Remains { entries: row.get("entries"), peers: row.get("peers") })
    }

    /// Deletes the next rows of a user whose account is gone, at most `limit`: how many of them were
    /// entries; `None` when there were no rows at all. Keeps in mind whom the user talked to.
    pub async fn delete_batch(&self, user_no: UserNo, limit: i64) -> Result<Option<i64>> {
        transaction!(self, async |tx| {
            let entries = delete_entries(&tx, user_no, limit).await?;
            if entries == 0 && !delete_others(&tx, user_no, limit).await? {
                return Ok(None);
            }
            tx.execute("UPDATE deletions SET worked_at = now() WHERE user_no = $1", &[&user_no.0])
                .await?;
            tx.commit().await?;
            Ok(Some(entries))
        })
    }

    /// Deletes the counter of an empty timeline, and with it the last trace of a user but the
    /// tombstone: whether that is done. It is not while copies are left to be erased.
    pub async fn finish_deletion(&self, user_no: UserNo) -> Result<bool> {
        transaction!(self, async |tx| {
            // Behind this lock no wish to erase can be added any more.
            tx.query_opt("SELECT FROM timelines WHERE owner = $1 FOR UPDATE", &[&user_no.0])
                .await?;
            let left = tx
                .query_opt(
                    "SELECT FROM deletions JOIN deletion_peers USING (user_no)
                 WHERE user_no = $1 AND erase_sent LIMIT 1",
                    &[&user_no.0],
                )
                .await?;
            if left.is_some() {
                return Ok(false);
            }
            for statement in [
                "DELETE FROM deletion_peers WHERE user_no = $1",
                "DELETE FROM deletions WHERE user_no = $1",
                "DELETE FROM search_progress WHERE owner = $1",
                "DELETE FROM timelines WHERE owner = $1",
            ] {
                tx.execute(statement, &[&user_no.0]).await?;
            }
            tx.commit().await?;
            Ok(true)
        })
    }
}

/// Behind the lock of the timeline.
async fn delete_account(
    tx: &Transaction<'_>,
    user_no: UserNo,
    note: &str,
) -> Result<SessionsEnded> {
    let ended = match Place::take_if_open(tx, user_no).await? {
        Some(place) => {
            let ending =
                Ending { note: note.to_owned(), ..Ending::because(EndReason::UserDeleted) };
            end_named(tx, place, user_no, &Which::All, &ending).await?
        }
        // Of a user whose messages are being imported nobody is logged in.
        None => SessionsEnded { ended: Vec::new(), entry: None },
    };
    tx.execute(
        "UPDATE users SET state = $2, password_hash = NULL, name = NULL, avatar_url = NULL,
             attributes = NULL, deleted_at = now(), deletion_note = $3
         WHERE user_no = $1",
        &[&user_no.0, &DELETED, &note],
    )
    .await?;
    tx.execute(
        "UPDATE timelines SET state = $2 WHERE owner = $1",
        &[&user_no.0, &(Closed::Deleted as i16)],
    )
    .await?;
    tx.execute("DELETE FROM imports WHERE owner = $1", &[&user_no.0]).await?;
    tx.execute("DELETE FROM profile_walks WHERE user_no = $1", &[&user_no.0]).await?;
    tell_of_user(tx, user_no, EventKind::UserDeleted).await?;
    Ok(ended)
}

/// Deletes the oldest entries: how many. A stream that reads meanwhile finds them purged, and the entry
/// that ends it last of all.
async fn delete_entries(tx: &Transaction<'_>, user_no: UserNo, limit: i64) -> Result<i64> {
    let row = tx
        .query_opt(
            "SELECT purged_to, least(last_seq, purged_to + $2) AS last FROM timelines
             WHERE owner = $1 AND state = $3 FOR UPDATE",
            &[&user_no.0, &limit, &(Closed::Deleted as i16)],
        )
        .await?;
    let Some(row) = row else { return Ok(0) };
    let (purged_to, to): (i64, i64) = (row.get("purged_to"), row.get("last"));
    if to == purged_to {
        return Ok(0);
    }
    tx.execute(
        &format!(
            "WITH gone AS (
                 DELETE FROM entries WHERE owner = $1 AND seq > $2 AND seq <= $3
                 RETURNING conversation, home_seq
             ), {NOTE_PURGED}
             INSERT INTO deletion_peers (user_no, peer)
             SELECT DISTINCT $1::bigint, conversation FROM gone WHERE conversation <> $1
             ON CONFLICT DO NOTHING"
        ),
        &[&user_no.0, &purged_to, &to],
    )
    .await?;
    forget_words_between(tx, user_no.into(), purged_to, to).await?;
    release_between(tx, user_no.into(), purged_to, to).await?;
    tx.execute("UPDATE timelines SET purged_to = $2 WHERE owner = $1", &[&user_no.0, &to]).await?;
    Ok(to - purged_to)
}

/// Deletes rows of other tables: whether there were any. What they say of conversations whose messages
/// are purged is not lost: who deletes an own message marks the conversation as read.
async fn delete_others(tx: &Transaction<'_>, user_no: UserNo, limit: i64) -> Result<bool> {
    let batches = [
        // All entries are gone but what is kept of purged messages.
        "DELETE FROM entries WHERE owner = $1 AND seq IN (
             SELECT seq FROM entries WHERE owner = $1 LIMIT $2
         ) RETURNING owner"
            .to_owned(),
        "DELETE FROM message_edits WHERE home = $1 AND (home_seq, edit_no) IN (
             SELECT home_seq, edit_no FROM message_edits WHERE home = $1 LIMIT $2
         ) RETURNING home"
            .to_owned(),
        "DELETE FROM scheduled_messages WHERE owner = $1 AND client_message_id IN (
             SELECT client_message_id FROM scheduled_messages WHERE owner = $1 LIMIT $2
         ) RETURNING owner"
            .to_owned(),
        "DELETE FROM pinned_messages WHERE owner = $1 AND seq IN (
             SELECT seq FROM pinned_messages WHERE owner = $1 LIMIT $2
         ) RETURNING owner"
            .to_owned(),
        "DELETE FROM reactions WHERE home = $1 AND (home_seq, reaction, user_no) IN (
             SELECT home_seq, reaction, user_no FROM reactions WHERE home = $1 LIMIT $2
         ) RETURNING home"
            .to_owned(),
        delete_keeping_peers("purged_conversations"),
        "DELETE FROM sent_bytes WHERE owner = $1 AND $2::bigint > 0 RETURNING owner".to_owned(),
        delete_keeping_peers("read_marks"),
        // Each of them is of a conversation that still has entries or had some that were purged.
        "DELETE FROM conversations WHERE owner = $1 AND conversation IN (
             SELECT conversation FROM conversations WHERE owner = $1 LIMIT $2
         ) RETURNING owner"
            .to_owned(),
        "DELETE FROM undelivered WHERE owner = $1 AND $2::bigint > 0 RETURNING owner".to_owned(),
        "DELETE FROM quiet_hours WHERE user_no = $1 AND $2::bigint > 0 RETURNING user_no"
            .to_owned(),
        "DELETE FROM drafts WHERE owner = $1 AND conversation IN (
             SELECT conversation FROM drafts WHERE owner = $1 LIMIT $2
         ) RETURNING owner"
            .to_owned(),
        "DELETE FROM conversation_settings WHERE owner = $1 AND conversation IN (
             SELECT conversation FROM conversation_settings WHERE owner = $1 LIMIT $2
         ) RETURNING owner"
            .to_owned(),
        "DELETE FROM conversation_lists WHERE owner = $1 AND $2::bigint > 0 RETURNING owner"
            .to_owned(),
        "DELETE FROM blocks WHERE owner = $1 AND blocked IN (
             SELECT blocked FROM blocks WHERE owner = $1 LIMIT $2
         ) RETURNING owner"
            .to_owned(),
        "DELETE FROM push_tokens WHERE user_no = $1 AND session_id IN (
             SELECT session_id FROM push_tokens WHERE user_no = $1 LIMIT $2
         ) RETURNING user_no"
            .to_owned(),
        "DELETE FROM sessions WHERE user_no = $1 AND session_id IN (
             SELECT session_id FROM sessions WHERE user_no = $1 LIMIT $2
         ) RETURNING user_no"
            .to_owned(),
    ];
    if release_scheduled(tx, user_no, None).await? > 0 {
        return Ok(true);
    }
    for batch in &batches {
        if !tx.query(batch, &[&user_no.0, &limit]).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Deletes up to `$2` of the rows that `table` has for conversations of `$1`, and keeps in mind with whom
/// they were.
fn delete_keeping_peers(table: &str) -> String {
    format!(
        "WITH gone AS (
             DELETE FROM {table} WHERE owner = $1 AND conversation IN (
                 SELECT conversation FROM {table} WHERE owner = $1 LIMIT $2
             ) RETURNING conversation
         ), kept AS (
             INSERT INTO deletion_peers (user_no, peer)
             SELECT $1, conversation FROM gone WHERE conversation <> $1 ON CONFLICT DO NOTHING
         )
         SELECT FROM gone LIMIT 1"
    )
}
