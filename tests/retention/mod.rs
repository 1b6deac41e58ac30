//! Retention: how far back a user sees, and what is deleted when (I8, I12).

mod changes;
mod properties;
mod purge;
mod quota;
mod reads;
mod retries;
mod tiers;

use crate::support::{cluster::Cluster, types::Entry};

/// The seconds of a day.
const DAY: i64 = 24 * 60 * 60;

/// Makes the newest entry of each timeline half a day old, the one before it a day and a half, and so
/// on: the lower the seq, the older.
async fn age(imd: &Cluster) {
    let sql = imd.database.sql().await;
    let age = "
        UPDATE entries e SET appended_at = now() - make_interval(hours => (24 * (t.last_seq - e.seq) + 12)::int)
        FROM timelines t WHERE t.owner = e.owner;
        UPDATE timelines SET last_at = now() - interval '12 hours';
        UPDATE users SET created_at = now() - interval '1 year'";
    sql.batch_execute(age).await.expect("entries of several days");
}

/// Makes every limit a year old.
async fn age_limits(imd: &Cluster) {
    let sql = imd.database.sql().await;
    let age = "
        UPDATE tiers SET changed_at = now() - interval '1 year';
        UPDATE users SET limits_changed_at = now() - interval '1 year'";
    sql.batch_execute(age).await.expect("old limits");
}

fn seqs(entries: &[Entry]) -> Vec<i64> {
    entries.iter().map(|entry| entry.seq).collect()
}
