//! New numberings, for when seqs may have gone back.

use tokio_postgres::Row;

use super::{Audit, Store, transaction};
use crate::model::{Result, TimelineNo, UserNo};

/// A stamp that the timeline never had: neither before nor after the backup that the database was
/// restored from.
const NEW_EPOCH: &str = "epoch = greatest(t.epoch + 1, trunc(extract(epoch FROM now()))::bigint)";

impl Store {
    /// Starts a new numbering of one timeline; whether there is one.
    pub async fn renumber(&self, owner: UserNo, audit: Audit<'_>) -> Result<bool> {
        transaction!(self, async |tx| {
            let renumber = format!("UPDATE timelines t SET {NEW_EPOCH} WHERE owner = $1");
            if tx.execute(&renumber, &[&owner.0]).await? == 0 {
                return Ok(false);
            }
            audit.record(&tx, Some(owner)).await?;
            tx.commit().await?;
            Ok(true)
        })
    }

    /// Starts new numberings of up to `limit` timelines, those of the owners next after `after`: which
    /// they are, in order.
    pub async fn renumber_next(
        &self,
        after: TimelineNo,
        limit: i64,
        audit: Option<Audit<'_>>,
    ) -> Result<Vec<TimelineNo>> {
        transaction!(self, async |tx| {
            let rows = tx
                .query(
                    &format!(
                        "WITH next AS (
                         SELECT owner FROM timelines WHERE owner > $1 ORDER BY owner LIMIT $2
                         FOR NO KEY UPDATE
                     )
                     UPDATE timelines t SET {NEW_EPOCH} FROM next WHERE t.owner = next.owner
                     RETURNING t.owner"
                    ),
                    &[&after.0, &limit],
                )
                .await?;
            if let Some(audit) = &audit {
                audit.record(&tx, None).await?;
            }
            tx.commit().await?;
            let mut owners: Vec<TimelineNo> =
                rows.iter().map(|row: &Row| TimelineNo(row.get(0))).collect();
            owners.sort_unstable();
            Ok(owners)
        })
    }
}
