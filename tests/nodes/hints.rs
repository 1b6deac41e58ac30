//! Hints between nodes may get lost, repeat or be wrong: all the same everything arrives, in seconds
//! (I9).

use tokio_postgres::Client;

use crate::support::{
    cluster::Cluster,
    eventually,
    listeners::{count_listeners, end_listeners},
    on_both_transports,
    types::Event,
};

/// Waits until both nodes listen for hints, and cuts their connections for that.
async fn cut_both_listeners(sql: &Client) {
    let both = async || (count_listeners(sql).await == 2).then_some(());
    eventually("both nodes listen", both).await;
    assert_eq!(end_listeners(sql).await, 2);
}

/// What no node would say of the users, told to every node.
const WRONG_HINTS: &str = r#"
    SELECT pg_notify('imd_node_' || node_no, format(hint, user_no))
    FROM nodes, users, unnest(ARRAY[
        'garbage', '{}', '',
        '{"from":1000,"no":7,"timelines":[[%s,1000000,1000000]]}',
        '{"from":1000,"no":1,"timelines":[[%s,1,1]]}',
        '{"from":1000,"no":1,"timelines":[[%s,-5,-9],[0,9,9],[999999,1,1]]}'
    ]) hint"#;

on_both_transports! {
    i9_nothing_is_lost_with_the_connections_for_hints,
    i9_a_kick_is_not_lost_with_a_hint,
    i9_login_points_that_a_crash_has_emptied_come_back,
    i9_nodes_that_the_table_has_lost_register_anew,
    i9_wrong_hints_do_no_harm,
}

async fn i9_nothing_is_lost_with_the_connections_for_hints(imd: Cluster) {
    let (_node, there) = imd.start_node().await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await.through(there);
    let mut feed = bob.follow("now").await;
    let sql = imd.database.sql().await;
    for n in 0..10 {
        cut_both_listeners(&sql).await;
        // Nothing comes after it that could make up for its hint.
        let sent = ann.say("bob", &n.to_string()).await;
        assert_eq!(feed.entry().await.message().message_id, sent.message_id);
    }
}

async fn i9_a_kick_is_not_lost_with_a_hint(imd: Cluster) {
    let (_node, there) = imd.start_node().await;
    let bob = imd.user_with_phone("bob").await.through(there);
    let mut feed = bob.follow("now").await;
    let sql = imd.database.sql().await;
    cut_both_listeners(&sql).await;
    imd.log_in("bob", "phone", "second").await;
    let (_, last) = feed.to_the_end().await;
    assert!(matches!(last, Event::SessionEnded(_)), "{last:?}");
}

async fn i9_login_points_that_a_crash_has_emptied_come_back(imd: Cluster) {
    let (_node, there) = imd.start_node().await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await.through(there);
    let mut feed = bob.follow("now").await;
    let sql = imd.database.sql().await;
    sql.batch_execute("TRUNCATE login_points").await.expect("as after a crash");
    ann.say("bob", "while nobody knows where bob is").await;
    assert_eq!(feed.entry().await.text(), "while nobody knows where bob is");

    let points = async || {
        let row = sql.query_one("SELECT count(*) FROM login_points", &[]).await.expect("a number");
        (row.get::<_, i64>(0) == 3).then_some(())
    };
    eventually("two nodes and a stream are registered", points).await;
    assert!(bob.sessions().await.expect("sessions")[0].online);
    ann.say("bob", "found again").await;
    assert_eq!(feed.entry().await.text(), "found again");
}

async fn i9_nodes_that_the_table_has_lost_register_anew(imd: Cluster) {
    let (_node, there) = imd.start_node().await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await.through(there);
    let mut feed = bob.follow("now").await;
    let sql = imd.database.sql().await;
    sql.batch_execute("DELETE FROM login_points; DELETE FROM nodes").await.expect("deleted");
    ann.say("bob", "to nowhere").await;
    assert_eq!(feed.entry().await.text(), "to nowhere");
    let both = async || (imd.admin().status().await.ok()?.nodes.len() == 2).then_some(());
    eventually("both nodes are back", both).await;
}

async fn i9_wrong_hints_do_no_harm(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let mut feed = bob.follow("now").await;
    let sql = imd.database.sql().await;
    sql.batch_execute(WRONG_HINTS).await.expect("hints");
    for n in 0..3 {
        ann.say("bob", &n.to_string()).await;
        let entry = feed.entry().await;
        assert_eq!((entry.seq, entry.text()), (2 + n, n.to_string().as_str()));
    }
}
