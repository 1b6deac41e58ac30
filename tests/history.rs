//! Roaming: conversations and their history, on any device.

use std::collections::BTreeSet;

use crate::support::{
    cluster::Cluster,
    on_both_transports,
    terminal::Terminal,
    types::{Conversation, Entry},
};

/// All pages of the history with `peer`, newest first.
async fn whole_history(terminal: &Terminal, peer: &str, page_size: i32) -> Vec<Entry> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let page = terminal.history(peer, page_size, &token).await.expect("a page");
        let last = page.next_page_token.is_empty();
        assert_eq!(page.end.as_deref(), last.then_some("BEGINNING"));
        all.extend(page.entries);
        if last {
            return all;
        }
        token = page.next_page_token;
    }
}

fn texts(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(Entry::text).collect()
}

/// Another character in the place of one in the middle.
fn tampered(token: &str) -> String {
    let mut bytes = token.to_owned().into_bytes();
    bytes[8] = if bytes[8] == b'A' { b'B' } else { b'A' };
    String::from_utf8(bytes).expect("ASCII")
}

on_both_transports! {
    a_new_device_reads_the_history_of_a_conversation,
    an_empty_history_begins_where_it_ends,
    pages_neither_repeat_nor_omit_whatever_their_size,
    messages_that_arrive_meanwhile_neither_repeat_nor_hide_any,
    a_page_is_as_large_as_asked,
    a_page_token_is_good_for_its_own_listing_alone,
    i11_a_page_token_survives_a_restart_and_holds_on_any_node,
    i8_a_history_that_ends_early_says_so,
    conversations_are_listed_by_their_newest_message,
    a_conversation_with_nobody_is_not_found,
}

async fn a_new_device_reads_the_history_of_a_conversation(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let carol = imd.user_with_phone("carol").await;
    for n in 0..6 {
        let (from, to) = if n % 2 == 0 { (&ann, "bob") } else { (&bob, "ann") };
        from.say(to, &n.to_string()).await;
        carol.say("ann", "of another conversation").await;
        ann.say("ann", "a note").await;
    }
    let pad = imd.log_in("ann", "pad", "new").await;
    let page = pad.history("bob", 0, "").await.expect("the history");
    assert_eq!(texts(&page.entries), ["5", "4", "3", "2", "1", "0"]);
    assert_eq!((page.end.as_deref(), page.next_page_token.as_str()), (Some("BEGINNING"), ""));
    assert_eq!(page.state, pad.pull("").await.expect("the timeline").state);
    let timeline = pad.pull("").await.expect("the timeline").entries;
    for entry in &page.entries {
        assert!(timeline.contains(entry), "the history shows what the timeline holds: {entry:?}");
    }
    assert_eq!(texts(&whole_history(&bob, "ann", 0).await), ["5", "4", "3", "2", "1", "0"]);
    assert_eq!(whole_history(&pad, "ann", 0).await.len(), 6, "the notes are a conversation, too");
}

async fn an_empty_history_begins_where_it_ends(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    let page = ann.history("bob", 0, "").await.expect("an empty page");
    assert_eq!(page.entries, []);
    assert_eq!((page.end.as_deref(), page.next_page_token.as_str()), (Some("BEGINNING"), ""));
}

async fn pages_neither_repeat_nor_omit_whatever_their_size(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    ann.say_at_once("bob", (0..60).map(|n| n.to_string())).await;
    let whole = whole_history(&ann, "bob", 200).await;
    assert_eq!(whole.len(), 60);
    assert!(whole.is_sorted_by(|newer, older| newer.seq > older.seq));
    for size in [1, 7, 30, 59, 60, 61] {
        assert_eq!(whole_history(&ann, "bob", size).await, whole, "pages of {size}");
    }
}

async fn messages_that_arrive_meanwhile_neither_repeat_nor_hide_any(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    ann.say_at_once("bob", (0..30).map(|n| format!("old {n}"))).await;
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let page = bob.history("ann", 4, &token).await.expect("a page");
        all.extend(page.entries);
        if page.next_page_token.is_empty() {
            break;
        }
        token = page.next_page_token;
        ann.say("bob", "new").await;
        bob.say("ann", "new").await;
    }
    let distinct: BTreeSet<_> = texts(&all).into_iter().collect();
    assert_eq!((all.len(), distinct.len()), (30, 30));
    assert!(distinct.iter().all(|text| text.starts_with("old")));
}

async fn a_page_is_as_large_as_asked(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    ann.say_at_once("bob", (0..205).map(|n| n.to_string())).await;
    for (asked, size) in [(0, 50), (1, 1), (200, 200), (201, 200), (i32::MAX, 200)] {
        let page = ann.history("bob", asked, "").await.expect("a page");
        assert_eq!(page.entries.len(), size, "{asked}");
    }
    assert_eq!(ann.history("bob", -1, "").await.expect_err("negative").field(), "page_size");
    let refused = ann.api.conversations(&ann.token, -1, "").await.expect_err("negative");
    assert_eq!(refused.field(), "page_size");
}

async fn a_page_token_is_good_for_its_own_listing_alone(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let carol = imd.user_with_phone("carol").await;
    for peer in ["bob", "carol"] {
        ann.say(peer, "one").await;
        ann.say(peer, "two").await;
    }
    carol.say("bob", "one").await;
    carol.say("bob", "two").await;
    let page = ann.history("bob", 1, "").await.expect("a page");
    let token = page.next_page_token;
    let listed = ann.api.conversations(&ann.token, 1, "").await.expect("a page");

    let refused = [
        ann.history("bob", 1, &tampered(&token)).await.err(),
        ann.history("bob", 1, &token[..token.len() - 1]).await.err(),
        ann.history("bob", 1, "garbage").await.err(),
        ann.history("carol", 1, &token).await.err(),
        carol.history("bob", 1, &token).await.err(),
        bob.history("ann", 1, &token).await.err(),
        ann.history("bob", 1, &listed.next_page_token).await.err(),
        ann.api.conversations(&ann.token, 1, &token).await.err(),
        bob.api.conversations(&bob.token, 1, &listed.next_page_token).await.err(),
    ];
    for (case, refused) in refused.into_iter().enumerate() {
        let refused = refused.unwrap_or_else(|| panic!("case {case} was let through"));
        assert_eq!(refused.field(), "page_token", "case {case}");
    }
    assert_eq!(texts(&ann.history("bob", 1, &token).await.expect("a page").entries), ["one"]);
}

async fn i11_a_page_token_survives_a_restart_and_holds_on_any_node(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    for text in ["one", "two", "three"] {
        ann.say("bob", text).await;
    }
    let first = ann.history("bob", 1, "").await.expect("a page");
    let (_node, after_the_restart) = imd.start_node().await;
    imd.node.stop().await;
    let ann = ann.through(after_the_restart);
    let second = ann.history("bob", 1, &first.next_page_token).await.expect("a page");
    let third = ann.history("bob", 1, &second.next_page_token).await.expect("a page");
    assert_eq!((texts(&second.entries), texts(&third.entries)), (vec!["two"], vec!["one"]));
    assert_eq!(third.end.as_deref(), Some("BEGINNING"));
}

async fn i8_a_history_that_ends_early_says_so(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    for n in 2..=9 {
        ann.say("bob", &n.to_string()).await;
    }
    imd.admin().set_limits("ann", None, Some(3)).await.expect("limits of her own");
    let first = ann.history("bob", 2, "").await.expect("a page");
    assert_eq!((texts(&first.entries), first.end), (vec!["9", "8"], None));
    let last = ann.history("bob", 2, &first.next_page_token).await.expect("a page");
    assert_eq!(texts(&last.entries), ["7"]);
    assert_eq!(last.end.as_deref(), Some("RETENTION_LIMIT"));
    assert_eq!(last.state.floor, 7);
}

async fn conversations_are_listed_by_their_newest_message(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let peers = ["bob", "carol", "dave", "erin", "frank"];
    imd.users(peers).await;
    for peer in peers {
        ann.say(peer, &format!("to {peer}")).await;
    }
    ann.say("bob", "once more").await;
    ann.say("ann", "a note").await;
    let shown = |conversation: &Conversation| {
        let peer = conversation.conversation_id.strip_prefix("user:").expect("user:<id>");
        (peer.to_owned(), conversation.last_message.text().to_owned())
    };
    let expected = [
        ("ann", "a note"),
        ("bob", "once more"),
        ("frank", "to frank"),
        ("erin", "to erin"),
        ("dave", "to dave"),
        ("carol", "to carol"),
    ]
    .map(|(peer, text)| (peer.to_owned(), text.to_owned()));
    for size in [0, 1, 2, 5, 6] {
        let listed = ann.conversations(size).await;
        assert_eq!(listed.iter().map(shown).collect::<Vec<_>>(), expected, "pages of {size}");
    }
    for conversation in ann.conversations(0).await {
        assert_eq!(
            conversation.last_message.message().conversation_id,
            conversation.conversation_id
        );
    }
    let of_bob = imd.log_in("bob", "phone", "p").await;
    let listed = of_bob.conversations(0).await;
    assert_eq!(
        listed.iter().map(shown).collect::<Vec<_>>(),
        [("ann".to_owned(), "once more".to_owned())]
    );
}

async fn a_conversation_with_nobody_is_not_found(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    assert_eq!(ann.history("nobody", 0, "").await.expect_err("nobody").code, "user_not_found");
    for bad in ["bob", "team:bob", "user:", "user:b b"] {
        let refused = ann.api.history(&ann.token, bad, 0, "").await.expect_err(bad);
        assert_eq!(refused.field(), "conversation_id", "{bad:?}");
    }
}
