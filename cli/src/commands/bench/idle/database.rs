//! What PostgreSQL does meanwhile, as its own statistics tell.

use std::time::Duration;

use tokio_postgres::Client;

use crate::{
    commands::bench::database::{connect, failed},
    error::Error,
};

/// A connection to imd's database.
pub(super) struct Database(Client);

/// What all connections to the database have done so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Activity {
    pub(super) transactions: i64,
    pub(super) rows_read: i64,
    pub(super) rows_written: i64,
    /// How long they were at work, all together; more than the processors were, since it counts waiting.
    pub(super) active: Duration,
}

impl Database {
    pub(super) async fn connect(url: &str) -> Result<Self, Error> {
        connect(url).await.map(Self)
    }

    pub(super) async fn activity(&self) -> Result<Activity, Error> {
        let statement = "
            SELECT xact_commit + xact_rollback, tup_fetched, tup_inserted + tup_updated + tup_deleted,
                active_time
            FROM pg_stat_database WHERE datname = current_database()";
        let row = self.0.query_one(statement, &[]).await.map_err(failed)?;
        Ok(Activity {
            transactions: row.get(0),
            rows_read: row.get(1),
            rows_written: row.get(2),
            active: Duration::from_secs_f64(row.get::<_, f64>(3) / 1_000.0),
        })
    }
}
