//! What a stream that watches is told, and when.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;

use super::{of, told, watching};
use crate::support::{
    cluster::Cluster, eventually, feed::Feed, on_both_transports, on_every_transport,
    socket::Socket, types::Event,
};

on_every_transport! {
    a_stream_is_told_how_all_are_and_then_what_changes,
    who_comes_back_at_once_was_never_away,
    a_user_is_idle_when_nobody_is_at_any_of_its_terminals,
    presence_crosses_nodes,
}

on_both_transports! {
    nothing_of_it_stands_in_a_timeline,
    a_node_that_stops_makes_nobody_leave_who_comes_back,
}

async fn a_stream_is_told_how_all_are_and_then_what_changes(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.users(["bob", "carl"]).await;
    let phone = imd.log_in("bob", "phone", "p").await;
    let pc = imd.log_in("bob", "pc", "d").await;
    let on_phone = phone.follow("now").await;
    let mut feed = ann.watch(&["bob", "carl", "ann"]).await;
    let mut first = told(&mut feed).await;
    first.sort();
    let expected = [
        of("ann", "ONLINE", &["phone"]),
        of("bob", "ONLINE", &["phone"]),
        of("carl", "OFFLINE", &[]),
    ];
    assert_eq!(first, expected, "a login alone is nobody");
    let on_pc = pc.follow("now").await;
    assert_eq!(told(&mut feed).await, [of("bob", "ONLINE", &["pc", "phone"])]);
    drop(on_phone);
    assert_eq!(told(&mut feed).await, [of("bob", "ONLINE", &["pc"])]);
    drop(on_pc);
    let Event::Presence(users) = feed.event().await else { panic!("no presence") };
    let [bob] = &users[..] else { panic!("{users:?}") };
    assert_eq!((bob.state.as_str(), &bob.terminal_types), ("OFFLINE", &Vec::new()));
    let seen = bob.last_seen.expect("a time");
    assert_eq!((seen.second(), seen.nanosecond()), (0, 0), "to the minute");
    let ago = time::OffsetDateTime::now_utc() - seen;
    assert!(ago.is_positive() && ago < Duration::from_mins(3), "{ago}");
    assert_eq!(ann.presence(&["bob"]).await.expect("presence"), users);
}

async fn who_comes_back_at_once_was_never_away(imd: Cluster) {
    let (_node, api) =
        imd.start_node_with(|settings| settings.presence.grace = Duration::from_mins(5)).await;
    let ann = imd.user_with_phone("ann").await.through(api);
    let bob = imd.user_with_phone("bob").await;
    let carl = imd.user_with_phone("carl").await;
    let mut stream = bob.follow("now").await;
    let mut feed = ann.watch(&["bob", "carl"]).await;
    told(&mut feed).await;
    let sql = imd.database.sql().await;
    for _ in 0..3 {
        drop(stream);
        let gone = "SELECT count(*) FROM login_points l JOIN users u USING (user_no)
            WHERE u.user_id = 'bob'";
        let is_gone = async || {
            let count: i64 = sql.query_one(gone, &[]).await.expect("a count").get(0);
            (count == 0).then_some(())
        };
        eventually("the stream has left", is_gone).await;
        let there = ann.presence(&["bob"]).await.expect("presence");
        assert_eq!(there[0].state, "ONLINE");
        stream = bob.follow("now").await;
    }
    let _carl = carl.follow("now").await;
    assert_eq!(told(&mut feed).await, [of("carl", "ONLINE", &["phone"])], "bob never left");
}

async fn a_user_is_idle_when_nobody_is_at_any_of_its_terminals(imd: Cluster) {
    let (_ann, mut feed) = watching(&imd).await;
    let phone = imd.log_in("bob", "phone", "p").await;
    let pc = imd.log_in("bob", "pc", "d").await;
    let idle = phone.api.watch(&phone.token, &[], true).await.expect("a stream");
    let _on_phone = Feed::open(idle).await;
    assert_eq!(told(&mut feed).await, [of("bob", "IDLE", &["phone"])]);
    let _on_pc = pc.follow("now").await;
    assert_eq!(told(&mut feed).await, [of("bob", "ONLINE", &["pc", "phone"])]);
    pc.set_idle(true).await;
    assert_eq!(told(&mut feed).await, [of("bob", "IDLE", &["pc", "phone"])]);
    phone.set_idle(false).await;
    assert_eq!(told(&mut feed).await, [of("bob", "ONLINE", &["pc", "phone"])]);
}

async fn presence_crosses_nodes(imd: Cluster) {
    let (_node, there) = imd.start_node().await;
    let (ann, mut feed) = watching(&imd).await;
    let bob = imd.log_in("bob", "phone", "p").await.through(there);
    let stream = bob.follow("now").await;
    assert_eq!(told(&mut feed).await, [of("bob", "ONLINE", &["phone"])]);
    bob.set_idle(true).await;
    assert_eq!(told(&mut feed).await, [of("bob", "IDLE", &["phone"])]);
    drop(stream);
    assert_eq!(told(&mut feed).await, [of("bob", "OFFLINE", &[])]);
    assert_eq!(ann.presence(&["bob"]).await.expect("presence")[0].state, "OFFLINE");
}

async fn nothing_of_it_stands_in_a_timeline(imd: Cluster) {
    let (ann, mut feed) = watching(&imd).await;
    let bob = imd.log_in("bob", "phone", "p").await;
    let before = (ann.timeline().await, bob.timeline().await);
    let stream = bob.follow("now").await;
    told(&mut feed).await;
    bob.set_idle(true).await;
    told(&mut feed).await;
    drop(stream);
    told(&mut feed).await;
    assert_eq!((ann.timeline().await, bob.timeline().await), before);
}

/// A restart of a node: its terminals come back to another, and who watches them is told nothing.
async fn a_node_that_stops_makes_nobody_leave_who_comes_back(imd: Cluster) {
    let grace = |settings: &mut imd::config::Settings| {
        settings.presence.grace = Duration::from_mins(5);
    };
    let (watched_at, api) = imd.start_node_with(grace).await;
    let (stopping, there) = imd.start_node().await;
    let ann = imd.user_with_phone("ann").await.through(api);
    imd.user("zoe").await;
    let names: Vec<String> = (0..20).map(|n| format!("user{n}")).collect();
    let terminals = join_all(names.iter().map(|name| imd.user_with_phone(name))).await;
    let streams = terminals.iter().map(|terminal| terminal.through(there.clone()));
    let streams = join_all(streams.map(async |terminal| terminal.follow("now").await)).await;
    let mut watched: Vec<&str> = names.iter().map(String::as_str).collect();
    watched.push("zoe");
    let mut feed = ann.watch(&watched).await;
    let first = told(&mut feed).await;
    assert_eq!(first.iter().filter(|user| user.1 == "ONLINE").count(), 20);
    stopping.stop().await;
    drop(streams);
    let _back = join_all(terminals.iter().map(|terminal| terminal.follow("now"))).await;
    let zoe = imd.log_in("zoe", "phone", "p").await;
    let _zoe = zoe.follow("now").await;
    assert_eq!(told(&mut feed).await, [of("zoe", "ONLINE", &["phone"])], "nobody left");
    drop(watched_at);
}

#[tokio::test]
async fn a_websocket_watches_others_when_it_says_so() {
    use crate::support::api::Transport;
    let imd = Cluster::start(Transport::WebSocket).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let carl = imd.user_with_phone("carl").await;
    let mut socket = Socket::open_as(imd.node.public_address(), &ann.token).await;
    socket.say(&json!({ "watch": { "user_ids": ["bob"] } })).await;
    let mut frames = async |name: &str, frame: Option<serde_json::Value>| {
        if let Some(frame) = frame {
            socket.say(&frame).await;
        }
        loop {
            let next = crate::support::within_deadline(name, socket.next()).await;
            let (found, data) = next.expect("a frame");
            if found == name {
                break data;
            }
            assert!(["authenticated", "heartbeat", "opened"].contains(&&*found), "{found} {data}");
        }
    };
    assert_eq!(frames("error", None).await["field"], "watch", "there is no stream yet");
    frames("opened", Some(json!({ "subscribe": { "after": "now" } }))).await;
    frames("watching", Some(json!({ "watch": { "user_ids": ["bob"] } }))).await;
    assert_eq!(frames("presence", None).await["users"][0]["user_id"], "bob");
    frames("watching", Some(json!({ "watch": { "user_ids": ["carl"] } }))).await;
    assert_eq!(frames("presence", None).await["users"][0]["user_id"], "carl");
    let _bob = bob.follow("now").await;
    let _carl = carl.follow("now").await;
    let told = frames("presence", None).await;
    assert_eq!(
        (&told["users"][0]["user_id"], &told["users"][0]["state"]),
        (&json!("carl"), &json!("ONLINE")),
        "bob is watched no more"
    );
    let bad = json!({ "watch": { "user_ids": ["no id!"] } });
    assert_eq!(frames("error", Some(bad)).await["field"], "user_ids");
}
