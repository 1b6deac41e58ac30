//! Purging groups: what stands in a group's timeline goes when no timeline of a member, or of who was one,
//! refers to it any more. The limits of members' tiers apply to their references alone, so it is the purge
//! of those that moves `group_members.purged_to`, and this one follows behind the slowest.

use crate::{
    model::{GroupNo, Result, TimelineNo},
    store::{
        PurgeLook, PurgedBatch, Store, Transaction, attachments::release_between, purge::read_look,
        search::forget_words_between, transaction,
    },
};

/// Selects, of a group's timeline `t`, the lowest place that a purge has to leave. Who has left, or was
/// removed, or has been deleted, counts until the last reference is gone.
const FLOOR: &str = "least(t.last_seq + 1, (
     SELECT min(m.purged_to) + 1 FROM group_members m
     WHERE m.group_no = -t.owner AND (m.left_seq IS NULL OR m.purged_to < m.left_seq)
 ))";

impl Store {
    /// Looks at the next `limit` groups after `after`, in the order of their numbers, for those with
    /// entries that nobody's timeline refers to, and for dissolved ones of which nothing is left.
    pub async fn purgeable_groups(&self, after: GroupNo, limit: i64) -> Result<PurgeLook> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(&format!(
                "SELECT t.owner, {FLOOR} > t.purged_to + 1
                     OR (t.state <> 1 AND t.purged_to = t.last_seq) AS purgeable
                 FROM timelines t WHERE t.owner < $1 ORDER BY t.owner DESC LIMIT $2"
            ))
            .await?;
        let timeline = TimelineNo::from(after);
        Ok(read_look(&client.query(&statement, &[&timeline.0, &limit]).await?))
    }

    /// Deletes up to `limit` entries of a group's timeline that nobody's timeline refers to, the oldest
    /// first; of a dissolved group in the end the timeline itself and all else but its id, which is not
    /// given out again.
    pub async fn purge_group_batch(&self, group_no: GroupNo, limit: i64) -> Result<PurgedBatch> {
        let timeline = TimelineNo::from(group_no);
        transaction!(self, async |tx| {
            // Whoever is admitted waits for the end of this batch.
            let lock = "SELECT FROM timelines WHERE owner = $1 FOR UPDATE";
            tx.execute(lock, &[&timeline.0]).await?;
            let row = tx
                .query_opt(
                    &format!(
                        "SELECT t.purged_to, t.last_seq, t.state = 3 AS dissolved, {FLOOR} AS floor
                         FROM timelines t WHERE t.owner = $1"
                    ),
                    &[&timeline.0],
                )
                .await?;
            let Some(row) = row else { return Ok(PurgedBatch::default()) };
            let (purged_to, floor): (i64, i64) = (row.get("purged_to"), row.get("floor"));
            let to = (floor - 1).min(purged_to + limit);
            if to > purged_to {
                tx.execute(
                    "DELETE FROM entries WHERE owner = $1 AND seq > $2 AND seq <= $3",
                    &[&timeline.0, &purged_to, &to],
                )
                .await?;
                tx.execute(
                    "DELETE FROM message_edits WHERE home = $1 AND home_seq > $2 AND home_seq <= $3",
                    &[&timeline.0, &purged_to, &to],
                )
                .await?;
                tx.execute(
                    "DELETE FROM pinned_messages WHERE owner = $1 AND seq > $2 AND seq <= $3",
                    &[&timeline.0, &purged_to, &to],
                )
                .await?;
                tx.execute(
                    "DELETE FROM reactions WHERE home = $1 AND home_seq > $2 AND home_seq <= $3",
                    &[&timeline.0, &purged_to, &to],
                )
                .await?;
                forget_words_between(&tx, timeline, purged_to, to).await?;
                release_between(&tx, timeline, purged_to, to).await?;
                let moved = "UPDATE timelines SET purged_to = $2 WHERE owner = $1";
                tx.execute(moved, &[&timeline.0, &to]).await?;
            }
            if row.get("dissolved") && to == row.get::<_, i64>("last_seq") {
                forget(&tx, group_no).await?;
            }
            tx.commit().await?;
            Ok(PurgedBatch { entries: to - purged_to, more: to < floor - 1 })
        })
    }
}

/// Deletes what is left of a dissolved group beside its id.
async fn forget(tx: &Transaction<'_>, group_no: GroupNo) -> Result<()> {
    for statement in [
        "DELETE FROM group_members WHERE group_no = $1",
        "DELETE FROM timelines WHERE owner = -$1::bigint",
        "DELETE FROM search_progress WHERE owner = -$1::bigint",
        "UPDATE groups SET name = '', announcement = '', attributes = '{}' WHERE group_no = $1",
    ] {
        tx.execute(statement, &[&group_no.0]).await?;
    }
    Ok(())
}
