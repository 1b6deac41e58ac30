//! The connections on which nodes of a database listen for hints over NOTIFY.

use tokio_postgres::Client;

use super::eventually;

const LISTENERS: &str = r#"
    FROM pg_stat_activity
    WHERE datname = current_database() AND query LIKE 'LISTEN "imd\_node\_%'"#;

/// Ends them; how many there were.
pub(crate) async fn end_listeners(sql: &Client) -> usize {
    rows(sql, &format!("SELECT pg_terminate_backend(pid) {LISTENERS}")).await
}

/// Waits until so many nodes listen, and ends their connections.
pub(crate) async fn cut_listeners(sql: &Client, nodes: usize) {
    let count = format!("SELECT pid {LISTENERS}");
    let all = async || (rows(sql, &count).await == nodes).then_some(());
    eventually("all nodes listen", all).await;
    assert_eq!(end_listeners(sql).await, nodes);
}

async fn rows(sql: &Client, query: &str) -> usize {
    sql.query(query, &[]).await.expect("the owner may").len()
}
