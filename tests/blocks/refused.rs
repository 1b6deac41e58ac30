//! Where blocked senders are told.

use super::block_changed;
use crate::{
    append::assert_dense,
    support::{
        api::Outgoing,
        cluster::Cluster,
        on_both_transports, on_every_transport,
        types::{Kind, ReadUpTo},
    },
};

on_every_transport! {
    what_a_blocked_user_sends_is_refused_and_leaves_no_trace,
    nobody_sends_to_whom_it_blocks,
}

on_both_transports! {
    i6_every_terminal_of_the_one_who_blocks_is_told_and_nobody_else,
    a_block_says_nothing_twice,
    a_retry_of_what_was_sent_before_a_block_finds_it,
    what_was_sent_before_a_block_can_be_recalled,
    neither_of_the_two_gets_receipts_of_the_other,
    a_block_holds_on_every_node_and_after_a_restart,
    users_that_cannot_be_blocked,
    the_blocks_of_a_deleted_user_go_with_it,
}

async fn what_a_blocked_user_sends_is_refused_and_leaves_no_trace(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    ann.block("bob").await.expect("blocked");
    let (of_ann, of_bob) = (ann.timeline().await, bob.timeline().await);
    let message = Outgoing::text("ann", "hello");
    for _ in 0..2 {
        let refused = bob.send(&message).await.expect_err("a blocked sender");
        assert_eq!(refused.code, "blocked");
        assert!(refused.details.is_empty(), "{refused:?}");
    }
    assert_eq!((ann.timeline().await, bob.timeline().await), (of_ann, of_bob));
    assert_dense(&imd.database).await;

    ann.unblock("bob").await.expect("unblocked");
    // The same id: it was never used.
    let sent = bob.send(&message).await.expect("sent");
    assert!(!sent.duplicate);
    assert_eq!(ann.timeline().await.last().expect("an entry").text(), "hello");
}

async fn nobody_sends_to_whom_it_blocks(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    ann.block("bob").await.expect("blocked");
    let refused = ann.send(&Outgoing::text("bob", "hello")).await.expect_err("a blocked peer");
    assert_eq!(refused.code, "recipient_blocked");
    // Also where each blocks the other, so that nobody learns what the other does.
    bob.block("ann").await.expect("blocked");
    let refused = ann.send(&Outgoing::text("bob", "hello")).await.expect_err("a blocked peer");
    assert_eq!(refused.code, "recipient_blocked");
    ann.say("ann", "a note is no business of bob's").await;
    assert_dense(&imd.database).await;
}

async fn i6_every_terminal_of_the_one_who_blocks_is_told_and_nobody_else(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let bob = imd.user_with_phone("bob").await;
    let before = bob.timeline().await;
    let (mut on_phone, mut on_pc) = (phone.follow("now").await, pc.follow("now").await);
    phone.block("bob").await.expect("blocked");
    pc.unblock("bob").await.expect("unblocked");
    let entries = on_phone.entries(2).await;
    assert_eq!(entries[0].kind, block_changed("bob", true));
    assert_eq!(entries[1].kind, block_changed("bob", false));
    assert_eq!(on_pc.entries(2).await, entries);
    // A terminal that comes later reads the same, and there is no conversation of it.
    let pad = imd.log_in("ann", "pad", "new").await;
    let roamed: Vec<_> = pad.timeline().await;
    assert!(entries.iter().all(|entry| roamed.contains(entry)), "{roamed:?}");
    assert!(pad.history("bob", 10, "").await.expect("a page").entries.is_empty());
    let listed = pad.api.conversations(&pad.token, 0, "").await.expect("a page");
    assert!(listed.conversations.is_empty());
    assert_eq!(bob.timeline().await, before);
    assert_dense(&imd.database).await;
}

async fn a_block_says_nothing_twice(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    ann.unblock("bob").await.expect("not blocked, and so it stays");
    for _ in 0..3 {
        ann.block("bob").await.expect("blocked");
    }
    assert_eq!(ann.blocked_users().await, ["bob"]);
    for _ in 0..3 {
        ann.unblock("bob").await.expect("unblocked");
    }
    assert!(ann.blocked_users().await.is_empty());
    let kinds: Vec<_> = ann.timeline().await.into_iter().skip(1).map(|entry| entry.kind).collect();
    assert_eq!(kinds, [block_changed("bob", true), block_changed("bob", false)]);
    assert_dense(&imd.database).await;
}

async fn a_retry_of_what_was_sent_before_a_block_finds_it(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let message = Outgoing::text("ann", "hello");
    let sent = bob.send(&message).await.expect("sent");
    ann.block("bob").await.expect("blocked");
    let again = bob.send(&message).await.expect("the first result");
    assert!(again.duplicate);
    assert_eq!((again.message_id, again.seq), (sent.message_id, sent.seq));
}

async fn what_was_sent_before_a_block_can_be_recalled(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let sent = bob.say("ann", "a slip of the tongue").await;
    ann.block("bob").await.expect("blocked");
    bob.recall(&sent.message_id).await.expect("recalled");
    let timeline = ann.timeline().await;
    assert_eq!(timeline[1].message().tombstone.as_deref(), Some("RECALLED"));
    assert!(matches!(timeline.last().expect("an entry").kind, Kind::MessageRecalled(_)));
}

async fn neither_of_the_two_gets_receipts_of_the_other(imd: Cluster) {
    let (_node, api) = imd.start_node_with(|s| s.messages.read_receipts = true).await;
    let ann = imd.user_with_phone("ann").await.through(api.clone());
    let bob = imd.user_with_phone("bob").await.through(api);
    let first = bob.say("ann", "one").await;
    ann.say("bob", "two").await;
    ann.block("bob").await.expect("blocked");
    let (of_ann, of_bob) = (ann.timeline().await, bob.timeline().await);
    assert_eq!(ann.mark_read("bob", 2).await, Ok(2));
    bob.mark_read("ann", 3).await.expect("marked");
    let own_mark = |timeline: &[_]| timeline.len() + 1;
    assert_eq!(ann.timeline().await.len(), own_mark(&of_ann));
    assert_eq!(bob.timeline().await.len(), own_mark(&of_bob));
    assert_eq!(bob.conversation("ann").await.peer_read_seq, 0);

    // Behind the block all is as before: a receipt says up to where.
    ann.unblock("bob").await.expect("unblocked");
    let second = bob.say("ann", "three").await;
    let newest = ann.history("bob", 1, "").await.expect("a page").entries[0].seq;
    ann.mark_read("bob", newest).await.expect("marked");
    let receipt = ReadUpTo { conversation_id: "user:ann".to_owned(), seq: second.seq };
    assert_eq!(bob.timeline().await.last().expect("an entry").kind, Kind::ReadReceipt(receipt));
    assert!(first.seq < second.seq);
    assert_dense(&imd.database).await;
}

async fn a_block_holds_on_every_node_and_after_a_restart(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let (node, there) = imd.start_node().await;
    ann.block("bob").await.expect("blocked");
    let through = bob.through(there);
    let refused = through.send(&Outgoing::text("ann", "elsewhere")).await.expect_err("blocked");
    assert_eq!(refused.code, "blocked");
    node.stop().await;
    let (_node, anew) = imd.start_node().await;
    let refused = bob.through(anew).send(&Outgoing::text("ann", "later")).await;
    assert_eq!(refused.expect_err("blocked").code, "blocked");
    assert_eq!(ann.blocked_users().await, ["bob"]);
}

async fn users_that_cannot_be_blocked(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    for (user_id, code) in
        [("ann", "invalid_argument"), ("b!b", "invalid_argument"), ("nobody", "user_not_found")]
    {
        assert_eq!(ann.block(user_id).await.expect_err(user_id).code, code);
        assert_eq!(ann.unblock(user_id).await.expect_err(user_id).code, code);
    }
    assert_eq!(ann.timeline().await.len(), 1);
}

async fn the_blocks_of_a_deleted_user_go_with_it(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    ann.block("bob").await.expect("blocked");
    bob.block("ann").await.expect("blocked");
    imd.admin().delete("ann", false).await.expect("deleted");
    let sql = imd.database.sql().await;
    let left =
        "SELECT count(*) FROM blocks b JOIN users u ON u.user_no = b.owner WHERE user_id = $1";
    let left = async |user_id: &str| -> i64 {
        sql.query_one(left, &[&user_id]).await.expect("a count").get(0)
    };
    assert_eq!((left("ann").await, left("bob").await), (0, 1));
    // A block of somebody who is gone is still bob's to lift.
    assert_eq!(bob.blocked_users().await, ["ann"]);
    bob.unblock("ann").await.expect("unblocked");
    assert!(bob.blocked_users().await.is_empty());
    let gone = bob.send(&Outgoing::text("ann", "hello?")).await.expect_err("nobody");
    assert_eq!(gone.code, "user_not_found");
}
