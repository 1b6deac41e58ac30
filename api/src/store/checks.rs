//! What the database's server says of itself: whether it keeps what is committed, and whether it has room.

use std::time::Duration;

use time::OffsetDateTime;

use super::Store;
use crate::model::Result;

/// How the database's server is set up, and how it does. What is `None` the role may not see.
#[derive(Debug)]
pub struct ServerState {
    /// Its version.
    pub version: String,
    /// Whether what is committed is on disk: `fsync`.
    pub fsync: bool,
    /// Whether a page that was half written is mended: `full_page_writes`.
    pub full_page_writes: bool,
    /// When a commit counts as done, for imd: `synchronous_commit`.
    pub synchronous_commit: String,
    /// Whether it cleans up by itself: `autovacuum`.
    pub autovacuum: bool,
    /// How many connections it takes, but for superusers.
    pub max_connections: i64,
    /// How many there are, of everybody.
    pub connections: i64,
    /// How many transactions ago the oldest row of imd's database was written that is not frozen yet. At 2³¹ it stops.
    pub transactions_unfrozen: i64,
    /// How long the longest of the transactions has been open that imd's role may see.
    pub longest_transaction: Duration,
    /// How many WAL files were not archived since the last one that was; zero without archiving.
    pub archive_failures: Option<i64>,
    /// Its clock, when it answered.
    pub now: OffsetDateTime,
}

impl Store {
    /// How the database's server is set up, and how it does.
    pub async fn server_state(&self) -> Result<ServerState> {
        let client = self.client().await?;
        let row = client
            .query_one(
                "SELECT current_setting('server_version') AS version,
                     current_setting('fsync')::boolean AS fsync,
                     current_setting('full_page_writes')::boolean AS full_page_writes,
                     current_setting('synchronous_commit') AS synchronous_commit,
                     current_setting('autovacuum')::boolean AS autovacuum,
                     current_setting('max_connections')::bigint
                         - current_setting('superuser_reserved_connections')::bigint AS max_connections,
                     (SELECT count(*) FROM pg_stat_activity WHERE datname IS NOT NULL) AS connections,
                     (SELECT age(datfrozenxid)::bigint FROM pg_database WHERE datname = current_database())
                         AS transactions_unfrozen,
                     (SELECT coalesce(extract(epoch FROM max(clock_timestamp() - xact_start)), 0)::float8
                      FROM pg_stat_activity WHERE datname = current_database()) AS longest_transaction,
                     (SELECT CASE WHEN last_failed_time > coalesce(last_archived_time, '-infinity')
                                 THEN failed_count ELSE 0 END
                      FROM pg_stat_archiver) AS archive_failures,
                     clock_timestamp() AS now",
                &[],
            )
            .await?;
        let longest: f64 = row.get("longest_transaction");
        Ok(ServerState {
            version: row.get("version"),
            fsync: row.get("fsync"),
            full_page_writes: row.get("full_page_writes"),
            synchronous_commit: row.get("synchronous_commit"),
            autovacuum: row.get("autovacuum"),
            max_connections: row.get("max_connections"),
            connections: row.get("connections"),
            transactions_unfrozen: row.get("transactions_unfrozen"),
            longest_transaction: Duration::try_from_secs_f64(longest).unwrap_or_default(),
            archive_failures: row.get("archive_failures"),
            now: row.get("now"),
        })
    }

    /// Who has a copy of the database.
    pub async fn replication(&self) -> Result<super::Replication> {
        super::status::replication(&self.client().await?).await
    }
}
