//! The purge: deleting what has been hidden for long enough.

use std::time::Duration;

use tokio_postgres::Row;

use super::{
    Store, attachments::release_between, connection::Link, conversation_list::forget_purged,
    dedupe::purge_entries, retention::purge_floor, search::forget_words_between, transaction,
};
use crate::model::{Result, TimelineNo, UserNo};

/// Held by the one node that purges. Any fixed number.
const PURGE_LOCK: i64 = 0x696d_6402;

/// The time before which an entry must have been hidden to go; `$2` is for how long, in seconds.
const HIDDEN_BEFORE: &str = "(now() - make_interval(secs => $2))";

/// A CTE that notes which references to groups' timelines a user `$1` has no longer, in `gone`.
pub(super) const NOTE_PURGED: &str = "purged_references AS (
     UPDATE group_members m SET purged_to = greatest(m.purged_to, g.home_seq)
     FROM (SELECT conversation, max(home_seq) AS home_seq FROM gone
           WHERE conversation < 0 GROUP BY conversation) g
     WHERE m.group_no = -g.conversation AND m.user_no = $1
 )";

/// What one batch did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PurgedBatch {
    /// Entries deleted.
    pub entries: i64,
    /// Whether the timeline holds more to delete.
    pub more: bool,
}

/// What there is to purge in a stretch of timelines.
#[derive(Debug)]
pub struct PurgeLook {
    /// Which timelines hold something to delete.
    pub purgeable: Vec<TimelineNo>,
    /// How many timelines were looked at.
    pub timelines: i64,
    /// The last of them; `None` when there was none.
    pub last: Option<TimelineNo>,
}

/// The right to purge; gone when this is dropped, or with the connection or the node.
pub struct PurgeTurn {
    _link: Link,
}

impl Store {
    /// Takes the turn to purge; `None` when another node has it.
    pub async fn take_purge_turn(&self) -> Result<Option<PurgeTurn>> {
        // A connection of its own: the lock is the session's.
        let link = self.0.connector.open(&[]).await?;
        let row = link.client.query_one("SELECT pg_try_advisory_lock($1)", &[&PURGE_LOCK]).await?;
        Ok(row.get::<_, bool>(0).then_some(PurgeTurn { _link: link }))
    }

    /// How many timelines there are.
    pub async fn count_timelines(&self) -> Result<i64> {
        let client = self.patient_client().await?;
        Ok(client.query_one("SELECT count(*) FROM timelines", &[]).await?.get(0))
    }

    /// Looks at the next `limit` timelines after that of `after`, in the order of their owners' numbers,
    /// for those with entries that were hidden for `hidden_for`.
    pub async fn purgeable(
        &self,
        after: UserNo,
        hidden_for: Duration,
        limit: i64,
    ) -> Result<PurgeLook> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(&format!(
                "WITH RECURSIVE {}
                 SELECT owner, floor > purged_to + 1 AS purgeable FROM purge_floor ORDER BY owner",
                purge_floor("WHERE owner > $1 ORDER BY owner LIMIT $3", HIDDEN_BEFORE)
            ))
            .await?;
        let rows = client.query(&statement, &[&after.0, &hidden_for.as_secs_f64(), &limit]).await?;
        Ok(read_look(&rows))
    }

    /// Deletes up to `limit` of a timeline's entries that were hidden for `hidden_for`, the oldest
    /// first, and keeps what tells a retry of those that were sent less than `dedupe_for` ago. What it
    /// may delete is found under the lock, so a change of limits is never missed.
    pub async fn purge_batch(
        &self,
        owner: UserNo,
        hidden_for: Duration,
        dedupe_for: Duration,
        limit: i64,
    ) -> Result<PurgedBatch> {
        transaction!(self, async |tx| {
            let row = tx
                .query_opt(
                    "SELECT purged_to FROM timelines WHERE owner = $1 FOR UPDATE",
                    &[&owner.0],
                )
                .await?;
            // Gone with its user.
            let Some(row) = row else { return Ok(PurgedBatch::default()) };
            let purged_to: i64 = row.get(0);
            // Whoever changes the limits waits for the end of this batch.
            tx.execute("SELECT FROM users WHERE user_no = $1 FOR SHARE", &[&owner.0]).await?;
            tx.execute(
                "SELECT FROM tiers
                 WHERE name = (SELECT tier FROM users WHERE user_no = $1) FOR SHARE",
                &[&owner.0],
            )
            .await?;
            let floor: i64 = tx
                .query_one(
                    &format!(
                        "WITH RECURSIVE {} SELECT floor FROM purge_floor",
                        purge_floor("WHERE owner = $1", HIDDEN_BEFORE)
                    ),
                    &[&owner.0, &hidden_for.as_secs_f64()],
                )
                .await?
                .get(0);
            let to = (floor - 1).min(purged_to + limit);
            if to <= purged_to {
                return Ok(PurgedBatch::default());
            }
            purge_entries(&tx, owner, purged_to, to, dedupe_for).await?;
            forget_purged(&tx, owner, to).await?;
            forget_words_between(&tx, owner.into(), purged_to, to).await?;
            release_between(&tx, owner.into(), purged_to, to).await?;
            tx.execute("UPDATE timelines SET purged_to = $2 WHERE owner = $1", &[&owner.0, &to])
                .await?;
            tx.commit().await?;
            Ok(PurgedBatch { entries: to - purged_to, more: to < floor - 1 })
        })
    }
}

/// Reads the columns `owner` and `purgeable`.
pub(super) fn read_look(rows: &[Row]) -> PurgeLook {
    let owner = |row: &Row| TimelineNo(row.get("owner"));
    PurgeLook {
        purgeable: rows.iter().filter(|row| row.get("purgeable")).map(owner).collect(),
        timelines: i64::try_from(rows.len()).unwrap_or(i64::MAX),
        last: rows.last().map(owner),
    }
}
