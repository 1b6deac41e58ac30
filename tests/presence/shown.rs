//! Who sees what.

use serde_json::json;

use super::{of, told, watching};
use crate::support::{
    api::ContactCall, cluster::Cluster, feed::Feed, on_both_transports, terminal::Terminal,
};

on_both_transports! {
    a_user_says_who_sees_it,
    who_is_invisible_looks_as_if_it_were_not_there,
    the_types_of_the_terminals_are_shown_if_the_user_says_so,
    a_block_hides_both_from_each_other_at_once,
    contacts_see_who_shows_itself_to_contacts_as_long_as_they_are,
    the_deployment_says_for_those_who_have_not,
}

async fn set(terminal: &Terminal, settings: serde_json::Value) {
    terminal.contact(ContactCall::UpdateSettings(settings)).await.expect("changed");
}

/// Ann, who watches Bob, who is there.
async fn bob_is_there(imd: &Cluster) -> (Terminal, Feed, Terminal, Feed) {
    let (ann, mut feed) = watching(imd).await;
    let bob = imd.log_in("bob", "phone", "p").await;
    let stream = bob.follow("now").await;
    assert_eq!(told(&mut feed).await, [of("bob", "ONLINE", &["phone"])]);
    (ann, feed, bob, stream)
}

async fn a_user_says_who_sees_it(imd: Cluster) {
    let (ann, mut feed, bob, _stream) = bob_is_there(&imd).await;
    for (who, state) in [("NOBODY", "OFFLINE"), ("ANYONE", "ONLINE"), ("CONTACTS", "OFFLINE")] {
        set(&bob, json!({ "presence_visible_to": who })).await;
        assert_eq!(told(&mut feed).await[0].1, state, "{who}");
        let seen = ann.presence(&["bob"]).await.expect("presence");
        assert_eq!((seen[0].state.as_str(), seen[0].last_seen), (state, None));
    }
    assert_eq!(bob.presence(&["bob"]).await.expect("presence")[0].state, "ONLINE", "oneself");
}

async fn who_is_invisible_looks_as_if_it_were_not_there(imd: Cluster) {
    let (ann, mut feed, bob, stream) = bob_is_there(&imd).await;
    let before = bob.timeline().await.len();
    set(&bob, json!({ "invisible": true })).await;
    assert_eq!(told(&mut feed).await, [of("bob", "OFFLINE", &[])]);
    set(&bob, json!({ "invisible": true })).await;
    assert_eq!(bob.timeline().await.len(), before + 1, "its terminals are told once");
    drop(stream);
    let _again = bob.follow("now").await;
    bob.set_idle(true).await;
    set(&bob, json!({ "invisible": false })).await;
    assert_eq!(told(&mut feed).await[0].0, "bob");
    assert_ne!(ann.presence(&["bob"]).await.expect("presence")[0].state, "OFFLINE");
}

async fn the_types_of_the_terminals_are_shown_if_the_user_says_so(imd: Cluster) {
    let (_ann, mut feed, bob, _stream) = bob_is_there(&imd).await;
    set(&bob, json!({ "presence_terminal_types": false })).await;
    assert_eq!(told(&mut feed).await, [of("bob", "ONLINE", &[])]);
    set(&bob, json!({ "presence_terminal_types": true })).await;
    assert_eq!(told(&mut feed).await, [of("bob", "ONLINE", &["phone"])]);
}

async fn a_block_hides_both_from_each_other_at_once(imd: Cluster) {
    let (ann, mut feed, bob, _stream) = bob_is_there(&imd).await;
    bob.block("ann").await.expect("blocked");
    assert_eq!(told(&mut feed).await, [of("bob", "OFFLINE", &[])]);
    assert_eq!(bob.presence(&["ann"]).await.expect("presence")[0].state, "OFFLINE");
    bob.unblock("ann").await.expect("unblocked");
    assert_eq!(told(&mut feed).await, [of("bob", "ONLINE", &["phone"])]);
    drop(ann);
}

async fn contacts_see_who_shows_itself_to_contacts_as_long_as_they_are(imd: Cluster) {
    let (ann, mut feed, bob, _stream) = bob_is_there(&imd).await;
    set(&bob, json!({ "presence_visible_to": "CONTACTS" })).await;
    assert_eq!(told(&mut feed).await, [of("bob", "OFFLINE", &[])]);
    ann.contact(ContactCall::Set("bob".to_owned(), json!({}))).await.expect("asked");
    feed.entry().await;
    bob.contact(ContactCall::Set("ann".to_owned(), json!({}))).await.expect("agreed");
    // The entry and the presence come in any order.
    let mut online = false;
    for _ in 0..2 {
        match feed.event().await {
            crate::support::types::Event::Presence(users) => online = users[0].state == "ONLINE",
            crate::support::types::Event::Entry(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(online);
    bob.contact(ContactCall::Remove("ann".to_owned())).await.expect("removed");
    for _ in 0..2 {
        if let crate::support::types::Event::Presence(users) = feed.event().await {
            online = users[0].state == "ONLINE";
        }
    }
    assert!(!online);
}

async fn the_deployment_says_for_those_who_have_not(imd: Cluster) {
    let (_node, api) = imd
        .start_node_with(|settings| {
            settings.presence.visible_to = imd::model::WhoMay::Nobody;
            settings.presence.terminal_types = false;
        })
        .await;
    let (ann, _feed, bob, _stream) = bob_is_there(&imd).await;
    let ann = ann.through(api);
    let seen = async || ann.presence(&["bob"]).await.expect("presence").remove(0);
    assert_eq!(seen().await.state, "OFFLINE");
    set(&bob, json!({ "presence_visible_to": "ANYONE" })).await;
    let shown = seen().await;
    assert_eq!((shown.state.as_str(), shown.terminal_types), ("ONLINE", Vec::new()));
}
