//! A block that comes while messages are on their way: the order of the locks decides.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures::future::{join, join_all};
use imd::{
    model::{Error, IfBlocked, UserNo},
    store::{Appended, ChangeBlock, LANE_SETTINGS, Store},
};
use serde_json::Value;
use tokio_postgres::{Config, NoTls};
use uuid::Uuid;

use super::that_drops;
use crate::{
    append::{Sender, assert_dense, lane, message, senders},
    support::{
        api::{Outgoing, Transport},
        cluster::Cluster,
        eventually,
        postgres::Database,
        terminal::Terminal,
        types::Kind,
    },
};

fn change(owner: &Sender, whom: &Sender, blocked: bool) -> ChangeBlock {
    ChangeBlock {
        owner: owner.user_no,
        session_id: owner.session_id,
        user_no: whom.user_no,
        user_id: whom.user_id.clone(),
        blocked,
    }
}

/// How many copies of a message there are.
fn copies(appended: &Appended) -> usize {
    appended.places.len()
}

/// A message of `from` that waits for the lock of `to`'s timeline, which a transaction holds that blocks
/// `from`. The lane looks for blocks behind the lock, so it must see that one.
async fn sent_into_a_block(if_blocked: IfBlocked) -> Result<Appended, Error> {
    let database = Database::create().await;
    let [from, to] = two(&database).await;
    let mut holder = database.sql().await;
    let held = holder.transaction().await.expect("a transaction");
    let lock = "SELECT FROM timelines WHERE owner = $1 FOR UPDATE";
    held.execute(lock, &[&to.user_no.0]).await.expect("locked");
    let waiting = tokio::spawn({
        let mut item = message(&from, &to, Uuid::new_v4(), "hello");
        item.if_blocked = if_blocked;
        let mut lane = lane(&database);
        async move { lane.commit(&[item]).await.remove(0) }
    });
    let sql = database.sql().await;
    eventually("a lane that waits", async || {
        let waiting = "SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        sql.query_opt(waiting, &[]).await.expect("activity")
    })
    .await;
    let block = "WITH noted AS (UPDATE timelines SET has_blocks = true WHERE owner = $1)
                 INSERT INTO blocks VALUES ($1, $2, 1, now())";
    held.execute(block, &[&to.user_no.0, &from.user_no.0]).await.expect("blocked");
    held.commit().await.expect("released");
    let result = waiting.await.expect("a lane");
    assert_dense(&database).await;
    result
}

async fn two(database: &Database) -> [Sender; 2] {
    senders(database, 2).await.try_into().unwrap_or_else(|_| panic!("two users"))
}

#[tokio::test]
async fn a_block_that_a_message_waited_for_holds_for_it() {
    let refused = sent_into_a_block(IfBlocked::Refuse).await;
    assert!(matches!(refused, Err(Error::Blocked(_))), "{refused:?}");
    let dropped = sent_into_a_block(IfBlocked::Drop).await.expect("stored for its sender");
    assert_eq!(copies(&dropped), 1);
}

/// Blocks and unblocks while two nodes send: what is sent behind the return of a block never arrives,
/// what is sent behind that of its end does, and in between each message stands whole or not at all.
async fn race(if_blocked: IfBlocked) {
    const ROUNDS: usize = 1000;
    let database = Database::create().await;
    let [from, to] = two(&database).await;
    let store = Store::new(database.url(), 2).expect("a store");
    let (mut here, mut there) = (lane(&database), lane(&database));
    let item = || {
        let mut item = message(&from, &to, Uuid::new_v4(), "hello");
        item.if_blocked = if_blocked;
        item
    };
    let arrived = |result: &Result<Appended, Error>| match (result, if_blocked) {
        (Ok(appended), _) if copies(appended) == 2 => true,
        (Ok(appended), IfBlocked::Drop) if copies(appended) == 1 => false,
        (Err(Error::Blocked(_)), IfBlocked::Refuse) => false,
        other => panic!("{other:?}"),
    };
    let mut delivered = 0_i64;
    for round in 0..ROUNDS {
        let blocked = round % 2 == 0;
        let change = change(&to, &from, blocked);
        let (batch, other) = ([item(), item()], [item()]);
        let sending = join(here.commit(&batch), there.commit(&other));
        let (changed, (during, other)) = Box::pin(join(store.change_block(&change), sending)).await;
        changed.expect("changed").expect("an entry");
        for result in during.iter().chain(&other) {
            delivered += i64::from(arrived(result));
        }
        // Each node starts anew, behind the change.
        let (batch, other) = ([item()], [item()]);
        let (one, other) = Box::pin(join(here.commit(&batch), there.commit(&other))).await;
        for result in [&one[0], &other[0]] {
            assert_eq!(arrived(result), !blocked, "round {round}");
            delivered += i64::from(arrived(result));
        }
    }
    assert_dense(&database).await;
    assert_eq!(received(&database, to.user_no).await, delivered, "as its senders were told");
}

async fn received(database: &Database, owner: UserNo) -> i64 {
    let sql = database.sql().await;
    let count = "SELECT count(*) FROM entries WHERE owner = $1 AND kind = 1";
    sql.query_one(count, &[&owner.0]).await.expect("a count").get(0)
}

#[tokio::test]
async fn a_thousand_blocks_refuse_what_comes_behind_them() {
    Box::pin(race(IfBlocked::Refuse)).await;
}

#[tokio::test]
async fn a_thousand_blocks_drop_what_comes_behind_them() {
    Box::pin(race(IfBlocked::Drop)).await;
}

/// Sends without end; how many sends were taken.
async fn keep_sending(from: Terminal, stop: Arc<AtomicBool>) -> usize {
    let mut taken = 0;
    while !stop.load(Ordering::Relaxed) {
        match from.send(&Outgoing::text("ann", "hello")).await {
            Ok(_) => taken += 1,
            Err(refused) => assert_eq!(refused.code, "blocked"),
        }
    }
    taken
}

#[tokio::test]
async fn behind_a_block_nothing_arrives_through_any_node() {
    const ROUNDS: usize = 100;
    let imd = Cluster::start(Transport::Grpc).await;
    let (_refusing, refusing) = imd.start_node().await;
    let (_dropping, dropping) = that_drops(&imd).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let stop = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = [refusing.clone(), refusing, dropping.clone(), dropping]
        .map(|api| tokio::spawn(keep_sending(bob.through(api), stop.clone())))
        .into();
    for _ in 0..ROUNDS {
        ann.block("bob").await.expect("blocked");
        ann.unblock("bob").await.expect("unblocked");
    }
    ann.block("bob").await.expect("blocked");
    stop.store(true, Ordering::Relaxed);
    let taken: usize = join_all(senders).await.into_iter().map(|sent| sent.expect("sent")).sum();
    assert_dense(&imd.database).await;

    let mut feed = ann.follow("").await;
    let (mut blocked, mut arrived) = (false, 0);
    let last_seq = feed.opened.last_seq;
    for entry in feed.entries_to(last_seq).await {
        match entry.kind {
            Kind::BlockChanged(change) => blocked = change.blocked,
            Kind::Message(_) => {
                assert!(!blocked, "{} stands behind a block", entry.seq);
                arrived += 1;
            }
            _ => {}
        }
    }
    assert!(blocked && arrived > 0 && arrived <= taken, "{arrived} of {taken} arrived");
}

/// The plan of a function that an append calls with two users, as a lane runs it.
async fn plan(database: &Database, function: &str) -> String {
    let mut config: Config = database.url().parse().expect("a URL");
    let (client, connection) =
        config.options(LANE_SETTINGS).connect(NoTls).await.expect("a connection");
    tokio::spawn(connection);
    let body = "SELECT prosrc FROM pg_proc WHERE proname = $1";
    let body: String = client.query_one(body, &[&function]).await.expect("a function").get(0);
    client.batch_execute(&format!("PREPARE looking AS {body}")).await.expect("the statement");
    let explain = "EXPLAIN (FORMAT JSON) EXECUTE looking (1, 2)";
    let plan: Value = client.query_one(explain, &[]).await.expect("a plan").get(0);
    plan.to_string()
}

#[tokio::test]
async fn blocks_and_contacts_are_found_by_their_keys_however_many_there_are() {
    let database = Database::create().await;
    let sql = database.sql().await;
    let blocks = "INSERT INTO blocks SELECT n % 5000, n, n, now() FROM generate_series(1, 50000) n";
    let contacts = "INSERT INTO contacts SELECT n % 5000, n, 3, '', '', now() FROM generate_series(1, 50000) n";
    let lookups = [("has_blocked", "blocks", blocks), ("has_contact", "contacts", contacts)];
    for (function, table, many) in lookups {
        for fill in ["SELECT", many] {
            sql.batch_execute(fill).await.expect("rows");
            sql.batch_execute(&format!("ANALYZE {table}")).await.expect("statistics");
            let plan = plan(&database, function).await;
            assert!(plan.contains(&format!("\"{table}_pkey\"")), "{plan}");
            assert!(!plan.contains("Seq Scan"), "{plan}");
        }
    }
}
