//! Webhooks: servers of the customer's are told of what happens, at least once and in the order of each timeline
//! (I15).

mod delivery;
mod events;
mod faults;
mod receiver;
mod refused;
mod snippets;
mod state;
mod tls;
mod written;

use std::time::Duration;

use imd::config::Settings;

use crate::support::{api::Transport, cluster::Cluster, node::Node, postgres::Database};

/// How long a webhook may take to answer here.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Lets webhooks be on this machine.
fn local(settings: &mut Settings) {
    settings.webhooks.allow_private = true;
    settings.webhooks.timeout = TIMEOUT;
}

/// A cluster of a node whose webhooks may be on this machine.
async fn start(transport: Transport) -> Cluster {
    let database = Database::create().await;
    let node = Node::start_with(&database, local).await;
    Cluster::of(transport, database, node)
}

/// How many rows a table of the database has.
async fn count(imd: &Cluster, table: &str) -> i64 {
    let sql = imd.database.sql().await;
    let rows = sql.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await;
    rows.expect("a number").get(0)
}
