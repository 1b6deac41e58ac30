//! The stop of a node that is asked to: streams go elsewhere, sends in flight finish, and it ends in time
//! whatever others do.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{
    held::{Held, waiting_for_locks},
    node::{Node, Plan},
    proxy::Proxy,
};
use crate::support::{
    api::Outgoing, postgres::Database, terminal::Terminal, types::Event, within_deadline,
};

/// `shutdown.grace` of these nodes.
const GRACE: Duration = Duration::from_secs(2);

/// What a stop may take: little longer than its grace.
const STOP: Duration = Duration::from_secs(4);

struct Stage {
    node: Node,
    proxy: Proxy,
    ann: Terminal,
    ben: Terminal,
    database: Database,
}

impl Stage {
    async fn start() -> Self {
        let database = Database::create().await;
        let (proxy, url) = Proxy::before_database(database.url()).await;
        let node = Plan { grace: GRACE, ..Plan::on(&url) }.start().await;
        node.create_users(&["ann", "ben"]).await;
        let ann = node.log_in("ann", "phone").await;
        let ben = node.log_in("ben", "phone").await;
        Self { node, proxy, ann, ben, database }
    }
}

/// Stops a node, which must not take longer than it may.
async fn stop_in_time(node: Node) {
    let began = Instant::now();
    // Longer than that, to see how long it takes.
    timeout(3 * STOP, node.stop()).await.expect("it stops at all");
    assert!(began.elapsed() < STOP, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_send_in_flight_finishes_and_streams_go_elsewhere() {
    let stage = Stage::start().await;
    let other = Plan::on(stage.database.url()).start().await;
    let mut feed = stage.ben.follow("now").await;
    let held = Held::timeline_of("ben", &stage.database).await;
    let message = Outgoing::text("ben", "in flight");
    let sending = stage.ann.send(&message);
    let stop = async {
        waiting_for_locks(1, &stage.database).await;
        let release = async {
            assert_eq!(feed.event().await, Event::Reconnect);
            assert_eq!(feed.next().await, None);
            held.release().await;
        };
        tokio::join!(Box::pin(stop_in_time(stage.node)), release);
    };
    let (sent, ()) = within_deadline("the stop", async { tokio::join!(sending, stop) }).await;
    let sent = sent.expect("an acknowledgement");

    let cursor = format!("{}.{}", feed.opened.epoch, feed.opened.last_seq);
    let mut feed = stage.ben.through(other.api()).follow(&cursor).await;
    assert_eq!(feed.entry().await.message().message_id, sent.message_id);
}

#[tokio::test]
async fn a_terminal_that_does_not_read_is_not_waited_for() {
    let stage = Stage::start().await;
    let _unread = stage.ben.api.subscribe(&stage.ben.token, "").await.expect("a stream");
    // More than fits between a server and a client that does not read.
    let text = "x".repeat(16_000);
    for _ in 0..200 {
        stage.ann.say("ben", &text).await;
    }
    stop_in_time(stage.node).await;
}

#[tokio::test]
async fn a_lock_that_another_holds_is_not_waited_for() {
    let stage = Stage::start().await;
    let held = Held::timeline_of("ben", &stage.database).await;
    let message = Outgoing::text("ben", "in flight");
    let stop = async {
        waiting_for_locks(1, &stage.database).await;
        Box::pin(stop_in_time(stage.node)).await;
    };
    let (sent, ()) = tokio::join!(stage.ann.send(&message), stop);
    assert!(sent.expect_err("no acknowledgement").outcome_is_unknown());
    held.release().await;
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_not_waited_for() {
    let stage = Stage::start().await;
    let _feed = stage.ben.follow("now").await;
    stage.proxy.silence();
    let message = Outgoing::text("ben", "in flight");
    let sending = stage.ann.send(&message);
    let (sent, ()) = tokio::join!(sending, Box::pin(stop_in_time(stage.node)));
    assert!(sent.expect_err("no acknowledgement").outcome_is_unknown());
}
