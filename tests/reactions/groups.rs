//! Reactions to messages of groups.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;

use super::{all_is_told, changed, in_history, rows, short, told};
use crate::{
    append::assert_dense,
    groups::{IN_OSLO, OSLO, create, group_of, text},
    support::{
        admin::tier,
        api::{GroupCall, Transport},
        cluster::Cluster,
        eventually,
        node::Node,
        on_both_transports, on_every_transport,
        postgres::Database,
        terminal::Terminal,
        types::{Entry, Kind},
    },
};

on_every_transport! {
    i6_every_terminal_of_every_member_is_told_of_a_reaction,
}

on_both_transports! {
    who_may_not_write_takes_back_and_does_not_give,
    who_left_neither_reacts_nor_is_told,
    who_joined_later_learns_nothing_of_reactions,
    who_deleted_a_message_of_a_group_is_told_nothing_of_reactions,
    an_edited_message_of_a_group_shows_whose_the_reactions_are,
    a_recall_takes_the_reactions,
    reactions_in_a_group_go_with_the_account,
    who_reacts_in_a_group_is_listed_in_pages,
}

/// Says something to the group, and waits until the others have it.
async fn said(from: &Terminal, what: &str, to: &[&Terminal]) -> String {
    let sent = from.send(&text(what)).await.expect("sent");
    for terminal in to {
        has(terminal, &sent.message_id).await;
    }
    sent.message_id
}

/// Waits until a member has a message: its place.
async fn has(terminal: &Terminal, message_id: &str) -> i64 {
    let is_it = |entry: &&Entry| entry.as_message().is_some_and(|m| m.message_id == message_id);
    eventually("the message", async || {
        terminal.timeline().await.iter().find(is_it).map(|entry| entry.seq)
    })
    .await
}

/// A member's timeline, once it tells of reactions so often.
async fn with_changes(terminal: &Terminal, count: usize) -> Vec<Entry> {
    eventually("the changes", async || {
        let entries = terminal.timeline().await;
        (told(&entries) >= count).then_some(entries)
    })
    .await
}

async fn i6_every_terminal_of_every_member_is_told_of_a_reaction(imd: Cluster) {
    let [ann, ben, cleo] = group_of(&imd, ["ann", "ben", "cleo"]).await;
    let (_node, elsewhere) = imd.start_node().await;
    let id = said(&ann, "at six", &[&ben, &cleo]).await;
    let mut feeds = [
        (ann.follow("now").await, has(&ann, &id).await, ["👍 1", "👍 2"]),
        (
            ann.through(elsewhere.clone()).follow("now").await,
            has(&ann, &id).await,
            ["👍 1", "👍 2"],
        ),
        (ben.follow("now").await, has(&ben, &id).await, ["👍 1*", "👍 2*"]),
        (
            ben.through(elsewhere.clone()).follow("now").await,
            has(&ben, &id).await,
            ["👍 1*", "👍 2*"],
        ),
        (cleo.follow("now").await, has(&cleo, &id).await, ["👍 1", "👍 2*"]),
    ];
    assert_eq!(short(&ben.react(&id, "👍").await.expect("given")), ["👍 1*"]);
    for (feed, seq, [first, _]) in &mut feeds {
        let entry = feed.entries(1).await.pop().expect("an entry");
        let said = changed(&entry);
        assert_eq!((said.seq, said.message_id.as_str()), (*seq, id.as_str()));
        assert_eq!(said.conversation_id, IN_OSLO);
        assert_eq!(short(&said.reactions), [*first]);
    }
    let given = cleo.through(elsewhere).react(&id, "👍").await.expect("given");
    assert_eq!(short(&given), ["👍 2*"]);
    for (feed, _, [_, second]) in &mut feeds {
        let entry = feed.entries(1).await.pop().expect("an entry");
        assert_eq!(short(&changed(&entry).reactions), [*second]);
    }
    for (member, shown) in [(&ann, "👍 2"), (&ben, "👍 2*"), (&cleo, "👍 2*")] {
        let entries = with_changes(member, 2).await;
        for entry in entries.iter().filter(|entry| told(std::slice::from_ref(entry)) == 1) {
            assert_eq!(short(&changed(entry).reactions), [shown], "as it is now");
        }
        assert_eq!(in_history(member, IN_OSLO, &id).await, [shown]);
        let conversation = member.conversation(IN_OSLO).await;
        assert_eq!(short(&conversation.last_message.message().reactions), [shown]);
    }
    assert_eq!(rows(&imd).await, (2, 1));
    assert_dense(&imd.database).await;
}

/// 500 reactions to one message within a moment.
#[tokio::test]
async fn i10_many_reactions_cost_each_member_a_few_entries() {
    let imd = Cluster::start(Transport::Grpc).await;
    let names: Vec<String> = (0..25).map(|n| format!("user-{n}")).collect();
    let owner = imd.user_with_phone("ann").await;
    let mut members = Vec::new();
    for name in &names {
        members.push(imd.user_with_phone(name).await);
    }
    create(&owner, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let id = said(&owner, "hello", &members.iter().collect::<Vec<_>>()).await;
    let mut feed = members[0].follow("now").await;
    let reactions = members.iter().map(async |member| {
        for n in 0..20 {
            member.react(&id, &format!("r{n}")).await.expect("given");
        }
    });
    join_all(reactions).await;
    all_is_told(&imd).await;
    let full: Vec<String> = (0..20).map(|n| format!("r{n} 25")).collect();
    let mut shown = in_history(&owner, IN_OSLO, &id).await;
    shown.sort();
    let mut sorted = full.clone();
    sorted.sort();
    assert_eq!(shown, sorted);
    for member in members.iter().chain([&owner]) {
        let entries = eventually("the last change", async || {
            let entries = member.timeline().await;
            let last =
                entries.iter().rfind(|entry| matches!(entry.kind, Kind::ReactionsChanged(_)));
            let last = last.is_some_and(|last| entries.last() == Some(last));
            last.then_some(entries)
        })
        .await;
        assert!((2..=20).contains(&told(&entries)), "{} entries", told(&entries));
    }
    loop {
        let entry = feed.entries(1).await.pop().expect("an entry");
        let reactions = &changed(&entry).reactions;
        if reactions.len() == 20 && reactions.iter().all(|r| r.count == 25 && r.own) {
            break;
        }
    }
    assert_dense(&imd.database).await;
}

async fn who_may_not_write_takes_back_and_does_not_give(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let id = said(&ann, "hello", &[&ben]).await;
    ben.react(&id, "👍").await.expect("given");
    ann.group(GroupCall::Update(OSLO.to_owned(), json!({ "muted": true }))).await.expect("muted");
    assert_eq!(ben.react(&id, "🎉").await.expect_err("muted").code, "muted");
    assert_eq!(ben.unreact(&id, "👍").await, Ok(Vec::new()));
    assert_eq!(short(&ann.react(&id, "🎉").await.expect("the owner may")), ["🎉 1*"]);
}

async fn who_left_neither_reacts_nor_is_told(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let id = said(&ann, "hello", &[&ben]).await;
    ben.react(&id, "👍").await.expect("given");
    with_changes(&ben, 1).await;
    ann.group(GroupCall::Remove(OSLO.to_owned(), "ben".to_owned())).await.expect("removed");
    for given in [true, false] {
        let refused = ben.api.react(&ben.token, &id, "🎉", given).await.expect_err("no member");
        assert_eq!(refused.code, "message_not_found");
    }
    ann.react(&id, "🎉").await.expect("given");
    all_is_told(&imd).await;
    with_changes(&ann, 2).await;
    assert_eq!(told(&ben.timeline().await), 1);
    assert_eq!(in_history(&ann, IN_OSLO, &id).await, ["👍 1", "🎉 1*"], "what ben gave stays");
}

async fn who_joined_later_learns_nothing_of_reactions(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let id = said(&ann, "before", &[&ben]).await;
    let dan = imd.user_with_phone("dan").await;
    ann.group(GroupCall::Add(OSLO.to_owned(), "dan".to_owned())).await.expect("added");
    let mut feed = dan.follow("").await;
    ben.react(&id, "👍").await.expect("given");
    let after = ann.send(&text("after")).await.expect("sent");
    let last = has(&dan, &after.message_id).await;
    for entries in [dan.timeline().await, feed.entries_to(last).await] {
        assert_eq!(told(&entries), 0);
        assert_eq!(entries.iter().filter(|entry| entry.kind == Kind::Unknown).count(), 1);
        assert!(!format!("{entries:?}").contains("👍"));
    }
    let refused = [dan.react(&id, "👍").await.err(), dan.reactions(&id).await.err()];
    assert!(refused.iter().flatten().all(|refused| refused.code == "message_not_found"));
    assert_eq!(refused.iter().flatten().count(), 2);
}

async fn who_deleted_a_message_of_a_group_is_told_nothing_of_reactions(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let id = said(&ann, "hello", &[&ben]).await;
    ben.react(&id, "👍").await.expect("given");
    with_changes(&ben, 1).await;
    ben.delete(IN_OSLO, has(&ben, &id).await).await.expect("deleted");
    let mut feed = ben.follow("now").await;
    all_is_told(&imd).await;
    ann.react(&id, "🎉").await.expect("given");
    assert_eq!(feed.entries(1).await[0].kind, Kind::Unknown);
    assert_eq!(told(&ben.timeline().await), 0);
    assert_eq!(ben.unreact(&id, "👍").await.expect_err("gone for ben").code, "message_not_found");
}

async fn an_edited_message_of_a_group_shows_whose_the_reactions_are(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let id = said(&ann, "one", &[&ben]).await;
    ben.react(&id, "👍").await.expect("given");
    with_changes(&ann, 1).await;
    with_changes(&ben, 1).await;
    let mut feeds = [(ann.follow("now").await, "👍 1"), (ben.follow("now").await, "👍 1*")];
    ann.edit(&id, "two").await.expect("edited");
    for (feed, shown) in &mut feeds {
        let entry = feed.entries(1).await.pop().expect("an entry");
        assert_eq!(short(&crate::edits::edited(&entry).message.reactions), [*shown]);
    }
}

async fn a_recall_takes_the_reactions(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let id = said(&ben, "hello", &[&ann]).await;
    ben.react(&id, "👍").await.expect("given");
    with_changes(&ann, 1).await;
    ann.recall(&id).await.expect("the owner recalls it");
    assert_eq!(ben.react(&id, "x").await.expect_err("gone").code, "message_not_found");
    assert_eq!(ben.unreact(&id, "👍").await.expect_err("gone").code, "message_not_found");
    assert_eq!(rows(&imd).await, (0, 0));
    for member in [&ann, &ben] {
        let entries = with_changes(member, 1).await;
        let said = entries.iter().find(|entry| told(std::slice::from_ref(entry)) == 1);
        assert_eq!(changed(said.expect("a change")).reactions, []);
    }
    all_is_told(&imd).await;
    assert_dense(&imd.database).await;
}

async fn reactions_in_a_group_go_with_the_account(imd: Cluster) {
    let [ann, ben, cleo] = group_of(&imd, ["ann", "ben", "cleo"]).await;
    let id = said(&ann, "from ann", &[&ben, &cleo]).await;
    let of_ben = said(&ben, "from ben", &[&ann, &cleo]).await;
    for message in [&id, &of_ben] {
        ben.react(message, "👍").await.expect("given");
        ben.react(message, "🎉").await.expect("given");
        cleo.react(message, "👍").await.expect("given");
    }
    all_is_told(&imd).await;
    imd.admin().delete("ben", true).await.expect("deleted");
    assert_eq!(in_history(&ann, IN_OSLO, &id).await, ["👍 1"]);
    assert_eq!(in_history(&cleo, IN_OSLO, &id).await, ["👍 1*"]);
    assert_eq!(in_history(&cleo, IN_OSLO, &of_ben).await, [""; 0], "erased with its sender");
    assert_eq!(rows(&imd).await, (1, 1));
    assert_eq!(cleo.reactions(&id).await.expect("a page"), [("👍".to_owned(), "cleo".to_owned())]);
    all_is_told(&imd).await;
    assert_dense(&imd.database).await;
}

async fn who_reacts_in_a_group_is_listed_in_pages(imd: Cluster) {
    let [ann, ben, cleo] = group_of(&imd, ["ann", "ben", "cleo"]).await;
    let id = said(&ann, "hello", &[&ben, &cleo]).await;
    let given = [(&ben, "b"), (&ann, "b"), (&cleo, "a"), (&ann, "c"), (&cleo, "b")];
    for (member, reaction) in given {
        member.react(&id, reaction).await.expect("given");
    }
    let of = |reaction: &str, user: &str| (reaction.to_owned(), user.to_owned());
    let all = [of("a", "cleo"), of("b", "ann"), of("b", "ben"), of("b", "cleo"), of("c", "ann")];
    assert_eq!(ben.reactions(&id).await.expect("a page"), all);
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let page = ben.api.reactions(&ben.token, &id, "", 2, &token).await.expect("a page");
        found.extend(page.reactions);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(found, all);
    let page = ben.api.reactions(&ben.token, &id, "b", 2, "").await.expect("a page");
    assert_eq!(page.reactions, all[1..3]);
    let other = ben.api.reactions(&ben.token, &id, "", 2, &page.next_page_token).await;
    assert_eq!(other.expect_err("a token of another listing").detail("field"), "page_token");
}

#[tokio::test]
async fn reactions_in_a_group_are_purged_with_the_message() {
    let database = Database::create().await;
    let node = Node::start_with(&database, |s| s.retention.purge_after = Duration::ZERO).await;
    let imd = Cluster::of(Transport::Grpc, database, node);
    let admin = imd.admin();
    admin.apply_tiers(vec![tier("small", None, Some(1))]).await.expect("a tier");
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let id = said(&ann, "hello", &[&ben]).await;
    ben.react(&id, "👍").await.expect("given");
    for user in ["ann", "ben"] {
        admin.set_tier(user, "small").await.expect("the user's tier");
    }
    said(&ann, "later", &[&ben]).await;
    admin.purge().await.expect("a purge");
    assert_eq!(rows(&imd).await, (0, 0));
}
