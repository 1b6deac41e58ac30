//! A terminal that does not read costs nobody anything but itself (I10), and gets nothing of what came
//! behind the end of its session (I3).

use futures::StreamExt;

use crate::support::{
    api::Result, cluster::Cluster, feed::Feed, on_every_transport, types::Event, within_deadline,
};

/// Messages that the slow terminal leaves lying, and the size of each in bytes: together many times
/// what fits into the buffers on the way to it.
const MESSAGES: usize = 2_000;
const SIZE: usize = 8_000;

on_every_transport! {
    i10_a_terminal_that_does_not_read_slows_nobody_and_misses_nothing,
    i3_what_a_terminal_left_unread_ends_with_its_session,
    i8_what_is_purged_before_a_terminal_reads_it_is_announced,
}

async fn i10_a_terminal_that_does_not_read_slows_nobody_and_misses_nothing(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    let slow = imd.log_in("bob", "phone", "slow").await;
    let quick = imd.log_in("bob", "pc", "quick").await;
    // On connections of their own, as terminals are.
    let slow = slow.through(imd.node.api(imd.transport));
    let quick = quick.through(imd.node.api(imd.transport));
    let unread = slow.api.subscribe(&slow.token, "").await.expect("a stream");
    let mut feed = quick.follow("").await;

    let padding = "x".repeat(SIZE);
    for _ in 0..MESSAGES / 100 {
        ann.say_at_once("bob", (0..100).map(|_| padding.clone())).await;
    }
    let at_once = feed.entries(MESSAGES + 2).await;

    let late = Feed::open(unread).await.entries(MESSAGES + 2).await;
    assert!(late.iter().zip(1..).all(|(entry, seq)| entry.seq == seq));
    assert!(late == at_once, "both terminals saw the same");
}

async fn i3_what_a_terminal_left_unread_ends_with_its_session(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    // On a connection of its own, as terminals are.
    let apart = phone.through(imd.node.api(imd.transport));
    let unread = apart.api.subscribe(&apart.token, "").await.expect("a stream");
    let padding = "x".repeat(2 * SIZE);
    let before = phone.say_at_once("ann", (0..600).map(|_| padding.clone())).await;
    let second = imd.log_in("ann", "phone", "second").await;
    second.say_at_once("ann", (0..50).map(|_| "after the end".to_owned())).await;

    let read: Vec<_> = within_deadline("the end of the stream", unread.collect()).await;
    let [Ok(Event::Opened(_)), entries @ .., Ok(Event::SessionEnded(end))] = &read[..] else {
        panic!("it ends with {:?}", read.last());
    };
    assert_eq!(end.reason, "REPLACED");
    let is_entry = |event: &&Result<Event>| matches!(event, Ok(Event::Entry(_)));
    assert_eq!(entries.iter().filter(is_entry).count(), 1 + before.len(), "a login and the notes");
    let last = entries.iter().rfind(is_entry).expect("an entry");
    assert!(matches!(last, Ok(Event::Entry(entry)) if entry.text() == padding));
}

async fn i8_what_is_purged_before_a_terminal_reads_it_is_announced(imd: Cluster) {
    const NOTES: i64 = 900;
    let phone = imd.user_with_phone("ann").await;
    let apart = phone.through(imd.node.api(imd.transport));
    let unread = apart.api.subscribe(&apart.token, "").await.expect("a stream");
    let padding = "x".repeat(2 * SIZE);
    phone.say_at_once("ann", (0..NOTES).map(|_| padding.clone())).await;
    let sql = imd.database.sql().await;
    let (purged_to, last_seq) = (NOTES - 10, NOTES + 1);
    let purge = format!(
        "UPDATE timelines SET purged_to = {purged_to}; DELETE FROM entries WHERE seq <= {purged_to}"
    );
    sql.batch_execute(&purge).await.expect("a purge");

    let mut feed = Feed::open(unread).await;
    let mut next = 1;
    let mut announced = 0;
    while next <= last_seq {
        match feed.event().await {
            Event::Entry(entry) => {
                assert_eq!(entry.seq, next);
                next += 1;
            }
            Event::HistoryTruncated(gone) => {
                assert_eq!((gone.from, gone.to), (next, purged_to));
                next = gone.to + 1;
                announced += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(announced, 1, "the purge came before the terminal had read so far");
}
