//! Forwarded messages: what they say, where it comes from, and who may.

use std::time::Duration;

use crate::{
    append::assert_dense,
    groups::{IN_OSLO, OSLO, group_of, text},
    support::{
        admin::tier,
        api::{GroupCall, Outgoing, Transport},
        cluster::Cluster,
        eventually,
        node::Node,
        on_both_transports, on_every_transport,
        postgres::Database,
        terminal::Terminal,
        types::{Content, Entry, Message},
    },
};

on_every_transport! {
    i6_every_participant_sees_what_is_forwarded_and_where_from,
    i7_a_forward_that_is_repeated_is_sent_once,
}

on_both_transports! {
    what_was_forwarded_comes_from_where_it_came_first,
    a_forward_goes_into_and_out_of_groups,
    only_what_one_sees_is_forwarded,
    a_forward_is_checked,
    what_is_forwarded_stays_as_it_was,
    a_recalled_forward_says_nothing,
    forwards_and_other_messages_are_stored_together,
}

/// The newest message of a conversation.
async fn newest(terminal: &Terminal, peer: &str) -> Message {
    terminal.conversation(peer).await.last_message.message().clone()
}

/// Waits until a member has a message of the group.
async fn has(terminal: &Terminal, message_id: &str) -> Entry {
    let is_it = |entry: &Entry| entry.as_message().is_some_and(|m| m.message_id == message_id);
    eventually("the message", async || terminal.timeline().await.into_iter().find(is_it)).await
}

async fn i6_every_participant_sees_what_is_forwarded_and_where_from(imd: Cluster) {
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    let carol = imd.user_with_phone("carol").await;
    let (_node, elsewhere) = imd.start_node().await;
    let card = Outgoing::data("bob", "application/x-card", b"a card");
    let first = ann.send(&card).await.expect("sent");
    let received = bob.timeline().await.pop().expect("a message");
    let mut feeds = [
        bob.follow("now").await,
        carol.follow("now").await,
        carol.through(elsewhere).follow("now").await,
    ];
    let sent = bob.send(&Outgoing::forward("carol", &first.message_id)).await.expect("sent");
    for feed in &mut feeds {
        let entry = feed.entries(1).await.pop().expect("an entry");
        let message = entry.message();
        assert_eq!(message.message_id, sent.message_id);
        assert_eq!((&message.content, message.sender_id.as_str()), (&card.content, "bob"));
        let from = message.forwarded.as_ref().expect("where it comes from");
        assert_eq!((from.sender_id.as_str(), from.sent_at), ("ann", received.appended_at));
    }
    for (terminal, peer) in [(&bob, "carol"), (&carol, "bob")] {
        let message = newest(terminal, peer).await;
        assert_eq!(message.content, card.content);
        assert_eq!(message.forwarded.expect("where it comes from").sender_id, "ann");
    }
    assert_eq!(newest(&ann, "bob").await.forwarded, None);
    assert_dense(&imd.database).await;
}

async fn i7_a_forward_that_is_repeated_is_sent_once(imd: Cluster) {
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    let original = ann.say("bob", "hello").await;
    let other = ann.say("bob", "hello").await;
    let forward = Outgoing::forward("ann", &original.message_id);
    let first = bob.send(&forward).await.expect("sent");
    ann.edit(&original.message_id, "hello, edited").await.expect("edited");
    let again = bob.send(&forward).await.expect("a retry");
    assert_eq!((again.message_id, again.duplicate), (first.message_id, true));
    let another = Outgoing { forward_of: other.message_id, ..forward.clone() };
    let refused = bob.send(&another).await.expect_err("another message");
    assert_eq!(refused.code, "client_message_id_conflict");
    let own = Outgoing {
        forward_of: String::new(),
        content: Some(Content::Text("hello".to_owned())),
        ..forward
    };
    let refused = bob.send(&own).await.expect_err("no forward");
    assert_eq!(refused.code, "client_message_id_conflict");
    assert_eq!(ann.texts().await, ["hello, edited", "hello", "hello"]);
}

async fn what_was_forwarded_comes_from_where_it_came_first(imd: Cluster) {
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    let carol = imd.user_with_phone("carol").await;
    let first = ann.say("bob", "a rumour").await;
    let second = bob.send(&Outgoing::forward("carol", &first.message_id)).await.expect("sent");
    let before = newest(&carol, "bob").await.forwarded;
    carol.send(&Outgoing::forward("ann", &second.message_id)).await.expect("sent");
    let message = newest(&ann, "carol").await;
    assert_eq!(message.forwarded, before);
    assert_eq!(message.sender_id, "carol");
    ann.send(&Outgoing::forward("ann", &first.message_id)).await.expect("a note to oneself");
    let from = newest(&ann, "ann").await.forwarded.expect("where it comes from");
    assert_eq!((from.sender_id.as_str(), from.sent_at), ("ann", first.sent_at));
}

async fn a_forward_goes_into_and_out_of_groups(imd: Cluster) {
    let [ann, ben] = [imd.user_with_phone("ann").await, imd.user_with_phone("ben").await];
    crate::groups::create(&ann, &["ben"]).await;
    let carol = imd.user_with_phone("carol").await;
    let between = carol.say("ann", "from carol").await;
    let mut feed = ben.follow("now").await;
    let into =
        ann.send(&Outgoing::forward(IN_OSLO, &between.message_id)).await.expect("sent").message_id;
    let live = feed.entries(1).await.pop().expect("an entry");
    let stored = has(&ben, &into).await;
    assert_eq!(live, stored);
    assert_eq!(stored.text(), "from carol");
    assert_eq!(stored.message().forwarded.as_ref().expect("from carol").sender_id, "carol");
    let in_group = ann.send(&text("from the group")).await.expect("sent").message_id;
    has(&ben, &in_group).await;
    ben.send(&Outgoing::forward("carol", &in_group)).await.expect("sent");
    let message = newest(&carol, "ben").await;
    assert_eq!(message.forwarded.expect("from ann").sender_id, "ann");
    assert_dense(&imd.database).await;
}

async fn only_what_one_sees_is_forwarded(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let carol = imd.user_with_phone("carol").await;
    let secret = ann.say("ben", "a secret").await;
    let in_group = ann.send(&text("another secret")).await.expect("sent").message_id;
    ann.group(GroupCall::Add(OSLO.to_owned(), "carol".to_owned())).await.expect("added");
    let gone = ann.say("ben", "gone").await;
    ann.recall(&gone.message_id).await.expect("recalled");
    let place = has(&ben, &secret.message_id).await.seq;
    let nobodys = "AAAAAAAAJw8AAAAAAAAAAQ";
    let mut refused = Vec::new();
    for id in [&secret.message_id, &in_group, &gone.message_id, &nobodys.to_owned()] {
        let forward = carol.send(&Outgoing::forward("ben", id)).await;
        refused.push(forward.expect_err("not carol's"));
    }
    let forward = ben.send(&Outgoing::forward("carol", &gone.message_id)).await;
    refused.push(forward.expect_err("recalled"));
    ben.delete("ann", place).await.expect("deleted");
    let forward = ben.send(&Outgoing::forward("carol", &secret.message_id)).await;
    refused.push(forward.expect_err("deleted"));
    assert_eq!(refused[0].code, "message_not_found");
    assert!(refused.iter().all(|other| *other == refused[0]), "one answer for all: {refused:?}");
    assert!(!format!("{:?}", carol.timeline().await).contains("secret"));
}

async fn a_forward_is_checked(imd: Cluster) {
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    let sent = ann.say("bob", "hello").await;
    let with_text = Outgoing {
        content: Some(Content::Text("x".to_owned())),
        ..Outgoing::forward("bob", &sent.message_id)
    };
    for bad in [Outgoing::forward("bob", "no-id"), with_text] {
        let refused = ann.send(&bad).await.expect_err("not valid");
        assert_eq!(
            (refused.code.as_str(), refused.detail("field")),
            ("invalid_argument", "forward_of")
        );
    }
    bob.block("ann").await.expect("blocked");
    let refused = ann.send(&Outgoing::forward("bob", &sent.message_id)).await;
    assert_eq!(refused.expect_err("as any message").code, "blocked");
}

async fn what_is_forwarded_stays_as_it_was(imd: Cluster) {
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    let carol = imd.user_with_phone("carol").await;
    let sent = ann.say("bob", "one").await;
    let forwarded = bob.send(&Outgoing::forward("carol", &sent.message_id)).await.expect("sent");
    ann.edit(&sent.message_id, "two").await.expect("edited");
    ann.recall(&sent.message_id).await.expect("recalled");
    assert_eq!(carol.texts().await, ["one"]);
    bob.edit(&forwarded.message_id, "mine").await.expect("edited by who forwarded it");
    let message = newest(&carol, "bob").await;
    assert_eq!(message.content, Some(Content::Text("mine".to_owned())));
}

async fn a_recalled_forward_says_nothing(imd: Cluster) {
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    let sent = ann.say("bob", "one").await;
    let forwarded = bob.send(&Outgoing::forward("ann", &sent.message_id)).await.expect("sent");
    bob.recall(&forwarded.message_id).await.expect("recalled");
    let message = newest(&ann, "bob").await;
    assert_eq!((message.forwarded, message.content), (None, None));
    let sql = imd.database.sql().await;
    let left = "SELECT count(*) FROM entries WHERE forwarded_from IS NOT NULL";
    assert_eq!(sql.query_one(left, &[]).await.expect("a count").get::<_, i64>(0), 0);
}

/// In one batch, whichever of its kinds a message is.
async fn forwards_and_other_messages_are_stored_together(imd: Cluster) {
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    let sent = ann.say("bob", "original").await;
    let all = (0..30).map(|n| match n % 3 {
        0 => Outgoing::forward("bob", &sent.message_id),
        1 => Outgoing { reply_to: sent.message_id.clone(), ..Outgoing::text("bob", "reply") },
        _ => Outgoing::text("bob", "plain"),
    });
    let sends = futures::future::join_all(all.map(async |message| ann.send(&message).await)).await;
    assert!(sends.iter().all(Result::is_ok));
    let entries = bob.timeline().await;
    let messages: Vec<&Message> = entries[2..].iter().map(Entry::message).collect();
    assert_eq!(messages.len(), 30);
    for message in messages {
        let said = match &message.content {
            Some(Content::Text(text)) => text.as_str(),
            other => panic!("{other:?}"),
        };
        assert_eq!(message.forwarded.is_some(), said == "original");
        assert_eq!(message.reply_to.is_some(), said == "reply");
    }
    assert_dense(&imd.database).await;
}

#[tokio::test]
async fn what_is_hidden_is_not_forwarded() {
    let database = Database::create().await;
    let keep = |s: &mut imd::config::Settings| s.retention.purge_after = Duration::from_hours(1);
    let node = Node::start_with(&database, keep).await;
    let imd = Cluster::of(Transport::Grpc, database, node);
    let admin = imd.admin();
    admin.apply_tiers(vec![tier("small", None, Some(1))]).await.expect("a tier");
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    let sent = ann.say("bob", "old").await;
    admin.set_tier("bob", "small").await.expect("the user's tier");
    ann.say("bob", "new").await;
    let refused = bob.send(&Outgoing::forward("ann", &sent.message_id)).await;
    assert_eq!(refused.expect_err("hidden from bob").code, "message_not_found");
    ann.send(&Outgoing::forward("bob", &sent.message_id)).await.expect("ann sees it");
}
