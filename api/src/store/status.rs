//! How large everything is.

use super::{Store, nodes::ALIVE};
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
        })
    }
}
