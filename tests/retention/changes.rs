//! A changed limit holds on the next read, on every node (I12).

use super::{DAY, age, seqs};
use crate::support::{
    admin::tier,
    cluster::Cluster,
    on_both_transports,
    types::{Event, HistoryTruncated},
};

on_both_transports! {
    i12_a_changed_tier_holds_on_the_next_read_on_every_node,
    i12_a_changed_user_holds_on_the_next_read_on_every_node,
    a_stream_goes_on_while_the_limits_change,
    i8_a_stream_that_fell_behind_a_new_floor_is_told,
    i3_a_session_whose_end_is_hidden_ends_all_the_same,
}

async fn i12_a_changed_tier_holds_on_the_next_read_on_every_node(imd: Cluster) {
    let (_node, other) = imd.start_node().await;
    let ann = imd.user_with_phone("ann").await;
    let elsewhere = ann.through(other);
    for n in 2..=10 {
        ann.say("ann", &n.to_string()).await;
    }
    let admin = imd.admin();
    admin.apply_tiers(vec![tier("free", None, Some(5))]).await.expect("a tier");
    admin.set_tier("ann", "free").await.expect("the user's tier");
    for messages in [5, 2, 9, 0, 7] {
        admin.apply_tiers(vec![tier("free", None, Some(messages))]).await.expect("a change");
        for terminal in [&elsewhere, &ann] {
            let floor = terminal.pull("").await.expect("the timeline").state.floor;
            assert_eq!(floor, 11 - messages, "{messages} messages");
            let page = terminal.history("ann", 0, "").await.expect("a page");
            assert_eq!(page.entries.len(), usize::try_from(messages).expect("few"));
        }
    }
}

async fn i12_a_changed_user_holds_on_the_next_read_on_every_node(imd: Cluster) {
    let (_node, other) = imd.start_node().await;
    let ann = imd.user_with_phone("ann").await;
    let elsewhere = ann.through(other);
    for n in 2..=10 {
        ann.say("ann", &n.to_string()).await;
    }
    age(&imd).await;
    let admin = imd.admin();
    admin.apply_tiers(vec![tier("free", Some(3 * DAY), None)]).await.expect("a tier");
    admin.set_tier("ann", "free").await.expect("the user's tier");
    assert_eq!(seqs(&elsewhere.pull("").await.expect("the timeline").entries), [8, 9, 10]);
    admin.set_limits("ann", Some(5 * DAY), None).await.expect("limits of her own");
    assert_eq!(seqs(&elsewhere.pull("").await.expect("the timeline").entries), [6, 7, 8, 9, 10]);
    admin.set_tier("ann", "unlimited").await.expect("the user's tier");
    assert_eq!(elsewhere.pull("").await.expect("the timeline").entries.len(), 10);
}

async fn a_stream_goes_on_while_the_limits_change(imd: Cluster) {
    let (_node, other) = imd.start_node().await;
    let ann = imd.user_with_phone("ann").await;
    imd.admin().apply_tiers(vec![tier("free", None, Some(2))]).await.expect("a tier");
    let mut here = ann.follow("").await;
    let mut there = ann.through(other).follow("").await;
    for name in ["unlimited", "free", "unlimited", "free"] {
        imd.admin().set_tier("ann", name).await.expect("the user's tier");
        for n in 0..3 {
            ann.say("ann", &format!("{name} {n}")).await;
        }
    }
    let told = here.entries(13).await;
    assert_eq!(seqs(&told), (1..=13).collect::<Vec<_>>());
    // The other node may have read the log for some of them, and so have told what a limit hid.
    let mut next = 1;
    while next <= 13 {
        match there.event().await {
            Event::Entry(entry) => {
                assert_eq!(entry.seq, next);
                next += 1;
            }
            Event::HistoryTruncated(gone) => {
                assert_eq!(gone.from, next);
                next = gone.to + 1;
            }
            other => panic!("{other:?}"),
        }
    }
}

async fn i8_a_stream_that_fell_behind_a_new_floor_is_told(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let mut feed = ann.follow("").await;
    feed.entry().await;
    let cursor = feed.cursor.clone();
    drop(feed);
    for n in 2..=10 {
        ann.say("ann", &n.to_string()).await;
    }
    imd.admin().set_limits("ann", None, Some(4)).await.expect("limits");
    let mut feed = ann.follow(&cursor).await;
    let retention = feed.opened.retention.clone();
    let gone = HistoryTruncated { from: 2, to: 6, retention };
    assert_eq!(feed.event().await, Event::HistoryTruncated(gone));
    assert_eq!(seqs(&feed.entries(4).await), [7, 8, 9, 10]);

    imd.admin().set_tier("ann", "unlimited").await.expect("a wider limit");
    let mut feed = ann.follow(&cursor).await;
    assert_eq!(
        seqs(&feed.entries(9).await),
        (2..=10).collect::<Vec<_>>(),
        "what was hidden is back"
    );
}

async fn i3_a_session_whose_end_is_hidden_ends_all_the_same(imd: Cluster) {
    let (_node, other) = imd.start_node().await;
    let phone = imd.user_with_phone("ann").await;
    imd.admin().set_limits("ann", Some(0), Some(0)).await.expect("she may see nothing");
    let mut here = phone.follow("").await;
    // A node that hears of the end reads it from the log, where the limits hide it.
    let mut there = phone.through(other).follow("").await;
    imd.log_in("ann", "phone", "new").await;
    for feed in [&mut here, &mut there] {
        let (entries, last) = feed.to_the_end().await;
        assert_eq!(entries, []);
        let Event::SessionEnded(end) = last else { panic!("{last:?}") };
        assert_eq!(end.reason, "REPLACED");
    }
}
