//! What is kept of purged messages. A sender may send a message again long after its copies are gone
//! (I7), so of its own copy the purge leaves the row, with its ids, the hash of the content and the
//! places of the other copies, and without a body. Such a row lies at or below `timelines.purged_to`,
//! where no read of a timeline begins, and is marked as deleted, so that it stands in no conversation.

use std::time::Duration;

use uuid::Uuid;

use super::{
    Store, Transaction, conversations::IN_CONVERSATION, entries::KIND_MESSAGE, purge::NOTE_PURGED,
};
use crate::model::{Result, Tombstone, UserNo};

/// Purges the entries of a timeline after `after` and up to `to`, and keeps what tells a retry of those
/// that the owner sent less than `dedupe_for` ago. Behind the lock of the timeline.
pub(super) async fn purge_entries(
    tx: &Transaction<'_>,
    owner: UserNo,
    after: i64,
    to: i64,
    dedupe_for: Duration,
) -> Result<()> {
    // A conversation loses nothing by an event about it, nor by what its owner had deleted.
    let statement = tx
        .prepare_cached(&format!(
            "WITH gone AS MATERIALIZED (
                 SELECT seq, conversation, kind, tombstone, home_seq,
                     kind = $5 AND client_message_id IS NOT NULL
                         AND appended_at > now() - make_interval(secs => $4) AS kept
                 FROM entries WHERE owner = $1 AND seq > $2 AND seq <= $3
             ), deleted AS (
                 DELETE FROM entries e USING gone g
                 WHERE e.owner = $1 AND e.seq = g.seq AND NOT g.kept
             ), blanked AS (
                 UPDATE entries e SET tombstone = $6, content_type = NULL, body = '', reactions = NULL,
                         forwarded_from = NULL, forwarded_at = NULL, attachments = NULL
                 FROM gone g
                 WHERE e.owner = $1 AND e.seq = g.seq AND g.kept AND g.tombstone IS DISTINCT FROM $6
             ), forgotten AS (
                 DELETE FROM message_edits WHERE home = $1 AND home_seq > $2 AND home_seq <= $3
             ), unpinned AS (
                 DELETE FROM pinned_messages WHERE owner = $1 AND seq > $2 AND seq <= $3
             ), unreacted AS (
                 DELETE FROM reactions WHERE home = $1 AND home_seq > $2 AND home_seq <= $3
             ), {NOTE_PURGED}
             INSERT INTO purged_conversations (owner, conversation)
             SELECT DISTINCT $1::bigint, conversation FROM gone WHERE {IN_CONVERSATION}
             ON CONFLICT DO NOTHING"
        ))
        .await?;
    let deleted = Tombstone::Deleted as i16;
    let dedupe_for = dedupe_for.as_secs_f64();
    tx.execute(&statement, &[&owner.0, &after, &to, &dedupe_for, &KIND_MESSAGE, &deleted]).await?;
    Ok(())
}

impl Store {
    /// Whether a message that its sender gave this id stands, or is known to have stood.
    pub async fn was_sent(&self, sender: UserNo, client_message_id: Uuid) -> Result<bool> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT EXISTS (SELECT FROM entries WHERE owner = $1 AND client_message_id = $2)",
            )
            .await?;
        Ok(client.query_one(&statement, &[&sender.0, &client_message_id]).await?.get(0))
    }

    /// Deletes what was kept of purged messages that were sent `dedupe_for` ago or earlier, in the
    /// timelines of the owners after `after` and up to `to`: at most `limit` rows, and how many. The
    /// oldest of each timeline tells whether there are any, so a call costs a probe for each timeline.
    pub async fn forget_purged_ids(
        &self,
        after: UserNo,
        to: UserNo,
        dedupe_for: Duration,
        limit: i64,
    ) -> Result<i64> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "WITH due AS MATERIALIZED (
                     SELECT t.owner, kept.seq
                     FROM (SELECT owner, purged_to, now() - make_interval(secs => $3) AS sent_until
                           FROM timelines WHERE owner > $1 AND owner <= $2 AND purged_to > 0) t
                     CROSS JOIN LATERAL (
                         SELECT appended_at FROM entries
                         WHERE owner = t.owner AND seq <= t.purged_to ORDER BY seq LIMIT 1
                     ) oldest
                     CROSS JOIN LATERAL (
                         SELECT seq, appended_at FROM entries
                         WHERE owner = t.owner AND seq <= t.purged_to ORDER BY seq LIMIT $4
                     ) kept
                     WHERE oldest.appended_at <= t.sent_until AND kept.appended_at <= t.sent_until
                     LIMIT $4
                 )
                 DELETE FROM entries e USING due d WHERE e.owner = d.owner AND e.seq = d.seq",
            )
            .await?;
        let deleted = client
            .execute(&statement, &[&after.0, &to.0, &dedupe_for.as_secs_f64(), &limit])
            .await?;
        Ok(i64::try_from(deleted).unwrap_or(limit))
    }
}
