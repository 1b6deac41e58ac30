//! What is another user's is not to be had.

use serde_json::json;

use crate::support::{cluster::Cluster, on_both_transports, terminal::Terminal, types::Entry};

/// Ann and bob have a secret; carol is a user like any other.
async fn scene(imd: &Cluster) -> (Terminal, Terminal, Terminal) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let carol = imd.user_with_phone("carol").await;
    for n in 0..5 {
        ann.say("bob", &format!("secret {n}")).await;
    }
    (ann, bob, carol)
}

fn assert_no_secret(entries: &[Entry]) {
    assert!(!format!("{entries:?}").contains("secret"), "{entries:?}");
}

on_both_transports! {
    a_user_reads_its_own_conversations_only,
    a_user_follows_its_own_timeline_only,
    a_client_message_id_tells_nothing_of_anothers,
    a_stranger_cannot_touch_what_others_said,
}

async fn a_user_reads_its_own_conversations_only(imd: Cluster) {
    let (_ann, _bob, carol) = scene(&imd).await;
    for peer in ["ann", "bob", "carol"] {
        assert_eq!(carol.history(peer, 0, "").await.expect("an empty page").entries, []);
    }
    let listed = carol.api.conversations(&carol.token, 0, "").await.expect("an empty page");
    assert!(listed.conversations.is_empty());
    carol.say("ann", "hello").await;
    let history = carol.history("ann", 0, "").await.expect("a page").entries;
    assert_eq!(history.len(), 1);
    assert_no_secret(&history);
}

async fn a_user_follows_its_own_timeline_only(imd: Cluster) {
    let (ann, _bob, carol) = scene(&imd).await;
    let of_ann = ann.pull("").await.expect("the timeline");
    for cursor in ["", &of_ann.entries[0].cursor, &of_ann.next_after] {
        assert_no_secret(&carol.pull(cursor).await.expect("the timeline").entries);
    }
    let mut feed = carol.follow("").await;
    ann.say("bob", "one more secret").await;
    ann.say("carol", "hello").await;
    let entries = feed.entries(2).await;
    assert_no_secret(&entries);
    assert_eq!(entries[1].text(), "hello");
}

async fn a_client_message_id_tells_nothing_of_anothers(imd: Cluster) {
    let (ann, _bob, carol) = scene(&imd).await;
    let secret = ann.pull("").await.expect("the timeline").entries.remove(1);
    let secret = secret.message();
    let guess = crate::support::api::Outgoing {
        to: Some("bob".to_owned()),
        client_message_id: secret.client_message_id.clone().expect("ann's own"),
        content: secret.content.clone(),
        mentions: Vec::new(),
        mention_all: false,
        reply_to: String::new(),
        forward_of: String::new(),
        attachments: Vec::new(),
    };
    let sent = carol.send(&guess).await.expect("a message of carol's own");
    assert!(!sent.duplicate);
    assert_ne!(sent.message_id, secret.message_id);
}

async fn a_stranger_cannot_touch_what_others_said(imd: Cluster) {
    let (ann, bob, carol) = scene(&imd).await;
    let before = (ann.timeline().await, bob.timeline().await, carol.timeline().await);
    let of_ann = before.0.last().expect("a secret");
    let refused = [
        carol.recall(&of_ann.message().message_id).await.expect_err("ann's"),
        bob.recall(&of_ann.message().message_id).await.expect_err("ann's, though bob has it"),
        carol.recall("AAAAAAAAJw8AAAAAAAAAAQ").await.expect_err("nobody's"),
        carol.delete("ann", of_ann.seq).await.expect_err("not carol's"),
        carol.delete("ann", 1).await.expect_err("a login"),
    ];
    assert_eq!(refused[0].code, "message_not_found");
    assert!(refused.iter().all(|other| *other == refused[0]), "one answer for all: {refused:?}");
    assert_eq!(carol.mark_read("ann", 1).await, Ok(0), "carol has nothing to read there");
    assert_eq!(
        (ann.timeline().await, bob.timeline().await, carol.timeline().await),
        before,
        "nothing has changed for anybody"
    );
    let pinned = carol.set("ann", json!({ "pinned": true })).await.expect("for carol alone");
    assert!(pinned.pinned && !ann.conversation("bob").await.settings.pinned);
    assert_eq!((ann.timeline().await, bob.timeline().await), (before.0, before.1));
}
