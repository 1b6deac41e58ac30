//! What a batch costs does not depend on how much there is.

use std::time::{Duration, Instant};

use tokio_postgres::Client;
use uuid::Uuid;

use super::{lane, message, senders};
use crate::support::{eventually, postgres::Database};

/// How long plans are kept, and a bit.
const PLANNED_ANEW: Duration = Duration::from_secs(12);

/// How many messages are sent then.
const MESSAGES: i64 = 200;

/// How many rows of indexes were read so far, once so many entries are counted.
async fn read(sql: &Client, entries: i64) -> i64 {
    eventually("all is counted", async || {
        let counted = "SELECT t.n_tup_ins, (SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes)
             FROM pg_stat_user_tables t WHERE t.relname = 'entries'";
        let row = sql.query_one(counted, &[]).await.expect("counts");
        (row.get::<_, i64>(0) == entries).then(|| row.get(1))
    })
    .await
}

#[tokio::test]
async fn a_plan_that_was_made_while_all_was_empty_is_made_anew() {
    let database = Database::create().await;
    let users = senders(&database, 2).await;
    let sql = database.sql().await;
    // As it is where a server was tried, and all that this left was deleted.
    sql.batch_execute("ANALYZE").await.expect("an owner may");
    let mut lane = lane(&database);
    let mut send = async |count: i64| {
        for n in 0..count {
            let said = message(&users[0], &users[1], Uuid::new_v4(), &n.to_string());
            lane.commit(&[said]).await.remove(0).expect("appended");
        }
    };
    let begun = Instant::now();
    let mut before = 0;
    while begun.elapsed() < PLANNED_ANEW || before < 500 {
        send(20).await;
        before += 20;
        // Spread over the time, as from clients.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let first = read(&sql, 2 * before).await;
    send(MESSAGES).await;
    drop(lane);
    let then = read(&sql, 2 * (before + MESSAGES)).await - first;
    assert!(then <= 20 * MESSAGES, "{then} rows of indexes for {MESSAGES} messages; {first} before");
}
