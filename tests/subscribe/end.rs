//! How streams end: told why (I2), and never past the entry that ends their own session (I3).

use futures::StreamExt;
use imd_proto::v1::kick_sessions_request::Which;

use crate::support::{
    api::Events,
    cluster::Cluster,
    on_every_transport,
    types::{Entry, Event},
    within_deadline,
};

/// Reads a stream that nobody has read so far to its end.
async fn read(events: Events) -> (Vec<Entry>, Event) {
    let all = within_deadline("the end of the stream", events.collect::<Vec<_>>()).await;
    let mut all: Vec<Event> = all.into_iter().map(|event| event.expect("an event")).collect();
    let last = all.pop().expect("a last event");
    let entry = |event| match event {
        Event::Entry(entry) => Some(entry),
        _ => None,
    };
    (all.into_iter().filter_map(entry).collect(), last)
}

on_every_transport! {
    i2_a_kicked_terminal_gets_the_note_and_no_other_is_disturbed,
    i3_a_stream_delivers_nothing_behind_the_end_of_its_session,
    i2_all_streams_of_a_session_end_with_it,
    i11_a_node_that_stops_sends_its_streams_elsewhere,
}

async fn i2_a_kicked_terminal_gets_the_note_and_no_other_is_disturbed(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let (mut on_phone, mut on_pc) = (phone.follow("now").await, pc.follow("now").await);
    let which = Some(Which::TerminalType("phone".to_owned()));
    let ended = imd.admin().kick("ann", which, "lost at the airport").await.expect("kicked");
    assert_eq!(ended.len(), 1);

    let (_, last) = on_phone.to_the_end().await;
    let Event::SessionEnded(end) = last else { panic!("{last:?}") };
    assert_eq!((end.reason.as_str(), end.note.as_str()), ("KICKED", "lost at the airport"));
    assert_eq!((end.by_terminal_type.as_str(), end.by_device_name.as_str()), ("", ""));
    let refused = phone.sessions().await.expect_err("kicked");
    assert_eq!((refused.end_reason(), refused.detail("note")), ("KICKED", "lost at the airport"));

    assert_eq!(on_pc.entry().await.session_changed().ended[0].end(), &end);
    pc.say("ann", "still here").await;
    assert_eq!(on_pc.entry().await.text(), "still here");
}

async fn i3_a_stream_delivers_nothing_behind_the_end_of_its_session(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let pc = imd.log_in("bob", "pc", "desk").await;
    let unread = bob.api.subscribe(&bob.token, "").await.expect("a stream");
    ann.say_at_once("bob", (0..300).map(|n| format!("before {n}"))).await;
    imd.admin().kick("bob", Some(Which::TerminalType("phone".into())), "").await.expect("kicked");
    ann.say_at_once("bob", (0..300).map(|n| format!("after {n}"))).await;

    let (entries, last) = read(unread).await;
    assert!(matches!(&last, Event::SessionEnded(end) if end.reason == "KICKED"), "{last:?}");
    assert_eq!(entries.len(), 302, "two logins and what was sent before the kick");
    assert!(entries[2..].iter().all(|entry| entry.text().starts_with("before")));
    let all = pc.follow("").await.entries(603).await;
    assert_eq!(all[..302], entries);
    assert_eq!(all[302].session_changed().ended[0].session_id, bob.session_id());
}

async fn i2_all_streams_of_a_session_end_with_it(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let mut feeds = [phone.follow("").await, phone.follow("now").await, phone.follow("0").await];
    phone.logout().await.expect("logged out");
    for feed in &mut feeds {
        let (_, last) = feed.to_the_end().await;
        assert!(
            matches!(&last, Event::SessionEnded(end) if end.reason == "LOGGED_OUT"),
            "{last:?}"
        );
    }
}

async fn i11_a_node_that_stops_sends_its_streams_elsewhere(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    phone.say("ann", "before").await;
    let mut feed = phone.follow("").await;
    feed.entries(2).await;
    let (_other_node, other) = imd.start_node().await;
    imd.node.stop().await;
    assert_eq!(feed.to_the_end().await, (vec![], Event::Reconnect));

    let phone = phone.through(other);
    phone.say("ann", "after").await;
    assert_eq!(phone.follow(&feed.cursor).await.entry().await.text(), "after");
}
