//! A node that dies without a word.

use std::time::Duration;

use futures::StreamExt as _;
use imd::planted_bugs::PlantedBugs;
use tokio::time::timeout;

use super::{
    DEAD_NODE, Stage,
    bus::{Bus, on_both_buses},
    loses_hints,
};
use crate::{
    faults::until,
    support::{
        api::Events,
        types::{Entry, Event},
    },
};

/// How long a timeline that nobody speaks of can stay unread.
const SWEEP: Duration = Duration::from_secs(63);

on_both_buses! {

/// Neither the terminals of the node nor its users are held up by what it leaves behind.
async fn a_killed_node_leaves_nobody_online_and_locks_nobody_out(bus: Bus) {
    let Stage { near, far, ann, ben, bus: _bus, database: _database } = Stage::start(bus).await;
    let _stream = ben.follow("now").await;
    let anns_pc = far.log_in("ann", "pc").await;
    let _anns_stream = anns_pc.follow("now").await;
    let online = async || {
        let sessions = ann.sessions().await.expect("a list");
        let pc = sessions.into_iter().find(|session| session.session_id == anns_pc.session_id());
        pc.expect("a session that is live").online
    };
    assert!(online().await);
    far.kill();

    let bens_new_phone = near.log_in("ben", "phone").await;
    let replaced: Vec<_> = bens_new_phone.replaced.iter().map(|s| &s.session_id).collect();
    assert_eq!(replaced, [ben.session_id()]);
    let mut feed = anns_pc.through(near.api()).follow("now").await;
    let sent = ann.say("ann", "a note").await;
    assert_eq!(feed.entry().await.message().message_id, sent.message_id);
    drop(feed);
    until("the session is offline", DEAD_NODE, async || (!online().await).then_some(())).await;
}

async fn the_users_of_a_killed_node_are_offline_when_it_is_seen_dead(bus: Bus) {
    let Stage { near: _near, far, ann, ben, bus: _bus, database: _database } =
        Stage::start(bus).await;
    let _stream = ben.follow("now").await;
    let mut feed = ann.watch(&["ben"]).await;
    let state = |event: Event| match event {
        Event::Presence(users) => users[0].state.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(state(feed.event().await), "ONLINE");
    far.kill();
    until("its user is offline", DEAD_NODE, async || {
        let seen = ann.presence(&["ben"]).await.expect("presence");
        (seen[0].state == "OFFLINE" && seen[0].last_seen.is_some()).then_some(())
    })
    .await;
    assert_eq!(state(feed.event().await), "OFFLINE");
}

/// The near node dies between the commit and the hint.
async fn what_a_killed_node_did_not_tell_is_found_when_it_is_seen_dead(bus: Bus) {
    let Stage { near, far: _far, ann, ben, bus: _bus, database: _database } =
        Stage::start_with(bus, loses_hints(), PlantedBugs::default()).await;
    let mut events = ben.api.subscribe(&ben.token, "now").await.expect("a stream");
    let sent = ann.say("ben", "famous last words").await;
    near.kill();
    let entry = entry_within(DEAD_NODE, &mut events).await;
    assert_eq!(entry.message().message_id, sent.message_id);
}

}

/// Neither a hint nor a number tells of the entry, and nobody dies.
#[tokio::test]
async fn a_sweep_each_minute_finds_what_nothing_tells_of() {
    let stage = Stage::start(Bus::postgres()).await;
    let mut events = stage.ben.api.subscribe(&stage.ben.token, "now").await.expect("a stream");
    stage.ann.say("ben", "said").await;
    entry_within(DEAD_NODE, &mut events).await;
    stage.append_silently().await;
    assert_eq!(entry_within(SWEEP, &mut events).await.text(), "said");
}

/// The next entry of a stream, which must come within `patience`.
async fn entry_within(patience: Duration, events: &mut Events) -> Entry {
    let entry = async {
        loop {
            match events.next().await {
                Some(Ok(Event::Entry(entry))) => return entry,
                Some(Ok(Event::Opened(_) | Event::Heartbeat)) => {}
                other => panic!("the stream goes on with {other:?}"),
            }
        }
    };
    timeout(patience, entry).await.unwrap_or_else(|_| panic!("no entry within {patience:?}"))
}
