//! New numberings, for the day after a restore: every terminal hears of it and starts anew (I8).

use imd_proto::v1::start_epoch_request::Whose;

use crate::support::{
    api::Transport, cluster::Cluster, feed::Feed, listeners::cut_listeners, on_both_transports,
    types::Event,
};

on_both_transports! {
    i8_every_stream_on_every_node_starts_anew,
    i8_a_terminal_that_was_away_is_told_when_it_comes_back,
    i8_one_timeline_is_renumbered_and_no_other,
    i8_entries_lost_with_the_old_numbering_are_not_taken_for_new_ones,
    i9_a_new_numbering_does_not_depend_on_hints,
}

fn one(user_id: &str) -> Whose {
    Whose::UserId(user_id.to_owned())
}

/// The stream must say that the numbering has changed; the epoch that holds now.
async fn reset(feed: &mut Feed) -> i64 {
    match feed.event().await {
        Event::TimelineReset { epoch } => epoch,
        other => panic!("no reset but {other:?}"),
    }
}

async fn i8_every_stream_on_every_node_starts_anew(imd: Cluster) {
    let (_node, there) = imd.start_node().await;
    let ann = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await.through(there.clone());
    let bob = imd.user_with_phone("bob").await.through(there);
    ann.say("bob", "before").await;
    let mut feeds = [ann.follow("").await, pc.follow("").await, bob.follow("").await];
    for (feed, entries) in feeds.iter_mut().zip([3, 3, 2]) {
        feed.entries(entries).await;
    }

    let steps = imd.admin().start_epoch(Some(Whose::All(true))).await.expect("done");
    let last = steps.last().expect("an answer");
    assert_eq!((last.done, last.total), (2, 2));
    for (feed, entries) in feeds.iter_mut().zip([3, 3, 2]) {
        let epoch = reset(feed).await;
        assert!(epoch > feed.opened.epoch);
        let all = feed.entries(entries).await;
        assert!(all.iter().zip(1..).all(|(entry, seq)| entry.seq == seq), "all, from the floor");
        assert!(all.iter().all(|entry| entry.cursor == format!("{epoch}.{}", entry.seq)));
        assert_eq!(all[entries - 1].text(), "before");
    }
    // And it goes on.
    bob.say("ann", "after").await;
    for feed in &mut feeds {
        assert_eq!(feed.entry().await.text(), "after");
    }
}

async fn i8_a_terminal_that_was_away_is_told_when_it_comes_back(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let cursor = phone.say("ann", "a note").await.cursor;
    let first = imd.admin().start_epoch(Some(one("ann"))).await.expect("done");
    assert_eq!(first.len(), 1);
    let pulled = phone.pull(&cursor).await.expect("the timeline");
    assert_eq!(pulled.timeline_reset, Some(pulled.state.epoch));
    assert_eq!(pulled.entries.len(), 2);
    let mut feed = phone.follow(&cursor).await;
    assert_eq!(reset(&mut feed).await, pulled.state.epoch);
    feed.entries(2).await;
    // The next one differs, however soon it comes.
    imd.admin().start_epoch(Some(one("ann"))).await.expect("done");
    assert!(reset(&mut feed).await > pulled.state.epoch);
}

async fn i8_one_timeline_is_renumbered_and_no_other(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let mut feeds = [ann.follow("now").await, bob.follow("now").await];
    imd.admin().start_epoch(Some(one("ann"))).await.expect("done");
    reset(&mut feeds[0]).await;
    feeds[0].entries(1).await;
    let sent = ann.say("bob", "hello").await;
    for feed in &mut feeds {
        assert_eq!(feed.entry().await.message().message_id, sent.message_id);
    }
}

/// As a restored backup leaves it: the newest entries are gone.
async fn i8_entries_lost_with_the_old_numbering_are_not_taken_for_new_ones(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let mut feed = phone.follow("").await;
    for text in ["kept", "lost", "lost"] {
        phone.say("ann", text).await;
    }
    let cursor = feed.entries(4).await.pop().expect("an entry").cursor;
    let restore = "DELETE FROM entries WHERE seq > 2; UPDATE timelines SET last_seq = 2";
    imd.database.sql().await.batch_execute(restore).await.expect("a backup");
    imd.admin().start_epoch(Some(Whose::All(true))).await.expect("done");
    for text in ["new", "new", "new"] {
        phone.say("ann", text).await;
    }
    let texts = async |feed: &mut Feed| -> Vec<String> {
        reset(feed).await;
        let entries = feed.entries(5).await;
        entries[1..].iter().map(|entry| entry.text().to_owned()).collect()
    };
    let expected = ["kept", "new", "new", "new"];
    assert_eq!(texts(&mut feed).await, expected);
    assert_eq!(texts(&mut phone.follow(&cursor).await).await, expected);
}

async fn i9_a_new_numbering_does_not_depend_on_hints(imd: Cluster) {
    let (_node, there) = imd.start_node().await;
    let phone = imd.user_with_phone("ann").await.through(there);
    let mut feed = phone.follow("now").await;
    let sql = imd.database.sql().await;
    // A node that nobody tells anything, until it sweeps because it listens anew.
    sql.batch_execute("DELETE FROM login_points WHERE user_no <> 0").await.expect("a table");
    imd.admin().start_epoch(Some(one("ann"))).await.expect("done");
    cut_listeners(&sql, 2).await;
    reset(&mut feed).await;
    feed.entries(1).await;
}

#[tokio::test]
async fn a_new_numbering_leaves_a_record() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.users(["ann", "bob"]).await;
    let admin = imd.admin();
    admin.start_epoch(Some(one("ann"))).await.expect("done");
    admin.start_epoch(Some(Whose::All(true))).await.expect("done");
    let records = admin.audit("", 2, "").await.expect("the records").records;
    let shown: Vec<_> = records.iter().map(|r| (&*r.action, &*r.user_id, &*r.details)).collect();
    assert_eq!(shown, [("start_epoch", "", r#"{"all":true}"#), ("start_epoch", "ann", "{}")],);
}

#[tokio::test]
async fn nobodys_timeline_cannot_be_renumbered() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.user("ann").await;
    let admin = imd.admin();
    assert_eq!(
        admin.start_epoch(Some(one("bob"))).await.expect_err("nobody").code,
        "user_not_found"
    );
    for unsaid in [None, Some(Whose::All(false))] {
        assert_eq!(admin.start_epoch(unsaid).await.expect_err("whose?").field(), "whose");
    }
}

/// More than one batch.
#[tokio::test]
async fn many_timelines_are_renumbered_in_short_transactions() {
    let imd = Cluster::start(Transport::Grpc).await;
    let many = "
        WITH made AS (
            INSERT INTO users (user_id) SELECT 'user' || n FROM generate_series(1, 1200) n
            RETURNING user_no
        ) INSERT INTO timelines (owner, epoch) SELECT user_no, 1 FROM made";
    let sql = imd.database.sql().await;
    sql.batch_execute(many).await.expect("users");
    let steps = imd.admin().start_epoch(Some(Whose::All(true))).await.expect("done");
    let done: Vec<_> = steps.iter().map(|step| (step.done, step.total)).collect();
    assert_eq!(done, [(500, 1200), (1000, 1200), (1200, 1200)]);
    let old = "SELECT count(*) FROM timelines WHERE epoch = 1";
    let transactions = "SELECT count(DISTINCT xmin::text) FROM timelines";
    assert_eq!(sql.query_one(old, &[]).await.expect("a count").get::<_, i64>(0), 0);
    assert_eq!(sql.query_one(transactions, &[]).await.expect("a count").get::<_, i64>(0), 3);
}
