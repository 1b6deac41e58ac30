//! Pages are cut by bytes as well as by count, and a reader that goes on misses nothing.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::json;

use crate::support::{
    api::{GroupCall, Outgoing},
    cluster::Cluster,
    eventually, on_both_transports,
    terminal::Terminal,
    types::{Content, Entry},
};

/// The largest message that there may be by default, in bytes.
const LARGEST: usize = 16 * 1024;

/// The most bytes of bodies in a page.
const PAGE: usize = 512 * 1024;

/// More of them than a page holds.
const MESSAGES: i64 = 80;

on_both_transports! {
    a_stretch_of_a_timeline_is_cut,
    a_page_of_history_is_cut,
    a_page_of_conversations_is_cut,
    pages_of_a_groups_messages_are_cut,
    a_message_that_is_larger_than_a_page_is_a_page,
}

fn bytes<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> usize {
    let messages = entries.into_iter().filter_map(Entry::as_message);
    let size = |content: &Content| match content {
        Content::Text(text) => text.len(),
        Content::Data { data, .. } => data.len(),
    };
    messages.filter_map(|message| message.content.as_ref().map(size)).sum()
}

fn large() -> impl Iterator<Item = String> {
    (0..MESSAGES).map(|n| format!("{n:0LARGEST$}"))
}

/// Reads the timeline to its end: the places of its entries, and how many stretches it took.
async fn pull_all(terminal: &Terminal) -> (Vec<i64>, usize) {
    let (mut after, mut seqs, mut stretches) = (String::new(), Vec::new(), 0);
    loop {
        let stretch = terminal.pull(&after).await.expect("a stretch");
        assert!(!stretch.entries.is_empty() && bytes(&stretch.entries) <= PAGE);
        seqs.extend(stretch.entries.iter().map(|entry| entry.seq));
        stretches += 1;
        if seqs.last() == Some(&stretch.state.last_seq) {
            return (seqs, stretches);
        }
        after = stretch.next_after;
    }
}

/// Reads a conversation to its beginning: the places of its messages, and how many pages it took.
async fn history_of(terminal: &Terminal, peer: &str) -> (Vec<i64>, usize) {
    let (mut token, mut seqs, mut pages) = (String::new(), Vec::new(), 0);
    loop {
        let page = terminal.history(peer, 200, &token).await.expect("a page");
        assert!(!page.entries.is_empty() && bytes(&page.entries) <= PAGE);
        seqs.extend(page.entries.iter().map(|entry| entry.seq));
        pages += 1;
        assert_eq!(page.end.is_some(), page.next_page_token.is_empty());
        if page.next_page_token.is_empty() {
            return (seqs, pages);
        }
        token = page.next_page_token;
    }
}

async fn a_stretch_of_a_timeline_is_cut(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    ann.say_at_once("ann", large()).await;
    let (seqs, stretches) = pull_all(&ann).await;
    assert!(seqs.iter().copied().eq(1..=1 + MESSAGES), "{seqs:?}");
    assert_eq!(stretches, 3);
}

async fn a_page_of_history_is_cut(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    ann.say_at_once("ann", large()).await;
    let (seqs, pages) = history_of(&ann, "ann").await;
    assert!(seqs.iter().copied().eq((2..=1 + MESSAGES).rev()), "{seqs:?}");
    assert_eq!(pages, 3);
}

/// A member's timeline refers to what stands in the group's.
async fn pages_of_a_groups_messages_are_cut(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    let group = json!({ "group_id": "oslo", "name": "Oslo", "member_ids": ["ben"] });
    ann.group(GroupCall::Create(group)).await.expect("a group");
    let messages: Vec<_> = large().map(|text| Outgoing::text("group:oslo", text)).collect();
    join_all(messages.iter().map(async |message| ann.send(message).await.expect("sent"))).await;
    let count = usize::try_from(MESSAGES).expect("a few");
    eventually("all of it", async || {
        let listed = ben.conversations(0).await;
        listed.iter().any(|listed| listed.unread_count == MESSAGES).then_some(())
    })
    .await;
    let (places, pages) = history_of(&ben, "group:oslo").await;
    assert_eq!(places.len(), count);
    assert_eq!(pages, 3);
    assert!(places.is_sorted_by(|a, b| a > b), "{places:?}");
    let (seqs, stretches) = pull_all(&ben).await;
    assert!(seqs.iter().copied().eq((1..).take(seqs.len())), "{seqs:?}");
    assert_eq!(stretches, 3);
    let listed = ben.api.conversations(&ben.token, 100, "").await.expect("a page");
    assert_eq!(listed.conversations.len(), 1);
}

async fn a_page_of_conversations_is_cut(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let peers: Vec<String> = (0..40).map(|n| format!("peer-{n}")).collect();
    for (peer, text) in peers.iter().zip(large()) {
        imd.user(peer).await;
        ann.say(peer, &text).await;
    }
    let (mut token, mut listed, mut pages) = (String::new(), BTreeSet::new(), 0);
    loop {
        let page = imd.api.conversations(&ann.token, 1000, &token).await.expect("a page");
        let last_messages =
            page.conversations.iter().map(|conversation| &conversation.last_message);
        assert!(bytes(last_messages) <= PAGE);
        for conversation in page.conversations {
            assert!(listed.insert(conversation.conversation_id), "each is listed once");
        }
        pages += 1;
        if page.next_page_token.is_empty() {
            break;
        }
        token = page.next_page_token;
    }
    assert!(listed == peers.iter().map(|peer| format!("user:{peer}")).collect());
    assert_eq!(pages, 2);
}

async fn a_message_that_is_larger_than_a_page_is_a_page(imd: Cluster) {
    let (node, api) =
        imd.start_node_with(|settings| settings.messages.max_body_bytes = 2 * PAGE).await;
    let ann = imd.user_with_phone("ann").await.through(api);
    let huge = "x".repeat(PAGE + 1);
    ann.say_at_once("ann", [huge.clone(), huge].into_iter()).await;
    let mut after = String::new();
    for what in ["the login", "a message", "the other"] {
        let stretch = ann.pull(&after).await.expect("a stretch");
        assert_eq!(stretch.entries.len(), 1, "{what}");
        after = stretch.next_after;
    }
    let page = ann.history("ann", 200, "").await.expect("a page");
    assert_eq!((page.entries.len(), page.next_page_token.is_empty()), (1, false));
    drop(node);
}
