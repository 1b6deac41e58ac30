//! Every read respects the limits, by the same rule, and says that it does (I8).

use super::{DAY, age, seqs};
use crate::support::{
    cluster::Cluster,
    on_both_transports,
    terminal::Terminal,
    types::{Event, HistoryTruncated, Retention},
};

on_both_transports! {
    i8_an_age_limit_holds_for_every_read,
    i8_a_limit_on_messages_counts_messages_alone,
    the_stricter_of_both_limits_holds,
    without_limits_everything_is_seen,
    i8_a_cursor_below_the_floor_is_told_what_is_gone,
    a_timeline_can_be_read_from_the_last_few_on,
    a_user_who_may_see_nothing_gets_what_comes,
    a_clock_that_goes_back_disturbs_no_limit,
}

/// Ann, whose timeline is a login and nine messages, seqs 2 to 10, the even ones with Bob and the others
/// with Carol, but the first three with Dave. The newest is half a day old, each a day older than the next.
async fn nine_days(imd: &Cluster) -> Terminal {
    let ann = imd.user_with_phone("ann").await;
    imd.users(["bob", "carol", "dave"]).await;
    for n in 2..=10 {
        let peer = match n {
            ..=4 => "dave",
            n if n % 2 == 0 => "bob",
            _ => "carol",
        };
        ann.say(peer, &n.to_string()).await;
    }
    age(imd).await;
    ann
}

async fn floor(ann: &Terminal) -> i64 {
    ann.pull("").await.expect("the timeline").state.floor
}

async fn i8_an_age_limit_holds_for_every_read(imd: Cluster) {
    let ann = nine_days(&imd).await;
    imd.admin().set_limits("ann", Some(4 * DAY), None).await.expect("limits of her own");
    let limits = Retention {
        tier: "unlimited".to_owned(),
        overridden: true,
        max_age_seconds: Some(4 * DAY),
        max_messages: None,
        max_bytes: None,
    };

    let pulled = ann.pull("").await.expect("the timeline");
    assert_eq!(seqs(&pulled.entries), [7, 8, 9, 10]);
    assert_eq!((pulled.state.floor, pulled.state.last_seq), (7, 10));
    assert_eq!(pulled.state.retention, limits);
    assert_eq!(pulled.history_truncated, None, "nothing is missing to who asks from the floor on");

    let mut feed = ann.follow("").await;
    assert_eq!(feed.opened, pulled.state);
    assert_eq!(feed.entries(4).await, pulled.entries);

    let with_bob = ann.history("bob", 0, "").await.expect("a page");
    assert_eq!(
        (seqs(&with_bob.entries), with_bob.end.as_deref()),
        (vec![10, 8], Some("RETENTION_LIMIT"))
    );
    assert_eq!(with_bob.state.retention, limits);
    let with_dave = ann.history("dave", 0, "").await.expect("a page");
    assert_eq!(
        (seqs(&with_dave.entries), with_dave.end.as_deref()),
        (vec![], Some("RETENTION_LIMIT"))
    );
    let with_herself = ann.history("ann", 0, "").await.expect("a page");
    assert_eq!(with_herself.end.as_deref(), Some("BEGINNING"), "no limit hides what never was");

    let listed = ann.api.conversations(&ann.token, 0, "").await.expect("the conversations");
    let ids: Vec<_> = listed.conversations.iter().map(|c| c.conversation_id.as_str()).collect();
    assert_eq!(ids, ["user:bob", "user:carol"], "nothing of the one with Dave is seen any more");
}

async fn i8_a_limit_on_messages_counts_messages_alone(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.admin().set_limits("ann", None, Some(3)).await.expect("limits of her own");
    for n in 2..=4 {
        assert_eq!(floor(&ann).await, 1);
        ann.say("ann", &n.to_string()).await;
    }
    assert_eq!(floor(&ann).await, 2, "an event goes with the message before it");
    for device in ["a", "b", "c"] {
        imd.log_in("ann", "pad", device).await;
    }
    assert_eq!(floor(&ann).await, 2, "logins use up no message");
    ann.say("ann", "the fourth").await;
    let pulled = ann.pull("").await.expect("the timeline");
    assert_eq!(seqs(&pulled.entries), [3, 4, 5, 6, 7, 8]);
}

async fn the_stricter_of_both_limits_holds(imd: Cluster) {
    let ann = nine_days(&imd).await;
    let admin = imd.admin();
    for (days, messages, lowest) in [
        (4, 9, 7),
        (4, 4, 7),
        (4, 3, 8),
        (9, 2, 9),
        (1, 9, 10),
        (20, 20, 1),
        (0, 9, 11),
        (9, 0, 11),
    ] {
        admin.set_limits("ann", Some(days * DAY), Some(messages)).await.expect("limits");
        assert_eq!(floor(&ann).await, lowest, "{days} days and {messages} messages");
    }
}

async fn without_limits_everything_is_seen(imd: Cluster) {
    let ann = nine_days(&imd).await;
    imd.admin().set_limits("ann", None, None).await.expect("an override without limits");
    let pulled = ann.pull("").await.expect("the timeline");
    assert_eq!((pulled.entries.len(), pulled.state.floor), (10, 1));
    assert!(pulled.state.retention.overridden);
    let user = imd.admin().set_tier("ann", "unlimited").await.expect("a tier");
    assert!(!user.retention.expect("what holds").overridden, "a tier takes the override away");
    let page = ann.history("dave", 0, "").await.expect("a page");
    assert_eq!((seqs(&page.entries), page.end.as_deref()), (vec![4, 3, 2], Some("BEGINNING")));
}

async fn i8_a_cursor_below_the_floor_is_told_what_is_gone(imd: Cluster) {
    let ann = nine_days(&imd).await;
    let cursors: Vec<String> = {
        let all = ann.pull("").await.expect("the timeline").entries;
        all.into_iter().map(|entry| entry.cursor).collect()
    };
    let limited = imd.admin().set_limits("ann", Some(4 * DAY), Some(5)).await.expect("limits");
    assert!(limited.retention.expect("what holds").overridden);
    for (cursor, gone) in
        [(0, Some((2, 6))), (3, Some((5, 6))), (4, Some((6, 6))), (5, None), (8, None)]
    {
        let pulled = ann.pull(&cursors[cursor]).await.expect("the timeline");
        let range = pulled.history_truncated.as_ref().map(|gone| (gone.from, gone.to));
        assert_eq!(range, gone, "after {}", cursor + 1);
        let mut feed = ann.follow(&cursors[cursor]).await;
        if let Some((from, to)) = gone {
            let retention = pulled.state.retention.clone();
            assert_eq!(retention.max_messages, Some(5));
            let told = HistoryTruncated { from, to, retention };
            assert_eq!(feed.event().await, Event::HistoryTruncated(told));
        }
        assert_eq!(feed.entries(pulled.entries.len()).await, pulled.entries);
        assert_eq!(pulled.entries.last().map(|entry| entry.seq), Some(10));
    }
}

async fn a_timeline_can_be_read_from_the_last_few_on(imd: Cluster) {
    let ann = nine_days(&imd).await;
    for (last, first) in [(1, 10), (3, 8), (10, 1), (11, 1), (i32::MAX, 1)] {
        let start = format!("last={last}");
        let pulled = ann.pull(&start).await.expect("the timeline");
        assert_eq!(seqs(&pulled.entries), (first..=10).collect::<Vec<_>>(), "{start}");
        assert_eq!((pulled.history_truncated, pulled.timeline_reset), (None, None));
        assert_eq!(ann.follow(&start).await.entries(pulled.entries.len()).await, pulled.entries);
    }
    let mut feed = ann.follow("last=2").await;
    let sent = ann.say("ann", "live").await;
    assert_eq!(seqs(&feed.entries(3).await), [9, 10, sent.seq]);

    imd.admin().set_limits("ann", None, Some(2)).await.expect("limits");
    assert_eq!(seqs(&ann.pull("last=5").await.expect("the timeline").entries), [10, 11]);
    assert_eq!(ann.pull("last=-1").await.expect_err("negative").field(), "last");
}

async fn a_user_who_may_see_nothing_gets_what_comes(imd: Cluster) {
    let ann = nine_days(&imd).await;
    imd.user("erin").await;
    imd.admin().set_limits("ann", Some(0), Some(0)).await.expect("limits");
    let pulled = ann.pull("").await.expect("the timeline");
    assert_eq!((pulled.entries.len(), pulled.state.floor, pulled.state.last_seq), (0, 11, 10));
    assert_eq!(
        ann.history("bob", 0, "").await.expect("a page").end.as_deref(),
        Some("RETENTION_LIMIT")
    );
    let listed = ann.api.conversations(&ann.token, 0, "").await.expect("the conversations");
    assert_eq!(listed.conversations.len(), 0);
    let mut feed = ann.follow("").await;
    let sent = ann.say("erin", "live").await;
    assert_eq!(feed.entry().await.seq, sent.seq);
    assert_eq!(floor(&ann).await, 12);
}

async fn a_clock_that_goes_back_disturbs_no_limit(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    ann.say("ann", "an hour ahead").await;
    let sql = imd.database.sql().await;
    let ahead = "
        UPDATE timelines SET last_at = now() + interval '1 hour';
        UPDATE entries SET appended_at = now() + interval '1 hour' WHERE seq = 2";
    sql.batch_execute(ahead).await.expect("a clock that was ahead");
    let sent = ann.say("ann", "with the clock set right").await;
    imd.log_in("ann", "pc", "desk").await;
    let entries = ann.pull("").await.expect("the timeline").entries;
    assert!(entries.is_sorted_by_key(|entry| entry.appended_at), "{entries:?}");
    assert_eq!(sent.sent_at, entries[2].appended_at);
    imd.admin().set_limits("ann", Some(60), None).await.expect("limits");
    assert_eq!(floor(&ann).await, 1);
    sql.batch_execute("UPDATE entries SET appended_at = now() - interval '1 hour' WHERE seq = 1")
        .await
        .expect("an old entry");
    assert_eq!(floor(&ann).await, 2);
}
