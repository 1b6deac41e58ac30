//! Signals that are not passed on, and how their senders learn of it.

use serde_json::json;

use super::{signal, typing};
use crate::support::{
    api::{ContactCall, GroupCall, OutgoingSignal},
    cluster::Cluster,
    on_both_transports, on_every_transport,
    terminal::Terminal,
};

on_every_transport! {
    a_bad_signal_names_its_field,
    signals_go_to_nobody_who_blocks_the_sender_or_is_blocked,
}

on_both_transports! {
    who_takes_messages_from_contacts_alone_takes_signals_so,
    who_is_muted_types_unseen,
    where_blocks_are_not_told_a_signal_is_lost_unsaid,
}

async fn refused(terminal: &Terminal, signal: &OutgoingSignal) -> String {
    terminal.signal(signal).await.expect_err(&format!("{signal:?}")).code
}

async fn a_bad_signal_names_its_field(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let nobody = OutgoingSignal { to: None, ..OutgoingSignal::typing("", "STARTED") };
    let nothing = OutgoingSignal { content: json!({}), ..OutgoingSignal::typing("ann", "") };
    for (signal, field) in [
        (nobody, "to"),
        (nothing, "typing"),
        (OutgoingSignal::typing("ann", "SLEEPING"), "typing"),
        (OutgoingSignal::typing("not an id", "STARTED"), "to.user_id"),
        (OutgoingSignal::typing("group:not an id", "STARTED"), "to.group_id"),
        (OutgoingSignal::data("ann", "pointer", b"x"), "content_type"),
        (OutgoingSignal::data("ann", "a/b", b""), "data"),
        (OutgoingSignal::data("ann", "a/b", &[7; 1025]), "data"),
    ] {
        let failure = ann.signal(&signal).await.expect_err(field);
        assert_eq!(failure.field(), field, "{signal:?}: {failure:?}");
    }
    assert_eq!(refused(&ann, &OutgoingSignal::typing("zoe", "STARTED")).await, "user_not_found");
    let group = OutgoingSignal::typing("group:none", "STARTED");
    assert_eq!(refused(&ann, &group).await, "group_not_found");
}

async fn signals_go_to_nobody_who_blocks_the_sender_or_is_blocked(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let mut feed = ann.follow("now").await;
    let to_ann = OutgoingSignal::typing("ann", "STARTED");
    ann.block("bob").await.expect("blocked");
    // Twice: the second is not taken for one of those that are held back.
    for _ in 0..2 {
        assert_eq!(refused(&bob, &to_ann).await, "blocked");
    }
    let to_bob = OutgoingSignal::data("bob", "a/b", b"x");
    assert_eq!(refused(&ann, &to_bob).await, "recipient_blocked");
    ann.unblock("bob").await.expect("unblocked");
    bob.types("ann").await;
    feed.entries(2).await;
    assert_eq!(signal(&mut feed).await, typing("user:bob", "bob"));
}

async fn who_takes_messages_from_contacts_alone_takes_signals_so(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let contacts = json!({ "messages_from": "CONTACTS" });
    ann.contact(ContactCall::UpdateSettings(contacts)).await.expect("changed");
    let to_ann = OutgoingSignal::typing("ann", "STARTED");
    let failure = bob.signal(&to_ann).await.expect_err("a stranger");
    assert_eq!((failure.code.as_str(), failure.detail("from")), ("not_accepted", "CONTACTS"));
    ann.contact(ContactCall::Set("bob".to_owned(), json!({}))).await.expect("asked");
    bob.contact(ContactCall::Set("ann".to_owned(), json!({}))).await.expect("agreed");
    let mut feed = ann.follow("now").await;
    bob.types("ann").await;
    assert_eq!(signal(&mut feed).await, typing("user:bob", "bob"));
}

async fn who_is_muted_types_unseen(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let create = json!({ "group_id": "g", "name": "G", "member_ids": ["bob"] });
    ann.group(GroupCall::Create(create)).await.expect("a group");
    let mute = GroupCall::Update("g".to_owned(), json!({ "muted": true }));
    ann.group(mute).await.expect("muted");
    let typing = OutgoingSignal::typing("group:g", "STARTED");
    assert_eq!(refused(&bob, &typing).await, "muted");
    ann.types("group:g").await;
}

async fn where_blocks_are_not_told_a_signal_is_lost_unsaid(imd: Cluster) {
    let drop = |settings: &mut imd::config::Settings| {
        settings.messages.if_blocked = imd::model::IfBlocked::Drop;
    };
    let (_node, api) = imd.start_node_with(drop).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await.through(api);
    ann.block("bob").await.expect("blocked");
    let mut feed = ann.follow("now").await;
    bob.types("ann").await;
    ann.say("ann", "nothing came before this").await;
    assert_eq!(feed.entry().await.text(), "nothing came before this");
}
