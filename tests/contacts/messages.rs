//! Who may write to whom.

use imd::model::WhoMay;
use serde_json::json;

use super::{befriend, lets, remove, set};
use crate::{
    append::assert_dense,
    limits::limited_to,
    support::{
        api::{ContactCall, GroupCall, Outgoing, Transport},
        cluster::Cluster,
        on_both_transports, on_every_transport,
        terminal::Terminal,
        types::{Entry, Kind},
    },
};

on_every_transport! {
    who_takes_messages_from_contacts_gets_no_others,
}

on_both_transports! {
    who_takes_messages_from_nobody_gets_none,
    a_setting_follows_the_deployment_until_it_is_made,
    i7_a_retry_is_known_whatever_was_set_since,
    groups_and_notes_are_not_what_the_setting_is_about,
    a_block_is_not_told_to_who_is_left_out_anyway,
}

/// How a text is refused.
async fn refused(from: &Terminal, to: &str) -> (String, String) {
    let failure = from.send(&Outgoing::text(to, "hello")).await.expect_err("not taken");
    (failure.code.clone(), failure.details.get("from").cloned().unwrap_or_default())
}

fn not_accepted(from: &str) -> (String, String) {
    ("not_accepted".to_owned(), from.to_owned())
}

async fn who_takes_messages_from_contacts_gets_no_others(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    let before = ben.say("ann", "before").await;
    lets(&ann, "messages_from", "CONTACTS").await;
    assert_eq!(refused(&ben, "ann").await, not_accepted("CONTACTS"));
    set(&ben, "ann").await;
    assert_eq!(refused(&ben, "ann").await, not_accepted("CONTACTS"), "asking is not enough");
    ann.say("ben", "she may write to him").await;
    set(&ann, "ben").await;
    ben.say("ann", "as a contact").await;
    remove(&ann, "ben").await;
    assert_eq!(refused(&ben, "ann").await, not_accepted("CONTACTS"));
    ben.recall(&before.message_id).await.expect("what stands is recalled");
    let page = ann.history("ben", 0, "").await.expect("a page");
    let texts = page.entries.iter().filter(|entry| entry.message().content.is_some());
    let texts: Vec<&str> = texts.map(Entry::text).collect();
    assert_eq!(texts, ["as a contact", "she may write to him"]);
    assert_dense(&imd.database).await;
}

async fn who_takes_messages_from_nobody_gets_none(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    befriend(&ann, &ben).await;
    lets(&ann, "messages_from", "NOBODY").await;
    assert_eq!(refused(&ben, "ann").await, not_accepted("NOBODY"));
    lets(&ann, "messages_from", "ANYONE").await;
    ben.say("ann", "now").await;
    let settings = ann.timeline().await.into_iter().filter_map(|entry| match entry.kind {
        Kind::SettingsChanged(settings) => Some(settings.messages_from),
        _ => None,
    });
    assert_eq!(settings.collect::<Vec<_>>(), ["NOBODY", "ANYONE"]);
}

async fn a_setting_follows_the_deployment_until_it_is_made(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    let (_node, strict) = imd
        .start_node_with(|settings| {
            settings.messages.from = WhoMay::Contacts;
            settings.groups.invite_from = WhoMay::Nobody;
            settings.presence.visible_to = WhoMay::Contacts;
            settings.presence.terminal_types = false;
        })
        .await;
    let strict = |terminal: &Terminal| terminal.through(strict.clone());
    let settings = strict(&ann).contact(ContactCall::Settings).await.expect("settings");
    let expected = json!({
        "messages_from": "CONTACTS",
        "groups_invite_from": "NOBODY",
        "presence_visible_to": "CONTACTS",
        "presence_terminal_types": false,
        "invisible": false,
    });
    assert_eq!(settings, expected);
    assert_eq!(refused(&strict(&ben), "ann").await, not_accepted("CONTACTS"));
    lets(&ann, "messages_from", "ANYONE").await;
    strict(&ben).say("ann", "her own setting").await;
    let before = ann.timeline().await;
    lets(&ann, "messages_from", "ANYONE").await;
    assert_eq!(ann.timeline().await, before, "nothing has changed");
    lets(&ann, "messages_from", "DEFAULT").await;
    assert_eq!(refused(&strict(&ben), "ann").await, not_accepted("CONTACTS"));
    ben.say("ann", "by the other node's").await;
}

async fn i7_a_retry_is_known_whatever_was_set_since(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    let message = Outgoing::text("ann", "once");
    let first = ben.send(&message).await.expect("sent");
    lets(&ann, "messages_from", "NOBODY").await;
    let again = ben.send(&message).await.expect("the first result");
    assert_eq!((again.duplicate, again.seq), (true, first.seq));
}

async fn groups_and_notes_are_not_what_the_setting_is_about(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    let oslo = json!({ "group_id": "oslo", "name": "Oslo", "member_ids": ["ben"] });
    ann.group(GroupCall::Create(oslo)).await.expect("a group");
    lets(&ann, "messages_from", "NOBODY").await;
    ann.say("ann", "a note").await;
    ben.say("group:oslo", "to all").await;
}

async fn a_block_is_not_told_to_who_is_left_out_anyway(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    lets(&ann, "messages_from", "CONTACTS").await;
    ann.block("ben").await.expect("blocked");
    assert_eq!(refused(&ben, "ann").await, not_accepted("CONTACTS"));
    lets(&ann, "messages_from", "ANYONE").await;
    assert_eq!(refused(&ben, "ann").await.0, "blocked");
}

/// A request that a block withholds is told by nothing to who asks.
#[tokio::test]
async fn where_blocks_are_not_told_requests_do_not_tell_them() {
    let imd = limited_to(Transport::Grpc, |settings| {
        settings.messages.if_blocked = imd::model::IfBlocked::Drop;
    })
    .await;
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    ann.block("ben").await.expect("blocked");
    let before = ann.timeline().await;
    assert_eq!(set(&ben, "ann").await["state"], "SENT");
    assert_eq!(ann.timeline().await, before);
    assert_eq!(super::contacts(&ann).await, []);
    ann.unblock("ben").await.expect("unblocked");
    set(&ben, "ann").await;
    assert_eq!(super::contacts(&ann).await, super::pairs(&[("ben", "RECEIVED")]));
    assert_dense(&imd.database).await;
}
