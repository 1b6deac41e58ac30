//! Where a stream starts, and that it goes on from there in order, each entry once (I5).

use std::collections::HashSet;

use crate::support::{
    cluster::Cluster,
    on_every_transport,
    types::{Entry, Kind},
};

on_every_transport! {
    i8_a_stream_opens_with_the_reach_of_the_timeline,
    i5_what_is_stored_comes_first_and_then_what_comes,
    i5_a_stream_resumes_behind_its_cursor,
    i5_now_means_live_entries_only,
    i5_a_new_device_reads_everything,
    i6_every_stream_of_a_user_tells_the_same,
    i5_polling_reads_what_a_stream_reads,
    a_pull_is_as_large_as_its_limit_says,
}

async fn i8_a_stream_opens_with_the_reach_of_the_timeline(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    phone.say("ann", "a note").await;
    let feed = phone.follow("").await;
    let pulled = phone.pull("").await.expect("the timeline");
    assert_eq!(feed.opened, pulled.state);
    assert_eq!((feed.opened.last_seq, feed.opened.floor), (2, 1));
}

async fn i5_what_is_stored_comes_first_and_then_what_comes(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    for n in 0..3 {
        ann.say("bob", &format!("stored {n}")).await;
    }
    let mut feeds = [bob.follow("").await, bob.follow("0").await];
    for feed in &mut feeds {
        let stored = feed.entries(4).await;
        assert!(matches!(stored[0].kind, Kind::SessionChanged(_)), "the login comes first");
        assert_eq!(stored[3].text(), "stored 2");
    }
    ann.say("bob", "live").await;
    for feed in &mut feeds {
        let live = feed.entry().await;
        assert_eq!((live.seq, live.text()), (5, "live"));
    }
}

async fn i5_a_stream_resumes_behind_its_cursor(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let mut feed = bob.follow("").await;
    for n in 0..4 {
        ann.say("bob", &n.to_string()).await;
    }
    feed.entries(3).await;
    let cursor = feed.cursor.clone();
    drop(feed);
    ann.say("bob", "while away").await;
    let mut feed = bob.follow(&cursor).await;
    let texts: Vec<_> = feed.entries(3).await.iter().map(|entry| entry.text().to_owned()).collect();
    assert_eq!(texts, ["2", "3", "while away"]);
}

async fn i5_now_means_live_entries_only(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    ann.say("bob", "before").await;
    let mut feed = bob.follow("now").await;
    assert_eq!(feed.opened.last_seq, 2);
    ann.say("bob", "after").await;
    let entry = feed.entry().await;
    assert_eq!((entry.seq, entry.text()), (3, "after"));
}

async fn i5_a_new_device_reads_everything(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    ann.say_at_once("bob", (0..450).map(|n| n.to_string())).await;
    let bob = imd.log_in("bob", "phone", "brand-new").await;
    let entries = bob.follow("").await.entries(451).await;
    assert!(entries.iter().zip(1..).all(|(entry, seq)| entry.seq == seq));
    let texts: HashSet<_> = entries[..450].iter().map(Entry::text).collect();
    assert_eq!(texts.len(), 450);
}

async fn i6_every_stream_of_a_user_tells_the_same(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let phone = imd.user_with_phone("bob").await;
    let pc = imd.log_in("bob", "pc", "desk").await;
    let mut feeds =
        [phone.follow("").await, pc.follow("").await, pc.follow("").await, pc.follow("0").await];
    ann.say_at_once("bob", (0..20).map(|n| n.to_string())).await;
    let [first, others @ ..] = &mut feeds;
    let told = first.entries(22).await;
    for other in others {
        assert_eq!(other.entries(22).await, told);
    }
}

async fn i5_polling_reads_what_a_stream_reads(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    ann.say_at_once("bob", (0..25).map(|n| n.to_string())).await;
    let told = bob.follow("").await.entries(26).await;
    let (mut polled, mut after) = (Vec::new(), String::new());
    loop {
        let stretch = bob.api.pull(&bob.token, &after, 10).await.expect("entries");
        assert_eq!(stretch.state.last_seq, 26);
        assert!(stretch.entries.len() <= 10);
        after = stretch.next_after;
        let done = stretch.entries.is_empty();
        polled.extend(stretch.entries);
        if done {
            break;
        }
    }
    assert_eq!(polled, told);
    assert_eq!(after, told[25].cursor);
    let now = bob.pull("now").await.expect("nothing");
    assert_eq!((now.entries.len(), now.next_after), (0, after));
}

async fn a_pull_is_as_large_as_its_limit_says(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    ann.say_at_once("bob", (0..520).map(|n| n.to_string())).await;
    let pull = async |limit| ann.api.pull(&ann.token, "", limit).await;
    for (limit, size) in [(0, 100), (1, 1), (500, 500), (501, 500), (i32::MAX, 500)] {
        assert_eq!(pull(limit).await.expect("entries").entries.len(), size, "limit {limit}");
    }
    assert_eq!(pull(-1).await.expect_err("negative").field(), "limit");
}
