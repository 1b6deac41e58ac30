//! A server that takes over without all that was acknowledged: whoever connects first notices, every
//! terminal reads its timeline anew, and no id comes to name another message (I8).

use tokio_postgres::Client;

use crate::support::{
    api::{Outgoing, Transport},
    cluster::Cluster,
    feed::Feed,
    on_both_transports,
    types::{Entry, Event},
};

on_both_transports! {
    i8_what_a_standby_lacked_when_it_took_over_is_not_passed_over,
    i8_a_restored_backup_is_noticed,
}

/// Ends all connections of nodes, as the death of a server does.
const CUT: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()";

/// As a standby has it that has not got the newest entries, and that is promoted.
async fn take_over_without(sql: &Client, entries_after: i64) {
    sql.batch_execute(&format!(
        "BEGIN; {CUT};
         DELETE FROM entries WHERE seq > {entries_after};
         UPDATE timelines SET last_seq = least(last_seq, {entries_after}),
             last_message_no = least(last_message_no, {entries_after} - 1);
         UPDATE generations SET wal_timeline = wal_timeline - 1; COMMIT"
    ))
    .await
    .expect("a superuser may");
}

/// Reads on to the entry with this text, as a client does that keeps what it has: what it has then.
async fn read_on(feed: &mut Feed, mut entries: Vec<Entry>, text: &str) -> (Vec<Entry>, u32) {
    let mut resets = 0;
    while entries.last().is_none_or(|entry| entry.as_message().is_none() || entry.text() != text) {
        match feed.event().await {
            Event::Entry(entry) => entries.push(entry),
            Event::TimelineReset { .. } => {
                entries.clear();
                resets += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    (entries, resets)
}

async fn i8_what_a_standby_lacked_when_it_took_over_is_not_passed_over(imd: Cluster) {
    let (_node, there) = imd.start_node().await;
    let phone = imd.user_with_phone("ann").await;
    let elsewhere = phone.through(there);
    let mut feeds = [phone.follow("").await, elsewhere.follow("").await];
    let kept = phone.say("ann", "kept").await;
    let lost = phone.say("ann", "lost").await;
    phone.say("ann", "lost, too").await;
    for feed in &mut feeds {
        feed.entries(4).await;
    }
    take_over_without(&imd.database.sql().await, 2).await;
    let new = phone.say("ann", "new").await;
    assert_eq!(new.seq, lost.seq, "the place is given out again");
    assert_ne!(new.message_id, lost.message_id);
    assert_ne!(new.cursor, lost.cursor);
    phone.say("ann", "newer").await;
    elsewhere.say("ann", "newest").await;

    let all = phone.timeline().await;
    for feed in &mut feeds {
        let (seen, resets) = read_on(feed, Vec::new(), "newest").await;
        assert_eq!(resets, 1);
        assert_eq!(seen, all);
    }
    let ids = all[1..].iter().map(|entry| entry.message().message_id.clone());
    let ids: Vec<_> = ids.collect();
    assert_eq!(ids[..2], [kept.message_id.clone(), new.message_id.clone()]);
    // One that was away.
    for cursor in [&kept.cursor, &lost.cursor] {
        let pulled = phone.pull(cursor).await.expect("the timeline");
        assert_eq!(pulled.timeline_reset, Some(pulled.state.epoch));
        assert_eq!(pulled.entries, all);
    }
    // An id of before names what it always did, or nothing.
    let refused = phone.recall(&lost.message_id).await.expect_err("it is gone");
    assert_eq!(refused.code, "message_not_found");
    assert_eq!(elsewhere.texts().await, ["kept", "new", "newer", "newest"]);
    phone.recall(&kept.message_id).await.expect("it stands");
}

async fn i8_a_restored_backup_is_noticed(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let mut feed = phone.follow("").await;
    phone.say("ann", "before").await;
    feed.entries(2).await;
    let sql = imd.database.sql().await;
    let restore = "UPDATE generations SET system_identifier = '1'";
    sql.batch_execute(&format!("{restore}; {CUT}")).await.expect("a superuser may");
    phone.say("ann", "after").await;
    let (seen, resets) = read_on(&mut feed, Vec::new(), "after").await;
    assert_eq!((seen.len(), resets), (3, 1));
    // It is a new generation once, and not with every connection.
    sql.batch_execute(CUT).await.expect("a superuser may");
    phone.say("ann", "later").await;
    assert_eq!(read_on(&mut feed, seen, "later").await.1, 0);
}

#[tokio::test]
async fn i8_users_that_are_gone_with_the_old_server_are_not_taken_for_others() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    ann.say("bob", "for bob").await;
    let sql = imd.database.sql().await;
    // Bob's account was made too late for the standby, and his number is given out again.
    sql.batch_execute(&format!(
        "BEGIN; {CUT};
         DELETE FROM entries WHERE owner = 2 OR conversation = 2;
         DELETE FROM timelines WHERE owner = 2;
         DELETE FROM users WHERE user_no = 2;
         ALTER TABLE users ALTER COLUMN user_no RESTART WITH 2;
         UPDATE timelines SET last_seq = 1, last_message_no = 0 WHERE owner = 1;
         UPDATE generations SET wal_timeline = wal_timeline - 1; COMMIT"
    ))
    .await
    .expect("a superuser may");
    let cleo = imd.user_with_phone("cleo").await;
    let refused = ann.send(&Outgoing::text("bob", "for bob")).await;
    assert_eq!(refused.expect_err("there is no bob").code, "user_not_found");
    assert_eq!(cleo.texts().await, [""; 0]);
    ann.say("cleo", "for cleo").await;
    assert_eq!(cleo.texts().await, ["for cleo"]);
}
