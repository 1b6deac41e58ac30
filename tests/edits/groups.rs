//! Edits of messages of groups.

use serde_json::json;

use super::{edited, new_text, rows_that_say, told};
use crate::{
    append::assert_dense,
    groups::{IN_OSLO, OSLO, group_of, text},
    support::{
        api::{GroupCall, Outgoing},
        cluster::Cluster,
        eventually, on_both_transports, on_every_transport,
        terminal::Terminal,
        types::{Entry, Kind},
    },
};

on_every_transport! {
    i6_every_terminal_of_every_member_is_told_of_an_edit,
}

on_both_transports! {
    only_the_sender_edits_in_a_group,
    mentions_of_an_edit_replace_those_before,
    who_joined_later_learns_nothing_of_an_edit,
    who_deleted_a_message_of_a_group_learns_nothing_of_its_edit,
    who_may_not_write_does_not_edit,
    a_recall_takes_what_was_edited,
    an_edit_and_a_recall_reach_who_was_away_as_one,
}

/// The entries of a member's timeline, once it tells of so many edits.
async fn with_edits(terminal: &Terminal, count: usize) -> Vec<Entry> {
    eventually("the edits", async || {
        let entries = terminal.timeline().await;
        (told(&entries) >= count).then_some(entries)
    })
    .await
}

/// Says something to the group, and waits until a member has it.
async fn said(from: &Terminal, message: &Outgoing, to: &Terminal) -> (String, i64) {
    let sent = from.send(message).await.expect("sent");
    let seq = eventually("the message", async || {
        let entries = to.timeline().await;
        let found = entries.iter().find(|entry| {
            entry.as_message().is_some_and(|found| found.message_id == sent.message_id)
        });
        found.map(|entry| entry.seq)
    });
    (sent.message_id.clone(), seq.await)
}

async fn i6_every_terminal_of_every_member_is_told_of_an_edit(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let (_node, elsewhere) = imd.start_node().await;
    let (message_id, seq) = said(&ben, &text("at six"), &ann).await;
    let own = ben.timeline().await.last().expect("a message").seq;
    let mut feeds = [
        (ann.follow("now").await, seq),
        (ann.through(elsewhere.clone()).follow("now").await, seq),
        (ben.follow("now").await, own),
    ];
    let made = ben.through(elsewhere).edit(&message_id, "at seven").await.expect("edited");
    for (feed, seq) in &mut feeds {
        let entry = feed.entries(1).await.pop().expect("an entry");
        let said = edited(&entry);
        assert_eq!((said.seq, new_text(&entry)), (*seq, "at seven"));
        assert_eq!((said.message.conversation_id.as_str(), said.message.edit_no), (IN_OSLO, 1));
        assert_eq!(said.message.edited_at, Some(made.edited_at));
    }
    for member in [&ann, &ben] {
        let entries = with_edits(member, 1).await;
        assert_eq!(new_text(entries.last().expect("an entry")), "at seven");
        let conversation = member.conversation(IN_OSLO).await;
        assert_eq!(conversation.last_message.text(), "at seven");
        assert_eq!(conversation.unread_count, i64::from(member.user_id == "ann"));
    }
    assert_eq!(
        (rows_that_say(&imd, "at six").await, rows_that_say(&imd, "at seven").await),
        (0, 1)
    );
    assert_dense(&imd.database).await;
}

async fn only_the_sender_edits_in_a_group(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let carol = imd.user_with_phone("carol").await;
    let (message_id, _) = said(&ben, &text("ben's"), &ann).await;
    let refused = [
        ann.edit(&message_id, "ann's").await.expect_err("ben's, though ann owns the group"),
        carol.edit(&message_id, "carol's").await.expect_err("carol is no member"),
    ];
    assert_eq!(refused[0].code, "message_not_found");
    assert_eq!(refused[0], refused[1]);
    ann.group(GroupCall::Remove(OSLO.to_owned(), "ben".to_owned())).await.expect("removed");
    let refused = ben.edit(&message_id, "late").await.expect_err("no member any more");
    assert_eq!(refused.code, "message_not_found");
    assert_eq!(ann.texts().await, ["ben's"]);
}

async fn mentions_of_an_edit_replace_those_before(imd: Cluster) {
    let [ann, ben, cleo] = group_of(&imd, ["ann", "ben", "cleo"]).await;
    let mention = |who: &str, said: &str| Outgoing { mentions: vec![who.to_owned()], ..text(said) };
    let (message_id, _) = said(&ann, &mention("ben", "ask ben"), &ben).await;
    said(&ann, &text("another"), &cleo).await;
    let unread = async |member: &Terminal| member.conversation(IN_OSLO).await.unread_mentions;
    assert_eq!((unread(&ben).await, unread(&cleo).await), (1, 0));
    ann.edit_to(&message_id, &mention("cleo", "ask cleo")).await.expect("edited");
    for (member, mentioned) in [(&ben, false), (&cleo, true)] {
        let entries = with_edits(member, 1).await;
        let message = &edited(entries.last().expect("an entry")).message;
        assert_eq!((&message.mentions, message.mentioned), (&vec!["cleo".to_owned()], mentioned));
        let history = member.history(IN_OSLO, 0, "").await.expect("a page").entries;
        assert_eq!(history[1].message(), message);
        assert_eq!(unread(member).await, i64::from(mentioned));
        assert_eq!(member.conversation(IN_OSLO).await.unread_count, 2);
    }
    ben.edit(&message_id, "x").await.expect_err("not ben's");
    let all = Outgoing { mention_all: true, ..text("ask all") };
    ann.edit_to(&message_id, &all).await.expect("edited by the owner");
    for member in [&ben, &cleo] {
        with_edits(member, 2).await;
        assert_eq!(unread(member).await, 1);
    }
    let (of_ben, _) = said(&ben, &text("mine"), &ann).await;
    let refused = ben.edit_to(&of_ben, &all).await.expect_err("a member mentions everybody");
    assert_eq!(refused.code, "group_role_needed");
    ann.edit(&message_id, "ask nobody").await.expect("edited");
    with_edits(&cleo, 3).await;
    assert_eq!(unread(&cleo).await, 0);
}

async fn who_joined_later_learns_nothing_of_an_edit(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let (message_id, _) = said(&ann, &text("before"), &ben).await;
    let dan = imd.user_with_phone("dan").await;
    ann.group(GroupCall::Add(OSLO.to_owned(), "dan".to_owned())).await.expect("added");
    let mut feed = dan.follow("").await;
    ann.edit(&message_id, "before, edited").await.expect("edited");
    ann.send(&text("after")).await.expect("sent");
    let entries = eventually("the last message", async || {
        let entries = dan.timeline().await;
        entries.last().filter(|last| last.as_message().is_some())?;
        Some(entries)
    })
    .await;
    let last = entries.last().expect("an entry").seq;
    let live = feed.entries_to(last).await;
    for entries in [&entries, &live] {
        assert_eq!(told(entries), 0);
        assert!(!format!("{entries:?}").contains(", edited\""), "{entries:?}");
        assert_eq!(entries.iter().filter(|entry| entry.kind == Kind::Unknown).count(), 1);
    }
    assert_eq!(dan.edits(&message_id).await.expect_err("dan has it not").code, "message_not_found");
    assert_dense(&imd.database).await;
}

async fn who_deleted_a_message_of_a_group_learns_nothing_of_its_edit(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let (before, place) = said(&ann, &text("one"), &ben).await;
    ann.edit(&before, "one, edited").await.expect("edited");
    with_edits(&ben, 1).await;
    ben.delete(IN_OSLO, place).await.expect("deleted");
    let (after, place) = said(&ann, &text("two"), &ben).await;
    ben.delete(IN_OSLO, place).await.expect("deleted");
    let mut feed = ben.follow("now").await;
    ann.edit(&after, "two, edited").await.expect("edited");
    let live = feed.entries(1).await;
    assert_eq!(live[0].kind, Kind::Unknown);
    let timeline = ben.timeline().await;
    assert_eq!(told(&timeline), 0, "{timeline:?}");
    assert!(!format!("{timeline:?}").contains(", edited\""));
}

async fn who_may_not_write_does_not_edit(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let (message_id, _) = said(&ben, &text("hello"), &ann).await;
    let mute = json!({ "muted": true });
    ann.group(GroupCall::Update(OSLO.to_owned(), mute)).await.expect("muted");
    assert_eq!(ben.edit(&message_id, "x").await.expect_err("muted").code, "muted");
    let own = ann.send(&text("quiet")).await.expect("the owner may write");
    ann.edit(&own.message_id, "quiet, please").await.expect("and edit");
}

async fn a_recall_takes_what_was_edited(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let (message_id, _) = said(&ben, &text("hello"), &ann).await;
    ben.edit(&message_id, "an unkind word").await.expect("edited");
    ann.recall(&message_id).await.expect("the owner recalls it");
    assert_eq!(ben.edit(&message_id, "x").await.expect_err("gone").code, "message_not_found");
    assert_eq!(rows_that_say(&imd, "unkind").await, 0);
    for member in [&ann, &ben] {
        let entries = with_edits(member, 1).await;
        let edit = entries.iter().find(|entry| told(std::slice::from_ref(entry)) == 1);
        let message = &edited(edit.expect("an edit")).message;
        assert_eq!((message.tombstone.as_deref(), message.edit_no), (Some("RECALLED"), 0));
    }
}

/// References to all three are made by one statement.
async fn an_edit_and_a_recall_reach_who_was_away_as_one(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let (kept, _) = said(&ann, &text("kept"), &ben).await;
    let mention = Outgoing { mentions: vec!["ben".to_owned()], ..text("") };
    let sql = imd.database.sql().await;
    // Nobody is brought up while this is held.
    sql.batch_execute("BEGIN; SELECT FROM timelines WHERE owner = (SELECT user_no FROM users WHERE user_id = 'ben') FOR UPDATE")
        .await
        .expect("a lock");
    let away = ann.send(&text("away")).await.expect("sent");
    ann.edit_to(&away.message_id, &Outgoing { content: text("x").content, ..mention.clone() })
        .await
        .expect("edited");
    ann.edit_to(&kept, &Outgoing { content: text("kept, edited").content, ..mention })
        .await
        .expect("edited");
    ann.recall(&kept).await.expect("recalled");
    sql.batch_execute("COMMIT").await.expect("released");
    let entries = eventually("all of it", async || {
        let entries = ben.timeline().await;
        matches!(entries.last()?.kind, Kind::MessageRecalled(_)).then_some(entries)
    })
    .await;
    assert_eq!(told(&entries), 2);
    let conversation = ben.conversation(IN_OSLO).await;
    assert_eq!((conversation.unread_count, conversation.unread_mentions), (1, 1));
    assert_dense(&imd.database).await;
}
