//! What PostgreSQL does meanwhile, as its own statistics tell.

use std::time::Duration;

use futures::FutureExt as _;
use tokio_postgres::{Client, Config, NoTls};

use crate::error::Error;

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
        // The parser's own words could quote the password.
        let config: Config =
            url.parse().map_err(|_| Error::Usage("--database: not a PostgreSQL URL".to_owned()))?;
        let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
        tokio::spawn(connection.map(drop));
        Ok(Self(client))
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

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failed(error: tokio_postgres::Error) -> Error {
    let cause = error.as_db_error().map(ToString::to_string);
    Error::Bench(format!("--database: {}", cause.unwrap_or_else(|| error.to_string())))
}
