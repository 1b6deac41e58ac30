//! How many messages are unread.

use futures::future::join_all;

use crate::support::{cluster::Cluster, on_both_transports, terminal::Terminal};

async fn unread(terminal: &Terminal, peer: &str) -> i64 {
    terminal.conversation(peer).await.unread_count
}

on_both_transports! {
    what_others_said_after_the_mark_is_unread,
    what_one_has_answered_is_read,
    an_answer_that_is_deleted_leaves_read_what_was,
    what_is_gone_is_not_unread,
    a_hundred_stands_for_more,
    any_number_of_recalled_messages_hides_none,
    each_conversation_counts_by_itself,
    what_can_no_longer_be_had_is_not_unread,
}

async fn what_others_said_after_the_mark_is_unread(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    for n in 1..=3 {
        bob.say("ann", "hello").await;
        assert_eq!(unread(&ann, "bob").await, n);
    }
    let seqs: Vec<_> =
        ann.history("bob", 0, "").await.expect("a page").entries.iter().map(|e| e.seq).collect();
    for (seq, left) in seqs.iter().zip([0, 1, 2, 3]).rev() {
        ann.mark_read("bob", *seq).await.expect("marked");
        assert_eq!(unread(&ann, "bob").await, left);
    }
    bob.say("ann", "one more").await;
    let new_device = imd.log_in("ann", "pad", "new").await;
    let (_node, elsewhere) = imd.start_node().await;
    assert_eq!(unread(&new_device.through(elsewhere), "bob").await, 1, "wherever one asks");
    assert_eq!(unread(&bob, "ann").await, 0, "own messages are not unread");
}

async fn what_one_has_answered_is_read(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    bob.say("ann", "are you there?").await;
    ann.say("bob", "yes").await;
    assert_eq!(unread(&ann, "bob").await, 0);
    bob.say("ann", "good").await;
    bob.say("ann", "see you").await;
    assert_eq!(unread(&ann, "bob").await, 2);
    assert_eq!(unread(&bob, "ann").await, 0);
    ann.say("ann", "a note").await;
    assert_eq!(unread(&ann, "ann").await, 0);
    assert_eq!(unread(&ann, "bob").await, 2, "a note answers nobody");
}

async fn an_answer_that_is_deleted_leaves_read_what_was(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    bob.say("ann", "are you there?").await;
    let answer = ann.say("bob", "yes").await;
    bob.say("ann", "good").await;
    ann.delete("bob", answer.seq).await.expect("deleted");
    assert_eq!(unread(&ann, "bob").await, 1);
    let answer = ann.say("bob", "see you").await;
    ann.recall(&answer.message_id).await.expect("recalled");
    assert_eq!(unread(&ann, "bob").await, 0);
}

async fn what_is_gone_is_not_unread(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let mut sent = Vec::new();
    for text in ["one", "two", "three", "four"] {
        sent.push(bob.say("ann", text).await);
    }
    bob.recall(&sent[1].message_id).await.expect("recalled");
    assert_eq!(unread(&ann, "bob").await, 3);
    bob.recall(&sent[3].message_id).await.expect("recalled");
    assert_eq!(unread(&ann, "bob").await, 2);
    let three = ann.history("bob", 0, "").await.expect("a page").entries.remove(1);
    assert_eq!(three.text(), "three");
    ann.delete("bob", three.seq).await.expect("deleted");
    assert_eq!(unread(&ann, "bob").await, 1);
}

async fn a_hundred_stands_for_more(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let texts = |count: i32| (0..count).map(|n| n.to_string());
    bob.say_at_once("ann", texts(99)).await;
    assert_eq!(unread(&ann, "bob").await, 99);
    bob.say("ann", "the hundredth").await;
    assert_eq!(unread(&ann, "bob").await, 100);
    let more = bob.say_at_once("ann", texts(30)).await;
    assert_eq!(unread(&ann, "bob").await, 100);
    for sent in &more {
        bob.recall(&sent.message_id).await.expect("recalled");
    }
    assert_eq!(unread(&ann, "bob").await, 100, "those behind the recalled ones count");
    let newest = ann.history("bob", 1, "").await.expect("a page").entries.remove(0);
    ann.mark_read("bob", newest.seq).await.expect("marked");
    assert_eq!(unread(&ann, "bob").await, 0);
}

async fn any_number_of_recalled_messages_hides_none(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let texts = |count: i32| (0..count).map(|n| n.to_string());
    bob.say_at_once("ann", texts(5)).await;
    let recalled = bob.say_at_once("ann", texts(200)).await;
    for some in recalled.chunks(10) {
        for sent in join_all(some.iter().map(|sent| bob.recall(&sent.message_id))).await {
            sent.expect("recalled");
        }
    }
    assert_eq!(unread(&ann, "bob").await, 5);
    let last = ann.conversation("bob").await.last_message;
    assert!(last.message().tombstone.is_some(), "what was recalled stands in the conversation");
    assert_eq!(ann.history("bob", 200, "").await.expect("a page").entries.len(), 200);
    ann.say("bob", "an answer").await;
    assert_eq!(unread(&ann, "bob").await, 0);
}

async fn each_conversation_counts_by_itself(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    for (peer, count) in [("bob", 1), ("carol", 2), ("dave", 3)] {
        let peer = imd.user_with_phone(peer).await;
        for _ in 0..count {
            peer.say("ann", "hello").await;
        }
    }
    let newest = ann.history("carol", 1, "").await.expect("a page").entries.remove(0);
    ann.mark_read("carol", newest.seq).await.expect("marked");
    let (mut counts, mut token) = (Vec::new(), String::new());
    loop {
        let listed = ann.api.conversations(&ann.token, 1, &token).await.expect("a page");
        counts
            .extend(listed.conversations.into_iter().map(|c| (c.conversation_id, c.unread_count)));
        if listed.next_page_token.is_empty() {
            break;
        }
        token = listed.next_page_token;
    }
    let expected = [("user:dave", 3), ("user:carol", 0), ("user:bob", 1)];
    assert_eq!(counts, expected.map(|(id, count)| (id.to_owned(), count)));
}

async fn what_can_no_longer_be_had_is_not_unread(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    for text in ["one", "two", "three"] {
        bob.say("ann", text).await;
    }
    // Hidden, and not yet deleted.
    let sql = imd.database.sql().await;
    sql.batch_execute("UPDATE timelines SET purged_to = last_seq - 1").await.expect("a floor");
    assert_eq!(unread(&ann, "bob").await, 1);
}
