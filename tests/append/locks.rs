//! The counters are locked in the order of their owners, whatever the planner thinks of it.

use futures::future::join_all;
use imd::store::LANE_SETTINGS;
use serde_json::Value;
use tokio_postgres::{Client, Config, NoTls};
use uuid::Uuid;

use super::{Sender, assert_dense, lane, message, senders};
use crate::support::{eventually, postgres::Database};

/// The statement that takes the places, as a lane runs it: read off a lane that waits for a lock.
async fn counting_statement(database: &Database, users: &[Sender]) -> String {
    let mut holder = database.sql().await;
    let held = holder.transaction().await.expect("a transaction");
    let lock = "SELECT FROM timelines WHERE owner = $1 FOR UPDATE";
    held.execute(lock, &[&users[0].user_no.0]).await.expect("locked");
    let waiting = tokio::spawn({
        let (mut lane, item) =
            (lane(database), message(&users[0], &users[1], Uuid::new_v4(), "hello"));
        async move { lane.commit(&[item]).await.remove(0).map(drop) }
    });
    let sql = database.sql().await;
    let statement = eventually("a lane that waits", async || {
        let waiting = "SELECT query FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        Some(sql.query_opt(waiting, &[]).await.expect("activity")?.get::<_, String>(0))
    })
    .await;
    held.commit().await.expect("released");
    waiting.await.expect("a lane").expect("appended");
    statement
}

/// The plan of a statement on a connection like a lane's.
async fn plan(database: &Database, statement: &str, owners: &[i64]) -> Value {
    let mut config: Config = database.url().parse().expect("a URL");
    let (client, connection) =
        config.options(LANE_SETTINGS).connect(NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client.batch_execute(&format!("PREPARE places AS {statement}")).await.expect("the statement");
    let owners =
        format!("'{{{}}}'", owners.iter().map(i64::to_string).collect::<Vec<_>>().join(","));
    let explain = format!("EXPLAIN (FORMAT JSON) EXECUTE places ({owners}, {owners})");
    let plan: Value = client.query_one(&explain, &[]).await.expect("a plan").get(0);
    plan[0]["Plan"].clone()
}

fn assert_locks_in_order(plan: &Value) {
    let join = &plan["Plans"][0];
    assert_eq!(join["Node Type"], "Nested Loop", "{plan:#}");
    let (outer, inner) = (&join["Plans"][0], &join["Plans"][1]);
    assert_eq!(outer["Node Type"], "Function Scan", "{plan:#}");
    assert_eq!(outer["Alias"], "o", "the owners as they are given: {plan:#}");
    assert_eq!(inner["Node Type"], "Index Scan", "{plan:#}");
    assert_eq!(inner["Index Name"], "timelines_pkey", "{plan:#}");
}

#[tokio::test]
async fn a_batch_locks_its_counters_in_the_order_of_their_owners() {
    let database = Database::create().await;
    let users = senders(&database, 200).await;
    let statement = counting_statement(&database, &users).await;
    assert!(statement.contains("UPDATE timelines"), "{statement}");
    let owners: Vec<i64> = users.iter().map(|user| user.user_no.0).collect();
    let sql = database.sql().await;
    // From a table that the planner knows nothing of to one that it knows well, small and large.
    assert_locks_in_order(&plan(&database, &statement, &owners).await);
    analyze(&sql).await;
    assert_locks_in_order(&plan(&database, &statement, &owners).await);
    senders_in_bulk(&sql).await;
    analyze(&sql).await;
    assert_locks_in_order(&plan(&database, &statement, &owners).await);
    assert_locks_in_order(&plan(&database, &statement, &owners[..1]).await);
}

async fn analyze(sql: &Client) {
    sql.batch_execute("ANALYZE timelines").await.expect("statistics");
}

async fn senders_in_bulk(sql: &Client) {
    let bulk =
        "INSERT INTO timelines (owner, epoch) SELECT n, 1 FROM generate_series(1000, 50000) n";
    sql.batch_execute(bulk).await.expect("many timelines");
}

/// A number for each step, the same in every run, that looks as if drawn at random.
fn scatter(step: usize) -> usize {
    step.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40
}

#[tokio::test]
async fn i7_lanes_of_two_nodes_that_share_all_their_users_never_deadlock() {
    const LANES: usize = 4;
    const BATCHES: usize = 40;
    const SIZE: usize = 60;
    let database = Database::create().await;
    let users = senders(&database, 200).await;
    let run = async |number: usize| {
        let mut lane = lane(&database);
        for batch in 0..BATCHES {
            let step = |item: usize| ((number * BATCHES + batch) * SIZE + item) * 2;
            let user = |step: usize| &users[scatter(step) % users.len()];
            let items: Vec<_> = (0..SIZE)
                .map(|item| {
                    message(user(step(item)), user(step(item) + 1), Uuid::new_v4(), "hello")
                })
                .collect();
            for appended in lane.commit(&items).await {
                appended.expect("appended");
            }
        }
    };
    join_all((0..LANES).map(run)).await;

    let entries = assert_dense(&database).await;
    let messages = i64::try_from(LANES * BATCHES * SIZE).expect("small");
    assert!(
        entries > messages && entries <= 2 * messages,
        "{entries} entries of {messages} messages"
    );
    assert_eq!(deadlocks(&database).await, 0);
}

/// How many deadlocks the database has seen. A connection tells of its own when it ends.
pub(crate) async fn deadlocks(database: &Database) -> i64 {
    let sql = database.sql().await;
    eventually("the lanes have gone", async || {
        let others = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
                AND backend_type = 'client backend'";
        let others: i64 = sql.query_one(others, &[]).await.expect("activity").get(0);
        (others == 0).then_some(())
    })
    .await;
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    sql.query_one(deadlocks, &[]).await.expect("statistics").get(0)
}
