//! The connections on which nodes of a database listen for hints over NOTIFY.

use tokio_postgres::Client;

const LISTENERS: &str =
    "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";

/// How many there are.
pub(crate) async fn count_listeners(sql: &Client) -> usize {
    rows(sql, &format!("SELECT pid {LISTENERS}")).await
}

/// Ends them; how many there were.
pub(crate) async fn end_listeners(sql: &Client) -> usize {
    rows(sql, &format!("SELECT pg_terminate_backend(pid) {LISTENERS}")).await
}

async fn rows(sql: &Client, query: &str) -> usize {
    sql.query(query, &[]).await.expect("the owner may").len()
}
