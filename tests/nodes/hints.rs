//! Hints between nodes may get lost, repeat or be wrong: all the same everything arrives, in seconds
//! (I9).

use imd::store::Store;
use serde_json::{Value, json};

use crate::support::{
    api::{GroupCall, Transport},
    cluster::Cluster,
    eventually,
    listeners::cut_listeners,
    on_both_transports,
    types::Event,
    within_deadline,
};

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
        cut_listeners(&sql, 2).await;
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
    cut_listeners(&sql, 2).await;
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

/// What a message to a group of many makes one node tell another: what it says is there once for as many
/// members as a hint takes, and not at all where it is long.
#[tokio::test]
async fn a_message_to_a_group_is_told_to_another_node_once_for_many_members() {
    const MEMBERS: usize = 500;
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let sql = imd.database.sql().await;
    let (far, there) = imd.start_node().await;
    let far_no = "SELECT max(node_no) FROM nodes";
    let far_no: i64 = sql.query_one(far_no, &[]).await.expect("a number").get(0);
    let ids: Vec<String> = (0..MEMBERS - 1).map(|n| format!("member{n}")).collect();
    let make = "WITH made AS (
                    INSERT INTO users (user_id) SELECT unnest($1::text[]) RETURNING user_no
                ), counted AS (INSERT INTO timelines (owner, epoch) SELECT user_no, 1 FROM made)
                INSERT INTO login_points (user_no, session_id, node_no, stream_no)
                SELECT user_no, gen_random_uuid(), $2, user_no FROM made";
    sql.execute(make, &[&ids, &far_no]).await.expect("members with streams on the far node");
    imd.user("ben").await;
    let ben = imd.log_in("ben", "phone", "p").await.through(there);
    let members: Vec<&str> =
        ids.iter().map(String::as_str).take(MEMBERS - 2).chain(["ben"]).collect();
    let group = json!({ "group_id": "many", "name": "Many", "member_ids": members });
    ann.group(GroupCall::Create(group)).await.expect("a group");
    let mut feed = ben.follow("now").await;
    let marked = "SELECT FROM fan_outs";
    let done = async || sql.query(marked, &[]).await.expect("marks").is_empty().then_some(());
    eventually("all have the group", done).await;
    let store = Store::new(imd.database.url(), 1).expect("a store");
    let mut heard = store.listen(&format!("imd_node_{far_no}")).await.expect("a listener");

    for (length, at_most) in [(1_000, 120_000), (16_000, 60_000)] {
        let text = "x".repeat(length);
        let sent = ann.say("group:many", &text).await;
        let entry = loop {
            let entry = feed.entry().await;
            if entry.as_message().is_some() {
                break entry;
            }
        };
        assert_eq!(
            (entry.message().message_id.as_str(), entry.text()),
            (&*sent.message_id, &*text)
        );
        let mut payloads = Vec::new();
        let mut told = 0;
        while told < MEMBERS - 1 {
            let payload = within_deadline("a hint", heard.next()).await.expect("a payload");
            let places = places(&payload);
            if places > 0 {
                told += places;
                payloads.push(payload);
            }
        }
        let bytes: usize = payloads.iter().map(String::len).sum();
        let bodies: usize = payloads.iter().map(|payload| payload.matches(&text).count()).sum();
        println!("{length} bytes to {MEMBERS} members: {} hints, {bytes} bytes", payloads.len());
        assert!(bodies <= payloads.len(), "{bodies} times in {} hints", payloads.len());
        assert!(bytes <= at_most, "{bytes} bytes in {} hints", payloads.len());
    }
    far.stop().await;
}

/// How many places of timelines a hint tells of.
fn places(payload: &str) -> usize {
    // Signals and presence come the same way, each with a mark of its own in front.
    if !payload.starts_with('{') {
        return 0;
    }
    let hint: Value = serde_json::from_str(payload).expect("a hint");
    let of = |member: &str| hint[member].as_array().cloned().unwrap_or_default();
    let shared = of("shared")
        .iter()
        .map(|shared| shared["places"].as_array().map_or(0, Vec::len))
        .sum::<usize>();
    shared + of("entries").len() + of("timelines").len()
}
