//! What hints do, and what they do not.

use futures::{StreamExt as _, future::join_all, stream::BoxStream};
use imd::planted_bugs::PlantedBugs;
use serde_json::{Value, json};

use super::{LOST_HINT, Stage, bus::on_both_buses, loses_hints, never_sweeps};
use crate::faults::node::Plan;
use crate::support::{
    api::{Outgoing, OutgoingSignal},
    types::{Content, Event},
    within_deadline,
};

on_both_buses! {

/// The far node never sweeps: the hints do it.
async fn a_hint_makes_the_other_node_deliver(bus: Bus) {
    let stage = Stage::start_with(bus, PlantedBugs::default(), never_sweeps()).await;
    let mut feed = stage.ben.follow("now").await;
    // A node does not wait for its bus to start.
    stage.hints_get_through(&mut feed, Vec::new()).await;
    for text in ["one", "two", "three"] {
        stage.delay(&mut feed, text).await;
    }
}

async fn a_lost_hint_delays_a_delivery_by_three_seconds_at_most(bus: Bus) {
    let stage = Stage::start_with(bus, loses_hints(), PlantedBugs::default()).await;
    let mut feed = stage.ben.follow("now").await;
    for text in ["one", "two"] {
        let delay = stage.delay(&mut feed, text).await;
        assert!(delay < LOST_HINT, "{text}: {delay:?}");
    }
}

/// Whatever a message says, it says the same at the other node; one that is too long for a hint is
/// fetched.
async fn messages_arrive_through_hints_as_they_were_sent(bus: Bus) {
    let stage = Stage::start_with(bus, PlantedBugs::default(), never_sweeps()).await;
    let mut feed = stage.ben.follow("now").await;
    stage.hints_get_through(&mut feed, Vec::new()).await;
    let all_bytes: Vec<u8> = (0..=u8::MAX).collect();
    let contents = [
        Content::Text("\"quoted\", \\ and \u{0}\u{1b}\n".to_owned()),
        Content::Text("你好 👋🏽 e\u{301} \u{2028}".to_owned()),
        Content::Text("\u{1}".repeat(2_000)),
        Content::Text("long ".repeat(3_000)),
        Content::Data { content_type: "application/x-all".to_owned(), data: all_bytes },
        Content::Data { content_type: "image/png".to_owned(), data: vec![0; 15_000] },
    ];
    for content in contents {
        let before = feed.cursor.clone();
        let message = Outgoing::new("ben", content.clone());
        let sent = stage.ann.send(&message).await.expect("sent");
        let entry = feed.entry().await;
        assert_eq!(entry.message().message_id, sent.message_id);
        assert_eq!(entry.message().content.as_ref(), Some(&content));
        let stored = stage.ben.pull(&before).await.expect("a page");
        assert_eq!(stored.entries, [entry]);
    }
}

/// Signals go over the bus and are not numbered: the far node never sweeps, and hints get through as before.
async fn signals_arrive_at_the_other_node(bus: Bus) {
    let stage = Stage::start_with(bus, PlantedBugs::default(), never_sweeps()).await;
    let mut feed = stage.ben.follow("now").await;
    stage.hints_get_through(&mut feed, Vec::new()).await;
    let all_bytes: Vec<u8> = (0..=u8::MAX).cycle().take(1024).collect();
    for round in 0..20 {
        let data = OutgoingSignal::data("ben", "application/x-all", &all_bytes);
        stage.ann.signal(&data).await.expect("it is taken");
        let Event::Signal(signal) = feed.event().await else { panic!("no signal") };
        assert_eq!(signal.data.as_deref(), data.content["data"].as_str());
        stage.delay(&mut feed, &round.to_string()).await;
    }
}

/// Sweeps are a minute apart: the bus does it.
async fn a_user_who_comes_is_seen_from_the_other_node(bus: Bus) {
    let stage = Stage::start(bus).await;
    let mut feed = stage.ann.watch(&["ben"]).await;
    let Event::Presence(users) = feed.event().await else { panic!("no presence") };
    assert_eq!(users[0].state, "OFFLINE");
    let mut of_ben = stage.ben.follow("now").await;
    let sent = stage.ann.say("ben", "is the bus there?").await;
    stage.hints_get_through(&mut of_ben, vec![sent]).await;
    let Event::Presence(users) = feed.presence().await else { panic!("no presence") };
    assert_eq!(users[0].state, "ONLINE");
    for (idle, state) in [(true, "IDLE"), (false, "ONLINE")] {
        stage.ben.set_idle(idle).await;
        let Event::Presence(users) = feed.presence().await else { panic!("no presence") };
        assert_eq!(users[0].state, state);
    }
}

async fn repeated_reordered_and_unreadable_hints_do_no_harm(bus: Bus) {
    let stage = Stage::start(bus).await;
    let mut feed = stage.ben.follow("now").await;
    let (ben, nodes) = (stage.user_no("ben").await, stage.node_nos().await);
    let [near, far] = nodes[..] else { panic!("two nodes: {nodes:?}") };
    let mut to_far = stage.bus.tap(&stage.database, far).await;
    let hint = |from: i64, no: i64, owner: i64, seq: i64| {
        json!({ "from": from, "no": no, "timelines": [[owner, seq, seq]] }).to_string()
    };
    let last = feed.opened.last_seq;
    let mut said = vec![
        // Of before, of now, of a time to come; repeated, and of numbers in any order.
        hint(near, 3, ben, last + 3),
        hint(near, 1, ben, last + 1),
        hint(near, 1, ben, last + 1),
        hint(near, 2, ben, 0),
        hint(near, 2, ben, -1),
        hint(near, 3, ben, last + 1_000_000),
        // Of nodes and users that are not there.
        hint(999_999, 1, ben, last + 2),
        hint(near, 3, 999_999, 7),
        hint(far, 1, ben, last + 1),
        json!({ "from": near, "no": 3, "timelines": [] }).to_string(),
        // Unreadable.
        json!({ "from": near }).to_string(),
        json!({ "from": "near", "no": 1, "timelines": [] }).to_string(),
        json!({ "from": near, "no": 1, "entries": [[ben, {}]] }).to_string(),
        "{".to_owned(),
        "garbage".to_owned(),
        String::new(),
    ];
    for round in ["one", "two", "three"] {
        for payload in &said {
            stage.bus.publish(&stage.database, far, payload.as_bytes()).await;
        }
        let delay = stage.delay(&mut feed, round).await;
        assert!(delay < LOST_HINT, "{round}: {delay:?}");
        // What carried the message comes twice more, once as if of another numbering.
        let mut carried = loop {
            let hint = serde_json::from_str::<Value>(&said_to(&mut to_far).await);
            if let Ok(hint) = hint
                && hint["entries"][0][0] == ben
            {
                break hint;
            }
        };
        said.push(carried.to_string());
        carried["entries"][0][1]["cursor"]["epoch"] = 1.into();
        said.push(carried.to_string());
    }
}

async fn hints_go_to_the_nodes_concerned_and_several_entries_share_one(bus: Bus) {
    const MESSAGES: usize = 200;
    let stage = Stage::start(bus).await;
    let plan = Plan { bus_url: stage.bus.url(), ..Plan::on(stage.database.url()) };
    let _bystander = plan.start().await;
    let nodes = stage.node_nos().await;
    let mut to_far = stage.bus.tap(&stage.database, nodes[1]).await;
    let mut to_bystander = stage.bus.tap(&stage.database, nodes[2]).await;
    let mut feed = stage.ben.follow("now").await;

    let messages: Vec<_> = (0..MESSAGES).map(|no| Outgoing::text("ben", no.to_string())).collect();
    join_all(messages.iter().map(|message| stage.ann.send(message))).await;
    let last = feed.entries(MESSAGES).await.pop().expect("some").seq;
    let ben = stage.user_no("ben").await;
    let mut hints = 0;
    loop {
        let hint = said_to(&mut to_far).await;
        let hint: Value = serde_json::from_str(&hint).expect("a hint");
        hints += 1;
        assert_eq!(hint["no"], hints, "hints are numbered: {hint}");
        let entries = hint["entries"].as_array().expect("a list");
        if entries.iter().any(|entry| entry[0] == ben && entry[1]["cursor"]["seq"] == last) {
            break;
        }
    }
    assert!(hints < MESSAGES, "{hints} hints of {MESSAGES} messages");

    stage.bus.publish(&stage.database, nodes[2], b"the end").await;
    assert_eq!(said_to(&mut to_bystander).await, "the end");
}

}

/// The next that is said to a node, other than of whom to look how they are: that goes to all.
async fn said_to(tap: &mut BoxStream<'static, String>) -> String {
    loop {
        let said = within_deadline("something is said", tap.next()).await.expect("a connection");
        if !said.starts_with("p{") {
            return said;
        }
    }
}
