//! The mark itself: an entry of the reader's timeline that only moves forward.

use crate::{
    append::assert_dense,
    support::{
        cluster::Cluster,
        on_both_transports,
        types::{Kind, ReadUpTo},
    },
};

fn mark(peer: &str, seq: i64) -> Kind {
    Kind::ReadMark(ReadUpTo { conversation_id: format!("user:{peer}"), seq })
}

on_both_transports! {
    i6_all_terminals_agree_on_what_is_read,
    a_mark_only_moves_forward,
    a_mark_stands_at_a_message_of_its_conversation,
    a_mark_that_makes_no_sense_is_refused,
    a_mark_is_the_readers_business,
    messages_deleted_or_purged_do_not_move_a_mark_back,
    notes_to_oneself_are_marked_like_others,
}

async fn i6_all_terminals_agree_on_what_is_read(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let bob = imd.user_with_phone("bob").await;
    let (_node, elsewhere) = imd.start_node().await;
    let mut on_phone = phone.follow("now").await;
    let mut on_pc = pc.through(elsewhere).follow("now").await;
    for text in ["one", "two"] {
        bob.say("ann", text).await;
    }
    let messages = on_phone.entries(2).await;
    assert_eq!(phone.mark_read("bob", messages[1].seq).await, Ok(messages[1].seq));

    let entry = on_phone.entry().await;
    assert_eq!(entry.kind, mark("bob", messages[1].seq));
    assert_eq!(entry.seq, messages[1].seq + 1);
    assert_eq!(on_pc.entries(3).await.last(), Some(&entry), "on the other node, too");
    let pad = imd.log_in("ann", "pad", "new").await;
    assert!(pad.timeline().await.contains(&entry), "a new device reads it off the timeline");
    assert_eq!(pad.conversation("bob").await.read_seq, messages[1].seq, "and off the list");
    assert_dense(&imd.database).await;
}

async fn a_mark_only_moves_forward(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let bob = imd.user_with_phone("bob").await;
    for text in ["one", "two", "three"] {
        bob.say("ann", text).await;
    }
    let seqs: Vec<_> = phone.history("bob", 0, "").await.expect("a page").entries;
    let [three, two, one] = [seqs[0].seq, seqs[1].seq, seqs[2].seq];
    assert_eq!(phone.mark_read("bob", two).await, Ok(two));
    let marked = phone.timeline().await;
    // The other terminal is behind, or says the same again.
    assert_eq!(pc.mark_read("bob", one).await, Ok(two));
    assert_eq!(pc.mark_read("bob", two).await, Ok(two));
    assert_eq!(phone.timeline().await, marked, "nothing new, nothing told");
    assert_eq!(pc.mark_read("bob", three).await, Ok(three));
    assert_eq!(phone.timeline().await.last().expect("an entry").kind, mark("bob", three));
    assert_eq!(assert_dense(&imd.database).await, 3 + 2 * 3 + 2);
}

async fn a_mark_stands_at_a_message_of_its_conversation(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let carol = imd.user_with_phone("carol").await;
    bob.say("ann", "from bob").await;
    let of_bob = ann.timeline().await.pop().expect("a message").seq;
    carol.say("ann", "from carol").await;
    imd.log_in("ann", "pc", "desk").await;
    let end = ann.timeline().await.pop().expect("the login").seq;

    assert_eq!(ann.mark_read("carol", of_bob).await, Ok(0), "carol's came later");
    assert_eq!(ann.mark_read("bob", end).await, Ok(of_bob));
    assert_eq!(ann.timeline().await.pop().expect("a mark").kind, mark("bob", of_bob));
    let end = ann.timeline().await.pop().expect("a mark").seq;
    assert_eq!(ann.mark_read("bob", end).await, Ok(of_bob), "a mark is no message to be read");
    assert_eq!(ann.timeline().await.len(), 5, "two logins, two messages, one mark");
    assert_eq!(ann.conversation("carol").await.read_seq, 0);
}

async fn a_mark_that_makes_no_sense_is_refused(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    let sent = ann.say("bob", "hello").await;
    for seq in [i64::MIN, -1, 0, sent.seq + 1, i64::MAX] {
        assert_eq!(ann.mark_read("bob", seq).await.expect_err("no place").field(), "seq", "{seq}");
    }
    assert_eq!(ann.mark_read("nobody", 1).await.expect_err("nobody").code, "user_not_found");
    for bad in ["bob", "team:bob", "user:", "user:b b"] {
        let refused = ann.api.mark_read(&ann.token, bad, 1).await.expect_err(bad);
        assert_eq!(refused.field(), "conversation_id", "{bad:?}");
    }
    assert_eq!(ann.timeline().await.len(), 2);
    assert_dense(&imd.database).await;
}

async fn a_mark_is_the_readers_business(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let carol = imd.user_with_phone("carol").await;
    bob.say("ann", "hello").await;
    let of_ann = ann.timeline().await;
    // The same numbers, in timelines of others.
    assert_eq!(carol.mark_read("ann", 1).await, Ok(0));
    assert_eq!(carol.mark_read("bob", 1).await, Ok(0));
    assert_eq!(bob.mark_read("ann", 2).await, Ok(2));
    assert_eq!(ann.timeline().await, of_ann);
    let conversation = ann.conversation("bob").await;
    assert_eq!((conversation.read_seq, conversation.unread_count), (0, 1));
}

async fn messages_deleted_or_purged_do_not_move_a_mark_back(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    for text in ["one", "two"] {
        bob.say("ann", text).await;
    }
    let last = ann.timeline().await.pop().expect("a message").seq;
    assert_eq!(ann.mark_read("bob", last).await, Ok(last));
    ann.delete("bob", last).await.expect("deleted");
    assert_eq!(ann.mark_read("bob", last).await, Ok(last));
    assert_eq!(ann.conversation("bob").await.read_seq, last);
    let sql = imd.database.sql().await;
    let purge = "DELETE FROM entries; UPDATE timelines SET purged_to = last_seq";
    sql.batch_execute(purge).await.expect("a purge");
    assert_eq!(ann.mark_read("bob", last).await, Ok(last));
}

async fn notes_to_oneself_are_marked_like_others(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let note = phone.say("ann", "buy milk").await;
    assert_eq!(pc.mark_read("ann", note.seq).await, Ok(note.seq));
    assert_eq!(phone.timeline().await.pop().expect("a mark").kind, mark("ann", note.seq));
    assert_dense(&imd.database).await;
}
