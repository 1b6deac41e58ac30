//! Deleting for oneself: one's own copy, on all one's terminals.

use super::{gone, told, tombstone};
use crate::{
    append::assert_dense,
    support::{cluster::Cluster, on_both_transports, types::Kind},
};

on_both_transports! {
    i6_it_is_deleted_on_all_terminals_of_the_user,
    the_others_keep_theirs_and_learn_nothing,
    the_conversation_goes_on_without_it,
    to_delete_again_changes_nothing,
    only_what_stands_there_is_deleted,
    a_recalled_message_can_be_deleted,
    the_copy_is_found_when_that_of_the_sender_is_gone,
}

async fn i6_it_is_deleted_on_all_terminals_of_the_user(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let bob = imd.user_with_phone("bob").await;
    let cursor = phone.pull("").await.expect("the timeline").next_after;
    let (mut on_phone, mut on_pc) = (phone.follow("now").await, pc.follow("now").await);
    let sent = bob.say("ann", "hello").await;
    let own = phone.say("bob", "my own").await;
    let received = on_phone.entries(2).await.remove(0);
    phone.delete("bob", received.seq).await.expect("deleted");
    pc.delete("bob", own.seq).await.expect("deleted");

    let entries = on_phone.entries(2).await;
    let deleted = |id: &str, seq| Kind::MessageDeleted(gone(id, "bob", seq));
    assert_eq!(entries[0].kind, deleted(&sent.message_id, received.seq));
    assert_eq!(entries[1].kind, deleted(&own.message_id, own.seq));
    assert_eq!(on_pc.entries(4).await[2..], entries);
    let again = phone.pull(&cursor).await.expect("the timeline").entries;
    assert_eq!(again[..2].iter().map(tombstone).collect::<Vec<_>>(), ["DELETED", "DELETED"]);
    assert_eq!(again[2..], entries);
    assert_dense(&imd.database).await;
}

async fn the_others_keep_theirs_and_learn_nothing(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let sent = bob.say("ann", "hello").await;
    let own = ann.say("bob", "hello, bob").await;
    let before = bob.timeline().await;
    let received = ann.history("bob", 0, "").await.expect("a page").entries.remove(1);
    ann.delete("bob", received.seq).await.expect("deleted");
    ann.delete("bob", own.seq).await.expect("deleted");
    assert_eq!(bob.timeline().await, before);
    assert_eq!(bob.history("ann", 0, "").await.expect("a page").entries.len(), 2);
    bob.recall(&sent.message_id).await.expect("it is bob's to recall as before");
}

async fn the_conversation_goes_on_without_it(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let carol = imd.user_with_phone("carol").await;
    for text in ["one", "two", "three"] {
        bob.say("ann", text).await;
    }
    carol.say("ann", "hello").await;
    bob.say("ann", "four").await;
    let texts = async || -> Vec<String> {
        let page = ann.history("bob", 0, "").await.expect("a page");
        page.entries.iter().map(|entry| entry.text().to_owned()).collect()
    };
    let seqs: Vec<_> =
        ann.history("bob", 0, "").await.expect("a page").entries.iter().map(|e| e.seq).collect();
    ann.delete("bob", seqs[2]).await.expect("deleted");
    assert_eq!(texts().await, ["four", "three", "one"]);
    ann.delete("bob", seqs[0]).await.expect("deleted");
    assert_eq!(ann.conversation("bob").await.last_message.text(), "three");
    let listed = ann.api.conversations(&ann.token, 0, "").await.expect("a page").conversations;
    assert_eq!(listed[0].conversation_id, "user:carol", "the order is that of what is left");
    ann.delete("bob", seqs[1]).await.expect("deleted");
    ann.delete("bob", seqs[3]).await.expect("deleted");
    assert!(texts().await.is_empty());
    let listed = ann.api.conversations(&ann.token, 0, "").await.expect("a page").conversations;
    assert_eq!(listed.len(), 1, "nothing is left of the conversation with bob");
    bob.say("ann", "five").await;
    assert_eq!(texts().await, ["five"]);
    assert_dense(&imd.database).await;
}

async fn to_delete_again_changes_nothing(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    let sent = ann.say("bob", "hello").await;
    for deleted in futures::future::join_all((0..10).map(|_| ann.delete("bob", sent.seq))).await {
        deleted.expect("deleted");
    }
    assert_eq!(told(&ann.timeline().await), 1);
    assert_eq!(assert_dense(&imd.database).await, 4, "a login, two copies, one deletion");
}

async fn only_what_stands_there_is_deleted(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.users(["bob", "carol"]).await;
    let sent = ann.say("bob", "hello").await;
    let before = ann.timeline().await;
    let cases = [("bob", 1), ("carol", sent.seq), ("ann", sent.seq), ("bob", sent.seq + 1)];
    for (peer, seq) in cases.into_iter().chain([("bob", 0), ("bob", -1), ("bob", i64::MAX)]) {
        let refused = ann.delete(peer, seq).await.expect_err("no such message");
        assert_eq!(refused.code, "message_not_found", "{peer} {seq}");
    }
    assert_eq!(ann.delete("nobody", 1).await.expect_err("nobody").code, "user_not_found");
    let refused = ann.api.delete_message(&ann.token, "bob", sent.seq).await.expect_err("no id");
    assert_eq!(refused.field(), "conversation_id");
    assert_eq!(ann.timeline().await, before);
}

async fn a_recalled_message_can_be_deleted(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let sent = ann.say("bob", "hello").await;
    ann.recall(&sent.message_id).await.expect("recalled");
    let place = bob.history("ann", 0, "").await.expect("a page").entries[0].seq;
    bob.delete("ann", place).await.expect("deleted");
    assert_eq!(bob.history("ann", 0, "").await.expect("a page").entries, []);
    assert_eq!(tombstone(&bob.timeline().await[1]), "DELETED");
    assert_eq!(tombstone(&ann.history("bob", 0, "").await.expect("a page").entries[0]), "RECALLED");
}

async fn the_copy_is_found_when_that_of_the_sender_is_gone(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    ann.say("bob", "hello").await;
    // As by a purge, since the sender's history is kept for a shorter time.
    let sql = imd.database.sql().await;
    let purge = "DELETE FROM entries WHERE owner = 1; UPDATE timelines SET purged_to = last_seq WHERE owner = 1";
    sql.batch_execute(purge).await.expect("a purge");
    let place = bob.history("ann", 0, "").await.expect("a page").entries[0].seq;
    bob.delete("ann", place).await.expect("deleted");
    assert_eq!(bob.history("ann", 0, "").await.expect("a page").entries, []);
}
