//! Pinned messages: who pins, who is told, and that pins go with the message.

use std::time::Duration;

use futures::future::join_all;
use imd::model::IfBlocked;
use serde_json::json;

use crate::{
    append::assert_dense,
    groups::{IN_OSLO, OSLO, group_of, text},
    support::{
        admin::tier,
        api::{GroupCall, Transport},
        cluster::Cluster,
        eventually,
        node::Node,
        on_every_transport,
        postgres::Database,
        terminal::Terminal,
        types::{Entry, Kind, MessagePinned},
    },
};

on_every_transport! {
    i6_every_terminal_of_both_is_told_of_a_pin,
    a_pin_that_is_repeated_is_told_once,
    fifty_messages_of_a_conversation_are_pinned,
    who_has_not_the_message_does_not_pin,
    pins_go_with_the_message,
    a_block_holds_for_pins,
    i6_every_terminal_of_every_member_is_told_of_a_pin,
    owner_and_admins_pin_in_a_group,
    who_has_not_a_message_of_a_group_does_not_see_it_pinned,
    who_came_back_sees_what_is_pinned,
    pins_go_with_the_account,
}

/// What an entry says of a pin.
fn pinned(entry: &Entry) -> &MessagePinned {
    let Kind::MessagePinned(pinned) = &entry.kind else { panic!("{entry:?}") };
    pinned
}

/// How many entries of a timeline tell of pins.
fn told(entries: &[Entry]) -> usize {
    entries.iter().filter(|entry| matches!(entry.kind, Kind::MessagePinned(_))).count()
}

/// The texts of the pinned messages of a conversation, each with who has pinned it.
async fn pins(terminal: &Terminal, peer: &str) -> Vec<String> {
    let pins = terminal.pins(peer).await.expect("the pinned messages");
    pins.iter().map(|(entry, by)| format!("{} by {by}", entry.text())).collect()
}

/// How many rows there are.
async fn rows(imd: &Cluster) -> i64 {
    let sql = imd.database.sql().await;
    let rows = "SELECT count(*) FROM pinned_messages";
    sql.query_one(rows, &[]).await.expect("a count").get(0)
}

/// Waits until a member has a message: its place.
async fn has(terminal: &Terminal, message_id: &str) -> i64 {
    let is_it = |entry: &&Entry| entry.as_message().is_some_and(|m| m.message_id == message_id);
    eventually("the message", async || {
        terminal.timeline().await.iter().find(is_it).map(|entry| entry.seq)
    })
    .await
}

async fn i6_every_terminal_of_both_is_told_of_a_pin(imd: Cluster) {
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    let (_node, elsewhere) = imd.start_node().await;
    let sent = ann.say("bob", "at six").await;
    let place = bob.timeline().await.pop().expect("a message").seq;
    let mut feeds = [
        (ann.follow("now").await, sent.seq, "user:bob"),
        (ann.through(elsewhere.clone()).follow("now").await, sent.seq, "user:bob"),
        (bob.follow("now").await, place, "user:ann"),
        (bob.through(elsewhere).follow("now").await, place, "user:ann"),
    ];
    bob.pin(&sent.message_id).await.expect("pinned by who did not send it");
    ann.unpin(&sent.message_id).await.expect("unpinned by the other");
    for (feed, seq, conversation) in &mut feeds {
        for (entry, done) in feed.entries(2).await.iter().zip([(true, "bob"), (false, "ann")]) {
            let said = pinned(entry);
            assert_eq!((said.seq, said.message_id.as_str()), (*seq, sent.message_id.as_str()));
            assert_eq!(said.conversation_id, *conversation);
            assert_eq!((said.pinned, said.by.as_str()), done);
        }
    }
    assert_eq!(pins(&ann, "bob").await, [""; 0]);
    let first = ann.say("bob", "first").await;
    let second = bob.say("ann", "second").await;
    for message in [&second, &first] {
        ann.pin(&message.message_id).await.expect("pinned");
    }
    for (terminal, peer) in [(&ann, "bob"), (&bob, "ann")] {
        assert_eq!(pins(terminal, peer).await, ["first by ann", "second by ann"]);
    }
    let own = &ann.pins("bob").await.expect("the pinned messages")[0].0;
    assert_eq!(own, &ann.history("bob", 2, "").await.expect("a page").entries[1]);
    assert_dense(&imd.database).await;
}

async fn a_pin_that_is_repeated_is_told_once(imd: Cluster) {
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    let (_node, elsewhere) = imd.start_node().await;
    let sent = ann.say("bob", "hello").await;
    let there = bob.through(elsewhere);
    let calls = (0..8).map(async |n: usize| {
        let terminal = if n.is_multiple_of(2) { &ann } else { &there };
        terminal.pin(&sent.message_id).await.expect("pinned");
    });
    join_all(calls).await;
    for terminal in [&ann, &bob] {
        assert_eq!(told(&terminal.timeline().await), 1);
    }
    for _ in 0..2 {
        bob.unpin(&sent.message_id).await.expect("unpinned");
    }
    assert_eq!((told(&ann.timeline().await), rows(&imd).await), (2, 0));
    assert_dense(&imd.database).await;
}

async fn fifty_messages_of_a_conversation_are_pinned(imd: Cluster) {
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    let mut sent = Vec::new();
    for n in 0..51 {
        sent.push(ann.say("bob", &format!("{n}")).await.message_id);
    }
    for id in &sent[..50] {
        ann.pin(id).await.expect("pinned");
    }
    let refused = bob.pin(&sent[50]).await.expect_err("one too many");
    assert_eq!(refused.code, "too_many_pins");
    ann.pin(&sent[0]).await.expect("it is");
    let note = ann.say("ann", "a note").await;
    ann.pin(&note.message_id).await.expect("another conversation");
    bob.unpin(&sent[7]).await.expect("unpinned");
    bob.pin(&sent[50]).await.expect("there is room");
    let shown = pins(&ann, "bob").await;
    assert_eq!((shown.len(), shown[0].as_str(), shown[49].as_str()), (50, "50 by bob", "0 by ann"));
}

async fn who_has_not_the_message_does_not_pin(imd: Cluster) {
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    let carol = imd.user_with_phone("carol").await;
    let sent = ann.say("bob", "hello").await;
    let refused = [
        carol.pin(&sent.message_id).await.err(),
        carol.unpin(&sent.message_id).await.err(),
        carol.pin("AAAAAAAAJw8AAAAAAAAAAQ").await.err(),
    ];
    let refused = refused.map(|refused| refused.expect("not carol's"));
    assert_eq!(refused[0].code, "message_not_found");
    assert!(refused.iter().all(|other| *other == refused[0]), "one answer for all: {refused:?}");
    assert_eq!(ann.pin("no-id").await.expect_err("no id").detail("field"), "message_id");
    assert_eq!(ann.pins("nobody").await.expect_err("nobody").code, "user_not_found");
    ann.pin(&sent.message_id).await.expect("pinned");
    assert_eq!(pins(&carol, "ann").await, [""; 0]);
    assert_eq!(pins(&bob, "ann").await, ["hello by ann"]);
}

async fn pins_go_with_the_message(imd: Cluster) {
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    let recalled = ann.say("bob", "recalled").await;
    let deleted = ann.say("bob", "deleted").await;
    for message in [&recalled, &deleted] {
        bob.pin(&message.message_id).await.expect("pinned");
    }
    ann.recall(&recalled.message_id).await.expect("recalled");
    ann.delete("bob", deleted.seq).await.expect("deleted");
    assert_eq!(pins(&ann, "bob").await, [""; 0]);
    assert_eq!(pins(&bob, "ann").await, ["deleted by bob"]);
    for gone in [&recalled, &deleted] {
        assert_eq!(ann.pin(&gone.message_id).await.expect_err("gone").code, "message_not_found");
    }
    assert_eq!(rows(&imd).await, 1);
    ann.edit(&recalled.message_id, "x").await.expect_err("gone");
    let before = ann.timeline().await.len();
    bob.unpin(&deleted.message_id).await.expect("unpinned");
    assert_eq!(ann.timeline().await.len(), before, "ann has it no longer");
    assert_dense(&imd.database).await;
}

async fn a_block_holds_for_pins(imd: Cluster) {
    let (_drops, drops) = imd.start_node_with(|s| s.messages.if_blocked = IfBlocked::Drop).await;
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    let sent = ann.say("bob", "hello").await;
    bob.block("ann").await.expect("blocked");
    assert_eq!(ann.pin(&sent.message_id).await.expect_err("blocked").code, "blocked");
    ann.through(drops).pin(&sent.message_id).await.expect("ann is not to know");
    assert_eq!(pins(&ann, "bob").await, ["hello by ann"]);
    assert_eq!(pins(&bob, "ann").await, [""; 0]);
    ann.unpin(&sent.message_id).await.expect("unpinned, though nothing can be written");
    assert_eq!((rows(&imd).await, told(&bob.timeline().await)), (0, 0));
    assert_dense(&imd.database).await;
}

async fn i6_every_terminal_of_every_member_is_told_of_a_pin(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let (_node, elsewhere) = imd.start_node().await;
    let sent = ben.send(&text("at six")).await.expect("sent");
    let places = [has(&ann, &sent.message_id).await, has(&ben, &sent.message_id).await];
    let mut feeds = [
        (ann.follow("now").await, places[0]),
        (ben.follow("now").await, places[1]),
        (ben.through(elsewhere).follow("now").await, places[1]),
    ];
    ann.pin(&sent.message_id).await.expect("pinned");
    ann.unpin(&sent.message_id).await.expect("unpinned");
    ann.pin(&sent.message_id).await.expect("pinned");
    for (feed, seq) in &mut feeds {
        for (entry, is_pinned) in feed.entries(3).await.iter().zip([true, false, true]) {
            let said = pinned(entry);
            assert_eq!((said.seq, said.message_id.as_str()), (*seq, sent.message_id.as_str()));
            assert_eq!((said.conversation_id.as_str(), said.by.as_str()), (IN_OSLO, "ann"));
            assert_eq!(said.pinned, is_pinned);
        }
    }
    for (member, seq) in [(&ann, places[0]), (&ben, places[1])] {
        let entries = eventually("the pins", async || {
            let entries = member.timeline().await;
            (told(&entries) == 3).then_some(entries)
        })
        .await;
        assert_eq!(pinned(entries.last().expect("an entry")).seq, seq, "as a stream tells it");
        assert_eq!(pins(member, IN_OSLO).await, ["at six by ann"]);
        assert_eq!(member.pins(IN_OSLO).await.expect("it")[0].0.seq, seq);
    }
    assert_eq!(rows(&imd).await, 1);
    assert_dense(&imd.database).await;
}

async fn owner_and_admins_pin_in_a_group(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let carol = imd.user_with_phone("carol").await;
    let sent = ben.send(&text("hello")).await.expect("sent");
    has(&ann, &sent.message_id).await;
    for terminal in [&ben, &carol] {
        let expected =
            if terminal.user_id == "ben" { "group_role_needed" } else { "message_not_found" };
        assert_eq!(terminal.pin(&sent.message_id).await.expect_err("no admin").code, expected);
        assert_eq!(terminal.unpin(&sent.message_id).await.expect_err("no admin").code, expected);
    }
    let admin =
        GroupCall::UpdateMember(OSLO.to_owned(), "ben".to_owned(), json!({ "role": "ADMIN" }));
    ann.group(admin).await.expect("an admin");
    ben.pin(&sent.message_id).await.expect("pinned");
    ann.recall(&sent.message_id).await.expect("recalled");
    assert_eq!(rows(&imd).await, 0);
    assert_eq!(pins(&ben, IN_OSLO).await, [""; 0]);
    assert_eq!(carol.pins(IN_OSLO).await, Ok(Vec::new()), "as with the history");
}

async fn who_has_not_a_message_of_a_group_does_not_see_it_pinned(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let dan = imd.user_with_phone("dan").await;
    let before = ann.send(&text("before")).await.expect("sent").message_id;
    ann.group(GroupCall::Add(OSLO.to_owned(), "dan".to_owned())).await.expect("added");
    let after = ann.send(&text("after")).await.expect("sent").message_id;
    let place = has(&ben, &after).await;
    for id in [&before, &after] {
        ann.pin(id).await.expect("pinned");
    }
    let entries = eventually("the pins", async || {
        let entries = dan.timeline().await;
        (told(&entries) == 1).then_some(entries)
    })
    .await;
    assert_eq!(entries.iter().filter(|entry| entry.kind == Kind::Unknown).count(), 1);
    assert_eq!(pins(&dan, IN_OSLO).await, ["after by ann"]);
    assert_eq!(pins(&ben, IN_OSLO).await, ["after by ann", "before by ann"]);
    ben.delete(IN_OSLO, place).await.expect("deleted");
    assert_eq!(pins(&ben, IN_OSLO).await, ["before by ann"]);
    assert_dense(&imd.database).await;
}

/// Whoever comes back is shown older messages anew, behind newer ones.
async fn who_came_back_sees_what_is_pinned(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let shown = GroupCall::Update(OSLO.to_owned(), json!({ "history": 2 }));
    ann.group(shown).await.expect("changed");
    let mut sent = Vec::new();
    for n in 0..4 {
        sent.push(ann.send(&text(&format!("{n}"))).await.expect("sent").message_id);
    }
    has(&ben, &sent[3]).await;
    for id in &sent {
        ann.pin(id).await.expect("pinned");
    }
    let member = || (OSLO.to_owned(), "ben".to_owned());
    let ((group, user), (in_group, again)) = (member(), member());
    ann.group(GroupCall::Remove(group, user)).await.expect("removed");
    ann.group(GroupCall::Add(in_group, again)).await.expect("added");
    eventually("the pins", async || {
        (pins(&ben, IN_OSLO).await == ["3 by ann", "2 by ann", "1 by ann", "0 by ann"])
            .then_some(())
    })
    .await;
}

async fn pins_go_with_the_account(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let in_group = ben.send(&text("in the group")).await.expect("sent").message_id;
    has(&ann, &in_group).await;
    let between = ben.say("ann", "between").await.message_id;
    for id in [&in_group, &between] {
        ann.pin(id).await.expect("pinned");
    }
    assert_eq!(rows(&imd).await, 3);
    imd.admin().delete("ben", true).await.expect("deleted");
    assert_eq!(rows(&imd).await, 0);
    assert_eq!(pins(&ann, IN_OSLO).await, [""; 0]);
}

#[tokio::test]
async fn pins_are_purged_with_the_message() {
    let database = Database::create().await;
    let node = Node::start_with(&database, |s| s.retention.purge_after = Duration::ZERO).await;
    let imd = Cluster::of(Transport::Grpc, database, node);
    let admin = imd.admin();
    admin.apply_tiers(vec![tier("small", None, Some(1))]).await.expect("a tier");
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let in_group = ann.send(&text("in the group")).await.expect("sent").message_id;
    has(&ben, &in_group).await;
    let between = ann.say("ben", "between").await.message_id;
    for id in [&in_group, &between] {
        ann.pin(id).await.expect("pinned");
    }
    for user in ["ann", "ben"] {
        admin.set_tier(user, "small").await.expect("the user's tier");
    }
    let later = ann.say("ben", "later").await;
    has(&ben, &later.message_id).await;
    assert_eq!(pins(&ann, IN_OSLO).await, [""; 0], "hidden");
    admin.purge().await.expect("a purge");
    assert_eq!(rows(&imd).await, 0);
}
