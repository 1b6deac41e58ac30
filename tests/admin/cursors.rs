//! How far terminals have got, as administrators see it.

use std::time::Instant;

use futures::StreamExt;
use imd_proto::v1::{AdminSession, ListSessionsRequest};
use tokio_postgres::Client;

use crate::support::{
    admin::Admin, cluster::Cluster, eventually, on_both_transports, terminal::Terminal,
    types::Event,
};

on_both_transports! {
    a_cursor_follows_what_a_stream_is_handed,
    a_cursor_follows_what_is_pulled,
    coming_back_with_a_cursor_proves_it,
    deliveries_write_no_cursors_of_their_own,
    a_session_that_is_being_changed_gets_its_cursor_later,
    a_node_that_stops_writes_down_what_it_knows,
    every_node_shows_how_far_the_terminals_of_all_have_got,
}

/// How often a node writes cursors down, in seconds.
const EVERY: u64 = 2;

async fn seen(admin: &Admin, terminal: &Terminal) -> AdminSession {
    let request =
        ListSessionsRequest { user_id: terminal.user_id.clone(), ..ListSessionsRequest::default() };
    let listed = admin.sessions(request).await.expect("a listing").sessions;
    let own = |seen: &AdminSession| {
        seen.session.as_ref().is_some_and(|session| session.session_id == terminal.session_id())
    };
    listed.into_iter().find(own).expect("a live session")
}

/// Waits until the terminal is seen at the cursor; its lag then.
async fn lag_at(admin: &Admin, terminal: &Terminal, cursor: &str) -> Option<i64> {
    eventually("the cursor", async || {
        let seen = seen(admin, terminal).await;
        (seen.cursor == cursor).then_some(seen.lag)
    })
    .await
}

async fn a_cursor_follows_what_a_stream_is_handed(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let bob = imd.user_with_phone("bob").await;
    let mut feed = phone.follow("").await;
    let last = bob.say("ann", "hello").await;
    let entries = feed.entries(3).await;
    assert_eq!(entries[2].message().message_id, last.message_id);

    let admin = imd.admin();
    assert_eq!(lag_at(&admin, &phone, &feed.cursor).await, Some(0));
    let never = seen(&admin, &pc).await;
    assert_eq!((never.cursor.as_str(), never.lag), ("", None));

    drop(feed);
    eventually("the stream is closed", async || {
        seen(&admin, &phone).await.nodes.is_empty().then_some(())
    })
    .await;
    bob.say("ann", "are you there?").await;
    bob.say("ann", "ann?").await;
    assert_eq!(lag_at(&admin, &phone, &entries[2].cursor).await, Some(2));
    // Reading it all over again takes nothing back.
    let mut again = phone.follow("").await;
    let all = again.entries(5).await;
    assert_eq!(lag_at(&admin, &phone, &all[4].cursor).await, Some(0));
}

async fn a_cursor_follows_what_is_pulled(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    for n in 0..4 {
        phone.say("ann", &n.to_string()).await;
    }
    let pulled = imd.api.pull(&phone.token, "", 2).await.expect("a pull");
    assert_eq!(lag_at(&imd.admin(), &phone, &pulled.next_after).await, Some(3));
    let pulled = phone.pull(&pulled.next_after).await.expect("a pull");
    assert_eq!(lag_at(&imd.admin(), &phone, &pulled.next_after).await, Some(0));
}

async fn coming_back_with_a_cursor_proves_it(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let first = phone.say("ann", "one").await;
    phone.say("ann", "two").await;
    // As if a node had died before it could write down what it had handed over.
    let unread = phone.api.subscribe(&phone.token, &first.cursor).await.expect("a stream");
    let seen = eventually("a cursor", async || {
        let seen = seen(&imd.admin(), &phone).await;
        (!seen.cursor.is_empty()).then_some(seen)
    })
    .await;
    let seq: i64 = seen.cursor.split_once('.').expect("a cursor").1.parse().expect("a seq");
    assert!(seq >= first.seq, "{} is not behind {}", seen.cursor, first.cursor);
    drop(unread);
    let stranger = imd.log_in("ann", "pc", "desk").await;
    let mut reset = stranger.follow("7.1").await;
    let Event::TimelineReset { epoch } = reset.event().await else { panic!("no reset") };
    let last = reset.entries(4).await.pop().expect("entries");
    assert!(last.cursor.starts_with(&format!("{epoch}.")));
    assert_eq!(lag_at(&imd.admin(), &stranger, &last.cursor).await, Some(0));
}

/// Counts the statements that write cursors, and the rows that they write.
async fn count_writes(imd: &Cluster) -> Client {
    let sql = imd.database.sql().await;
    let count = "
        CREATE TABLE cursor_writes (what text);
        CREATE FUNCTION note_cursor_write() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN INSERT INTO cursor_writes VALUES (TG_LEVEL); RETURN NULL; END $$;
        CREATE TRIGGER statements AFTER UPDATE OF cursor_seq ON sessions
            FOR EACH STATEMENT EXECUTE FUNCTION note_cursor_write();
        CREATE TRIGGER rows AFTER UPDATE OF cursor_seq ON sessions
            FOR EACH ROW EXECUTE FUNCTION note_cursor_write();";
    sql.batch_execute(count).await.expect("triggers");
    sql
}

async fn writes(sql: &Client, what: &str) -> u64 {
    let count = "SELECT count(*) FROM cursor_writes WHERE what = $1";
    let count: i64 = sql.query_one(count, &[&what]).await.expect("a count").get(0);
    count.try_into().expect("a count")
}

async fn deliveries_write_no_cursors_of_their_own(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let bob = imd.user_with_phone("bob").await;
    let sql = count_writes(&imd).await;
    let began = Instant::now();
    let mut feeds = [ann.follow("").await, pc.follow("").await];
    for n in 0..300 {
        bob.say("ann", &n.to_string()).await;
    }
    for feed in &mut feeds {
        feed.entries(302).await;
    }
    let admin = imd.admin();
    for (terminal, feed) in [(&ann, &feeds[0]), (&pc, &feeds[1])] {
        assert_eq!(lag_at(&admin, terminal, &feed.cursor).await, Some(0));
    }
    let most = began.elapsed().as_secs() / EVERY + 1;
    let (statements, rows) = (writes(&sql, "STATEMENT").await, writes(&sql, "ROW").await);
    assert!((1..=most).contains(&statements), "{statements} statements, {most} at most");
    assert!((2..=2 * most).contains(&rows), "{rows} rows, {} at most", 2 * most);

    // While nothing happens nothing is written.
    let mut quiet = ann.api.subscribe(&ann.token, &feeds[0].cursor).await.expect("a stream");
    let mut heartbeats = 0;
    while heartbeats < 2 * EVERY + 1 {
        let event = quiet.next().await.expect("a stream that goes on").expect("an event");
        heartbeats += u64::from(event == Event::Heartbeat);
    }
    // But for the one that says where that stream began.
    assert!(writes(&sql, "STATEMENT").await <= statements + 1);
    assert_eq!(writes(&sql, "ROW").await, rows);
}

async fn a_session_that_is_being_changed_gets_its_cursor_later(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let sql = imd.database.sql().await;
    let mut feeds = [ann.follow("").await, bob.follow("").await];
    let held = "BEGIN; SELECT FROM sessions s JOIN users u USING (user_no)
        WHERE u.user_id = 'ann' FOR UPDATE OF s";
    sql.batch_execute(held).await.expect("a lock");
    bob.say("ann", "hello").await;
    for feed in &mut feeds {
        feed.entries(2).await;
    }
    let admin = imd.admin();
    assert_eq!(lag_at(&admin, &bob, &feeds[1].cursor).await, Some(0));
    assert_ne!(seen(&admin, &ann).await.cursor, feeds[0].cursor);
    sql.batch_execute("COMMIT").await.expect("a connection");
    assert_eq!(lag_at(&admin, &ann, &feeds[0].cursor).await, Some(0));
}

async fn a_node_that_stops_writes_down_what_it_knows(imd: Cluster) {
    let (node, there) = imd.start_node().await;
    let phone = imd.user_with_phone("ann").await.through(there);
    let mut feed = phone.follow("").await;
    phone.say("ann", "a note").await;
    feed.entries(2).await;
    node.stop().await;
    let seen = seen(&imd.admin(), &phone).await;
    assert_eq!((seen.cursor, seen.lag), (feed.cursor, Some(0)));
}

async fn every_node_shows_how_far_the_terminals_of_all_have_got(imd: Cluster) {
    let (node, there) = imd.start_node().await;
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await.through(there);
    let (mut here, mut there) = (phone.follow("").await, pc.follow("").await);
    here.entries(2).await;
    let place = there.entries(2).await.pop().expect("the login").cursor;
    // Once that is written down, the pc falls behind and the phone does not.
    lag_at(&imd.admin(), &pc, &place).await;
    drop(there);
    eventually("the stream is closed", async || {
        seen(&imd.admin(), &pc).await.nodes.is_empty().then_some(())
    })
    .await;
    for text in ["one", "two", "three"] {
        phone.say("ann", text).await;
    }
    here.entries(3).await;
    for admin in [imd.admin(), node.admin()] {
        assert_eq!(lag_at(&admin, &phone, &here.cursor).await, Some(0));
        assert_eq!(lag_at(&admin, &pc, &place).await, Some(3));
        let nodes = seen(&admin, &phone).await.nodes;
        assert_eq!(nodes.len(), 1, "and where they are: {nodes:?}");
    }
}
