//! What a stream says beside entries (I8), and signs of life.

use futures::StreamExt;

use crate::support::{
    api::Transport,
    cluster::Cluster,
    on_both_transports,
    types::{Event, HistoryTruncated, Kind},
    within_deadline,
};

on_both_transports! {
    a_bad_cursor_is_refused_by_name,
    i8_a_cursor_of_another_numbering_resets_the_timeline,
    i8_entries_that_are_gone_are_announced,
    i5_an_entry_of_an_unknown_kind_passes_by,
    a_quiet_stream_shows_that_it_is_alive,
}

async fn a_bad_cursor_is_refused_by_name(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    for bad in ["1", "then", "1.x", "-1.2", "1.2.3", "1.99999999999999999999"] {
        let refused = phone.api.subscribe(&phone.token, bad).await.err().expect(bad);
        assert_eq!(refused.field(), "after", "{bad:?}");
        assert_eq!(phone.pull(bad).await.expect_err(bad).field(), "after", "{bad:?}");
    }
}

async fn i8_a_cursor_of_another_numbering_resets_the_timeline(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    phone.say("ann", "a note").await;
    let state = phone.pull("").await.expect("the timeline").state;
    let other_epoch = format!("{}.1", state.epoch - 1);
    let too_far = format!("{}.3", state.epoch);
    for cursor in [&other_epoch, &too_far] {
        let mut feed = phone.follow(cursor).await;
        assert_eq!(feed.opened, state);
        assert_eq!(feed.event().await, Event::TimelineReset { epoch: state.epoch });
        assert_eq!(feed.entries(2).await[1].text(), "a note", "all of it, from the floor");
        let pulled = phone.pull(cursor).await.expect("the timeline");
        assert_eq!(pulled.timeline_reset, Some(state.epoch));
        assert_eq!(pulled.entries.len(), 2);
    }
    let end = format!("{}.2", state.epoch);
    let pulled = phone.pull(&end).await.expect("nothing new");
    assert_eq!((pulled.timeline_reset, pulled.entries.len()), (None, 0));
}

async fn i8_entries_that_are_gone_are_announced(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    for n in 2..=8 {
        phone.say("ann", &n.to_string()).await;
    }
    let state = phone.pull("").await.expect("the timeline").state;
    let epoch = state.epoch;
    purge(&imd, 5).await;

    let gone = HistoryTruncated { from: 3, to: 5, retention: state.retention };
    let cursor = format!("{epoch}.2");
    let mut feed = phone.follow(&cursor).await;
    assert_eq!(feed.opened.floor, 6);
    assert_eq!(feed.event().await, Event::HistoryTruncated(gone.clone()));
    assert_eq!(feed.entry().await.seq, 6);
    let pulled = phone.pull(&cursor).await.expect("the timeline");
    assert_eq!(pulled.history_truncated, Some(gone));
    assert_eq!(pulled.entries[0].seq, 6);

    let at_the_floor = phone.pull(&format!("{epoch}.5")).await.expect("the timeline");
    assert_eq!(at_the_floor.history_truncated, None, "nothing is missing behind 5");
    let fresh = phone.pull("").await.expect("the timeline");
    assert_eq!(fresh.history_truncated, None, "a new device misses nothing that it could have");
    assert_eq!(fresh.entries[0].seq, 6);
}

async fn i5_an_entry_of_an_unknown_kind_passes_by(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let mut feed = phone.follow("now").await;
    let sql = imd.database.sql().await;
    sql.batch_execute(
        "UPDATE timelines SET last_seq = last_seq + 1;
         INSERT INTO entries (owner, seq, message_no, appended_at, kind, body)
         SELECT owner, last_seq, last_message_no, now(), 999, '' FROM timelines",
    )
    .await
    .expect("an entry of a later version");
    phone.say("ann", "after it").await;
    let entries = feed.entries(2).await;
    assert_eq!(entries[0].kind, Kind::Unknown);
    assert_eq!(entries[1].text(), "after it");
    assert_eq!(phone.pull("").await.expect("the timeline").entries[1..], entries);
}

async fn a_quiet_stream_shows_that_it_is_alive(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let mut events = phone.api.subscribe(&phone.token, "now").await.expect("a stream");
    let mut next = async || within_deadline("an event", events.next()).await;
    assert!(matches!(next().await, Some(Ok(Event::Opened(_)))));
    assert_eq!(next().await, Some(Ok(Event::Heartbeat)));
    assert_eq!(next().await, Some(Ok(Event::Heartbeat)));
}

/// Removes all entries up to `seq`, as a purge does.
async fn purge(imd: &Cluster, seq: i64) {
    let sql = imd.database.sql().await;
    let purge =
        format!("UPDATE timelines SET purged_to = {seq}; DELETE FROM entries WHERE seq <= {seq};");
    sql.batch_execute(&purge).await.expect("a purge");
}

#[tokio::test]
async fn i5_an_event_source_resumes_by_its_last_event_id() {
    let imd = Cluster::start(Transport::Rest).await;
    let phone = imd.user_with_phone("ann").await;
    let first = phone.say("ann", "one").await;
    phone.say("ann", "two").await;
    let url = format!("http://{}/v1/events?after=now", imd.node.public_address());
    let mut response = reqwest::Client::new()
        .get(url)
        .bearer_auth(&phone.token)
        .header("last-event-id", &first.cursor)
        .send()
        .await
        .expect("a stream");
    let mut text = String::new();
    let read = async {
        while !text.contains("event: entry") || !text.ends_with("\n\n") {
            let bytes = response.chunk().await.expect("bytes").expect("more");
            text.push_str(std::str::from_utf8(&bytes).expect("UTF-8"));
        }
    };
    within_deadline("an entry", read).await;
    assert!(text.contains(r#""text":"two""#) && !text.contains(r#""text":"one""#), "{text}");
}
