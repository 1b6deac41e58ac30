//! How large everything is.

use time::OffsetDateTime;
use tokio_postgres::Row;

use super::{Client, Store, nodes::ALIVE};
use crate::model::Result;

/// Above this many rows their number is an estimate.
const EXACT: i64 = 100_000;

/// Numbers for an administrator.
#[derive(Debug)]
pub struct Status {
    /// Accounts.
    pub users: i64,
    /// Live sessions.
    pub live_sessions: i64,
    /// Those with a stream open.
    pub online_sessions: i64,
    /// Entries of all timelines; an estimate above 100,000.
    pub entries: i64,
    /// The database's size on disk, in bytes.
    pub database_bytes: i64,
    /// PostgreSQL's version.
    pub postgres_version: String,
    /// Who has a copy of the database.
    pub replication: Replication,
}

/// Where the database is, and who has a copy of it.
#[derive(Debug)]
pub struct Replication {
    /// The server that takes writes, as it sees itself.
    pub primary: String,
    /// Whether commits wait for a standby.
    pub synchronous: bool,
    /// The servers that follow.
    pub standbys: Vec<Standby>,
    /// The generation of the database.
    pub generation: i16,
    /// When it started.
    pub generation_started_at: OffsetDateTime,
    /// Why it started.
    pub generation_reason: String,
}

/// A server that follows the primary. What is `None` the role may not see.
#[derive(Debug)]
pub struct Standby {
    /// Its name.
    pub name: Option<String>,
    /// Whether commits wait for it.
    pub synchronous: Option<bool>,
    /// By how many bytes of the log it is behind.
    pub lag_bytes: Option<i64>,
}

impl Store {
    /// Counts what can be counted cheaply and estimates the rest.
    pub async fn status(&self) -> Result<Status> {
        let client = self.patient_client().await?;
        let row = client
            .query_one(
                &format!(
                    "SELECT
                         (SELECT greatest(reltuples, 0)::bigint FROM pg_class
                          WHERE oid = 'users'::regclass) AS users_estimate,
                         (SELECT count(*) FROM (SELECT FROM users WHERE state <> 3 LIMIT $1::bigint + 1) u)
                             AS users,
                         (SELECT count(*) FROM sessions WHERE ended_at IS NULL) AS live_sessions,
                         (SELECT count(DISTINCT (p.user_no, p.session_id))
                          FROM login_points p JOIN nodes n USING (node_no)
                          WHERE p.user_no <> 0 AND {ALIVE}) AS online_sessions,
                         (SELECT greatest(reltuples, 0)::bigint FROM pg_class
                          WHERE oid = 'entries'::regclass) AS entries_estimate,
                         (SELECT count(*) FROM (SELECT FROM entries LIMIT $1::bigint + 1) e) AS entries,
                         pg_database_size(current_database()) AS database_bytes,
                         current_setting('server_version') AS postgres_version"
                ),
                &[&EXACT],
            )
            .await?;
        let number = |counted, estimate| match row.get::<_, i64>(counted) {
            exact @ ..=EXACT => exact,
            more => more.max(row.get(estimate)),
        };
        Ok(Status {
            users: number("users", "users_estimate"),
            live_sessions: row.get("live_sessions"),
            online_sessions: row.get("online_sessions"),
            entries: number("entries", "entries_estimate"),
            database_bytes: row.get("database_bytes"),
            postgres_version: row.get("postgres_version"),
            replication: replication(&client).await?,
        })
    }
}

pub(super) async fn replication(client: &Client) -> Result<Replication> {
    let server = client
        .query_one(
            "SELECT concat(coalesce(host(inet_server_addr()), 'localhost'), ':',
                 current_setting('port')) AS primary,
                 current_setting('synchronous_standby_names') <> '' AS synchronous,
                 g.generation, g.started_at, g.reason
             FROM generations g ORDER BY g.generation DESC LIMIT 1",
            &[],
        )
        .await?;
    let standbys = client
        .query(
            "SELECT application_name, sync_state IN ('sync', 'quorum') AS synchronous,
                 pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint AS lag_bytes
             FROM pg_stat_replication ORDER BY application_name, pid",
            &[],
        )
        .await?;
    let standby = |row: &Row| Standby {
        name: row.get("application_name"),
        synchronous: row.get("synchronous"),
        lag_bytes: row.get("lag_bytes"),
    };
    Ok(Replication {
        primary: server.get("primary"),
        synchronous: server.get("synchronous"),
        standbys: standbys.iter().map(standby).collect(),
        generation: server.get("generation"),
        generation_started_at: server.get("started_at"),
        generation_reason: server.get("reason"),
    })
}
