//! Quotes in groups.

use serde_json::json;

use super::{quote, quoted, reply};
use crate::{
    append::assert_dense,
    edits::edited,
    groups::{IN_OSLO, OSLO, group_of, text},
    support::{
        api::GroupCall,
        cluster::Cluster,
        eventually, on_both_transports, on_every_transport,
        terminal::Terminal,
        types::{Entry, Kind, Quote},
    },
};

on_every_transport! {
    i6_every_member_sees_what_a_message_quotes,
}

on_both_transports! {
    who_joined_later_sees_that_something_is_quoted,
    who_joins_is_shown_what_is_quoted_among_the_messages_before,
    a_message_far_back_is_quoted,
    an_edit_of_a_message_that_quotes_is_told_with_the_quote,
}

/// The entries of a member's timeline, once the last of them is this message.
async fn up_to(terminal: &Terminal, last: &str) -> Vec<Entry> {
    eventually("the message", async || {
        let entries = terminal.timeline().await;
        let content = text(last).content;
        let is_last =
            |entry: &Entry| entry.as_message().is_some_and(|message| message.content == content);
        entries.iter().any(is_last).then_some(entries)
    })
    .await
}

async fn i6_every_member_sees_what_a_message_quotes(imd: Cluster) {
    let (_node, elsewhere) = imd.start_node().await;
    let [ann, ben, cleo] = group_of(&imd, ["ann", "ben", "cleo"]).await;
    let asked = ann.send(&text("at six?")).await.expect("sent");
    up_to(&ben, "at six?").await;
    up_to(&cleo, "at six?").await;
    let mut feeds = [
        (&ann, ann.follow("now").await),
        (&ben, ben.follow("now").await),
        (&cleo, cleo.follow("now").await),
        (&cleo, cleo.through(elsewhere).follow("now").await),
    ];
    ben.send(&reply(&asked.message_id, text("at seven"))).await.expect("sent");
    for (member, feed) in &mut feeds {
        let entry = feed.entries(1).await.pop().expect("an entry");
        let timeline = up_to(member, "at seven").await;
        let at = timeline.iter().find(|entry| entry.as_message().is_some()).expect("it").seq;
        let shown = Quote {
            seq: at,
            message_id: asked.message_id.clone(),
            sender_id: "ann".to_owned(),
            text: "at six?".to_owned(),
            ..Quote::default()
        };
        assert_eq!(quoted(&entry), &shown, "{}", member.user_id);
        assert_eq!(timeline.last(), Some(&entry));
        let history = member.history(IN_OSLO, 0, "").await.expect("a page").entries;
        assert_eq!(history[0], entry);
    }
    ann.edit(&asked.message_id, "at five?").await.expect("edited");
    assert_eq!(
        quoted(&cleo.history(IN_OSLO, 0, "").await.expect("a page").entries[0]).text,
        "at five?"
    );
    ann.recall(&asked.message_id).await.expect("recalled");
    let history = cleo.history(IN_OSLO, 0, "").await.expect("a page").entries;
    assert_eq!(quoted(&history[0]).tombstone, "RECALLED");
    assert_dense(&imd.database).await;
}

async fn who_joined_later_sees_that_something_is_quoted(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let before = ann.send(&text("a secret")).await.expect("sent");
    up_to(&ben, "a secret").await;
    let dan = imd.user_with_phone("dan").await;
    ann.group(GroupCall::Add(OSLO.to_owned(), "dan".to_owned())).await.expect("added");
    let mut feed = dan.follow("").await;
    ben.send(&reply(&before.message_id, text("after"))).await.expect("sent");
    let timeline = up_to(&dan, "after").await;
    let last = timeline.last().expect("a message");
    assert_eq!(quoted(last), &Quote::default());
    assert_eq!(feed.entries_to(last.seq).await.last(), Some(last));
    assert!(!format!("{timeline:?}").contains("secret"));
    let refused = dan.send(&reply(&before.message_id, text("what?"))).await.expect_err("unseen");
    assert_eq!(refused.code, "message_not_found");
}

async fn who_joins_is_shown_what_is_quoted_among_the_messages_before(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let two = json!({ "history": 2 });
    ann.group(GroupCall::Update(OSLO.to_owned(), two)).await.expect("changed");
    let first = ann.send(&text("first")).await.expect("sent");
    let second = ann.send(&reply(&first.message_id, text("second"))).await.expect("sent");
    up_to(&ben, "second").await;
    // Between the messages stands something that who joins is not shown.
    let renamed = json!({ "name": "Oslo" });
    ann.group(GroupCall::Update(OSLO.to_owned(), renamed)).await.expect("changed");
    ben.send(&reply(&second.message_id, text("third"))).await.expect("sent");
    let dan = imd.user_with_phone("dan").await;
    ann.group(GroupCall::Add(OSLO.to_owned(), "dan".to_owned())).await.expect("added");
    let timeline = up_to(&dan, "third").await;
    let shown: Vec<&Entry> = timeline.iter().filter(|e| e.as_message().is_some()).collect();
    assert_eq!(shown.len(), 2);
    assert_eq!(quoted(shown[0]), &Quote::default(), "the first is not shown");
    assert_eq!((quoted(shown[1]).seq, quoted(shown[1]).text.as_str()), (shown[0].seq, "second"));
}

async fn a_message_far_back_is_quoted(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let mut sent = Vec::new();
    for n in 0..60 {
        sent.push(ann.send(&text(&n.to_string())).await.expect("sent"));
        if n % 3 == 0 {
            ann.say("ben", &format!("beside {n}")).await;
        }
    }
    up_to(&ben, "59").await;
    ann.recall(&sent[30].message_id).await.expect("recalled");
    for n in [0, 1, 29, 31, 58, 59] {
        let said = format!("to {n}");
        ann.send(&reply(&sent[n].message_id, text(&said))).await.expect("sent");
        for member in [&ann, &ben] {
            let timeline = up_to(member, &said).await;
            let quote = quoted(timeline.last().expect("it"));
            let at = timeline.iter().find(|entry| entry.seq == quote.seq).expect("what is quoted");
            assert_eq!((at.text(), quote.text.as_str()), (&*n.to_string(), &*n.to_string()));
        }
    }
}

async fn an_edit_of_a_message_that_quotes_is_told_with_the_quote(imd: Cluster) {
    let (_node, elsewhere) = imd.start_node().await;
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let first = ann.send(&text("first")).await.expect("sent");
    let second = ann.send(&reply(&first.message_id, text("second"))).await.expect("sent");
    let timeline = up_to(&ben, "second").await;
    let at = quoted(timeline.last().expect("it")).clone();
    let mut feeds = [ben.follow("now").await, ben.through(elsewhere).follow("now").await];
    ann.edit(&second.message_id, "second, edited").await.expect("edited");
    for feed in &mut feeds {
        let entry = feed.entries(1).await.pop().expect("an entry");
        assert!(matches!(entry.kind, Kind::MessageEdited(_)));
        assert_eq!(quote(&edited(&entry).message), &at);
    }
}
