//! Nodes come and go.

use std::{collections::BTreeSet, sync::Arc};

use futures::future::{join_all, try_join_all};
use tokio::sync::watch;

use crate::support::{
    api::{Api, Outgoing, Transport},
    checker::Run,
    cluster::Cluster,
    eventually,
    node::Node,
    on_both_transports,
    postgres::Database,
    terminal::Terminal,
    types::{Entry, Event},
};

#[tokio::test]
async fn four_nodes_that_start_first_at_once_migrate_once() {
    let database = Database::create_empty().await;
    let nodes = join_all((0..4).map(|_| Node::start(&database))).await;
    let sql = database.sql().await;
    let applied = sql.query("SELECT version FROM refinery_schema_history", &[]).await;
    let applied: Vec<i32> = applied.expect("the history").iter().map(|row| row.get(0)).collect();
    let distinct: BTreeSet<_> = applied.iter().collect();
    assert!(!applied.is_empty() && applied.len() == distinct.len(), "{applied:?}");

    // They agree on the keys: what one of them has signed all of them take.
    let mut others = nodes;
    let imd = Cluster::of(Transport::Grpc, database, others.pop().expect("four"));
    let phone = imd.user_with_phone("ann").await;
    let apis: Vec<_> = others.iter().map(|node| node.api(Transport::Grpc)).collect();
    let told = try_join_all(apis.iter().map(|api| api.sessions(&phone.token))).await;
    assert!(told.expect("live on each").iter().all(|sessions| sessions.len() == 1));
    assert_eq!(imd.admin().status().await.expect("the status").nodes.len(), 4);
}

#[tokio::test]
async fn a_second_start_changes_nothing() {
    let imd = Cluster::start(Transport::Grpc).await;
    let sql = imd.database.sql().await;
    sql.batch_execute("UPDATE terminal_types SET session_limit = 2 WHERE name = 'phone'")
        .await
        .expect("changed by an operator");
    let (_node, there) = imd.start_node().await;
    for api in [&imd.api, &there] {
        let info = api.info().await.expect("facts");
        let phone = info.terminal_types.iter().find(|t| t.name == "phone").expect("phones");
        assert_eq!(phone.session_limit, 2, "the database is the truth");
    }
}

#[tokio::test]
async fn a_node_that_stops_leaves_the_list_with_its_streams() {
    let imd = Cluster::start(Transport::Grpc).await;
    let (node, there) = imd.start_node().await;
    let phone = imd.user_with_phone("ann").await;
    let feed = phone.through(there).follow("now").await;
    let admin = imd.admin();
    assert_eq!(admin.status().await.expect("the status").nodes.len(), 2);
    node.stop().await;
    drop(feed);
    let status = admin.status().await.expect("the status");
    assert_eq!(status.nodes.len(), 1);
    assert_eq!(status.nodes[0].node_id, status.node_id);
    assert_eq!((status.live_sessions, status.online_sessions), (1, 0));
    let sql = imd.database.sql().await;
    let gone = async || {
        let row = sql.query_one("SELECT count(*) FROM login_points WHERE user_no <> 0", &[]).await;
        (row.expect("a number").get::<_, i64>(0) == 0).then_some(())
    };
    eventually("no login point is left", gone).await;
}

/// Follows a timeline up to `seq`, from node to node as each sends it elsewhere.
async fn roam(
    terminal: &Terminal,
    nodes: &[Arc<dyn Api>],
    until: watch::Receiver<i64>,
) -> Vec<Entry> {
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for api in nodes {
        let mut feed = terminal.through(api.clone()).follow(&cursor).await;
        loop {
            match feed.next().await {
                Some(Ok(Event::Entry(entry))) => {
                    cursor.clone_from(&entry.cursor);
                    let last = entry.seq;
                    seen.push(entry);
                    if last == *until.borrow() {
                        return seen;
                    }
                }
                Some(Ok(Event::Reconnect)) => break,
                other => panic!("{other:?}"),
            }
        }
    }
    panic!("no node is left at {cursor}")
}

on_both_transports! {
    i11_terminals_roam_from_node_to_node_and_miss_nothing,
}

async fn i11_terminals_roam_from_node_to_node_and_miss_nothing(imd: Cluster) {
    const MESSAGES: i64 = 150;
    let (second_node, second) = imd.start_node().await;
    let (_third_node, third) = imd.start_node().await;
    let ann = imd.user_with_phone("ann").await.through(third.clone());
    let bob = imd.user_with_phone("bob").await;
    let route = [imd.api.clone(), second, third.clone()];
    let (last_seq, until) = watch::channel(0);
    let following = tokio::spawn({
        let bob = bob.clone();
        async move { roam(&bob, &route, until).await }
    });

    let mut run = Run::default();
    let mut nodes = vec![second_node, imd.node];
    for n in 0..MESSAGES {
        if n == 50 || n == 100 {
            tokio::spawn(nodes.pop().expect("a node").stop());
        }
        let message = Outgoing::text("bob", n.to_string());
        let answer = ann.send(&message).await;
        run.sent("ann", &message, answer);
    }
    // A login and the messages; then one more, so that the end is still to come.
    last_seq.send(MESSAGES + 2).expect("somebody follows");
    ann.say("bob", "the end").await;
    let mut seen = following.await.expect("all of it");
    seen.pop();
    let own = ann.pull("").await.expect("the timeline").entries;
    run.saw("ann", "ann's phone", 0, own[..=MESSAGES.try_into().expect("small")].to_vec());
    run.saw("bob", "bob's phone", 0, seen);
    run.assert_sound();
}
