//! Locks of the database that a test holds, as a slow or stopped node would.

use std::time::Duration;

use tokio_postgres::Client;

use super::until;
use crate::support::postgres::Database;

/// How long something may take to reach a lock.
const PATIENCE: Duration = Duration::from_secs(5);

/// The row of one user's timeline, locked until it is released. Nodes wait five seconds for a lock.
pub(crate) struct Held(Client);

impl Held {
    pub(crate) async fn timeline_of(user_id: &str, database: &Database) -> Self {
        let lock = "
            SELECT FROM timelines t JOIN users u ON u.user_no = t.owner
            WHERE u.user_id = $1 FOR UPDATE OF t";
        let sql = database.sql().await;
        sql.batch_execute("BEGIN").await.expect("a transaction");
        sql.query_one(lock, &[&user_id]).await.expect("a timeline");
        Self(sql)
    }

    /// Deletes the timeline too, as the end of its user will.
    pub(crate) async fn and_deleted(self, user_id: &str) -> Self {
        let delete = "DELETE FROM timelines t USING users u
            WHERE u.user_no = t.owner AND u.user_id = $1";
        assert_eq!(self.0.execute(delete, &[&user_id]).await.expect("a row"), 1);
        self
    }

    /// Commits.
    pub(crate) async fn release(self) {
        self.0.batch_execute("COMMIT").await.expect("a connection");
    }
}

/// Waits until `count` statements, or more, wait for locks.
pub(crate) async fn waiting_for_locks(count: i64, database: &Database) {
    let waits = "wait_event_type = 'Lock'";
    connections(waits, |waiting| waiting >= count, database).await;
}

/// Waits until no node has a statement or a transaction under way.
pub(crate) async fn nodes_are_quiet(database: &Database) {
    connections("application_name = 'imd' AND state <> 'idle'", |busy| busy == 0, database).await;
}

/// Waits until a transaction of a node waits for the node's next word, locks held.
pub(crate) async fn transaction_is_open(database: &Database) {
    let open = "application_name = 'imd' AND state = 'idle in transaction'";
    connections(open, |open| open > 0, database).await;
}

/// Waits until the number of connections that are `such` is right.
async fn connections(such: &str, right: impl Fn(i64) -> bool, database: &Database) {
    let sql = database.sql().await;
    let count = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND {such}"
    );
    until(such, PATIENCE, async || {
        let count: i64 = sql.query_one(&count, &[]).await.expect("a count").get(0);
        right(count).then_some(())
    })
    .await;
}
