//! The login points, which say where streams are: without one no hint comes, and with one too many a
//! session shows online for ever.

use futures::{StreamExt as _, future::join_all};

use super::{
    LOST_HINT, Stage,
    bus::{Bus, on_both_buses},
};
use crate::{
    faults::{
        held::{nodes_are_quiet, waiting_for_locks},
        until,
    },
    support::DEADLINE,
};

/// How often what leaves little time between two heartbeats is tried.
const TRIES: usize = 2;

/// More streams than a node has connections to any one purpose.
const MANY: usize = 20;

on_both_buses! {

/// A crash of the database empties the table. What happens to be written to it next is a stream of
/// Ann's, before the far node has looked for what it had there.
async fn login_points_lost_in_a_crash_are_restored_whoever_connects_first(bus: Bus) {
    let stage = Stage::start(bus).await;
    let mut feed = stage.ben.follow("now").await;
    let anns_pc = stage.far.log_in("ann", "pc").await;
    let sql = stage.database.sql().await;
    for no in 0..TRIES {
        sql.batch_execute("TRUNCATE login_points").await.expect("a table");
        let _stream = anns_pc.follow("now").await;
        stage.has_login_points("ben", 1).await;
        let delay = stage.delay(&mut feed, &no.to_string()).await;
        assert!(delay < LOST_HINT, "{no}: {delay:?}");
    }
}

}

impl Stage {
    /// Waits until a user has so many login points.
    async fn has_login_points(&self, user_id: &str, expected: i64) {
        let sql = self.database.sql().await;
        let count = "SELECT count(*) FROM login_points JOIN users USING (user_no)
            WHERE user_id = $1";
        until(&format!("{user_id} has {expected} login points"), DEADLINE, async || {
            let count: i64 = sql.query_one(count, &[&user_id]).await.expect("a count").get(0);
            (count == expected).then_some(())
        })
        .await;
    }

    /// Waits until the far node says, with its heartbeat, that it has so many streams.
    async fn far_has_streams(&self, expected: i64) {
        let far = self.node_nos().await[1];
        let sql = self.database.sql().await;
        let streams = "SELECT streams FROM nodes WHERE node_no = $1";
        until(&format!("{expected} streams"), DEADLINE, async || {
            let streams: i64 = sql.query_one(streams, &[&far]).await.expect("a node").get(0);
            (streams == expected).then_some(())
        })
        .await;
    }
}

/// The terminal has left before its login point is committed.
#[tokio::test]
async fn a_terminal_that_leaves_while_it_connects_leaves_no_login_point() {
    let stage = Stage::start(Bus::postgres()).await;
    // The first stream of the node is to wait for the end of this transaction.
    let holding = stage.database.sql().await;
    holding.batch_execute("BEGIN").await.expect("a transaction");
    let same = "INSERT INTO login_points (user_no, session_id, node_no, stream_no)
        SELECT user_no, session_id, $1, 1 FROM sessions JOIN users USING (user_no)
        WHERE user_id = 'ben'";
    let far = stage.node_nos().await[1];
    assert_eq!(holding.execute(same, &[&far]).await.expect("a row"), 1);
    let ben = stage.ben.clone();
    let connecting = tokio::spawn(async move {
        let events = ben.api.subscribe(&ben.token, "now").await;
        events.expect("a stream").next().await
    });
    waiting_for_locks(1, &stage.database).await;
    stage.far_has_streams(1).await;
    connecting.abort();
    stage.far_has_streams(0).await;
    holding.batch_execute("ROLLBACK").await.expect("a connection");
    nodes_are_quiet(&stage.database).await;
    stage.has_login_points("ben", 0).await;
}

/// The terminal leaves while the far node writes all that it has anew.
#[tokio::test]
async fn a_terminal_that_leaves_while_login_points_are_restored_leaves_none() {
    let stage = Stage::start(Bus::postgres()).await;
    let feed = stage.ben.follow("now").await;
    stage.has_login_points("ben", 1).await;
    // What is written anew is to wait for the end of this transaction.
    let holding = stage.database.sql().await;
    holding.batch_execute("BEGIN; DELETE FROM login_points WHERE user_no > 0").await.expect("rows");
    let sql = stage.database.sql().await;
    sql.batch_execute("DELETE FROM login_points WHERE user_no = 0").await.expect("markers");
    waiting_for_locks(1, &stage.database).await;
    drop(feed);
    waiting_for_locks(2, &stage.database).await;
    holding.batch_execute("COMMIT").await.expect("a connection");
    nodes_are_quiet(&stage.database).await;
    stage.has_login_points("ben", 0).await;
}

/// However many terminals wait for their streams, the node has a connection left for its hints.
#[tokio::test]
async fn streams_that_wait_to_open_do_not_hold_up_hints() {
    let stage = Stage::start(Bus::postgres()).await;
    let mut feed = stage.ben.follow("now").await;
    // The near node knows Ben from now on: to send him more takes the lane's connection alone.
    stage.delay(&mut feed, "before").await;
    let holding = stage.database.sql().await;
    let lock = "BEGIN; LOCK TABLE login_points IN SHARE ROW EXCLUSIVE MODE";
    holding.batch_execute(lock).await.expect("a lock");
    let opening = join_all((0..MANY).map(|_| stage.ann.api.subscribe(&stage.ann.token, "now")));
    let delay = async {
        waiting_for_locks(3, &stage.database).await;
        stage.delay(&mut feed, "meanwhile").await
    };
    let (delay, _) = tokio::join!(delay, opening);
    assert!(delay < LOST_HINT, "{delay:?}");
}
