//! Where blocked senders are not told.

use imd_proto::v1::trace_message_request::Message as Traced;

use super::that_drops;
use crate::{
    append::assert_dense,
    support::{
        api::Outgoing,
        cluster::Cluster,
        on_both_transports, on_every_transport,
        types::{Content, Kind},
    },
};

on_every_transport! {
    what_a_blocked_user_sends_is_there_for_its_own_terminals_alone,
}

on_both_transports! {
    i7_a_retry_of_a_dropped_message_finds_it,
    a_dropped_message_can_be_recalled_and_deleted,
    the_one_who_blocks_is_told_of_its_own_block_all_the_same,
    a_trace_shows_where_a_dropped_message_is_not,
    the_node_that_takes_the_message_decides,
    a_deleted_user_takes_nothing_from_those_it_blocked,
}

async fn what_a_blocked_user_sends_is_there_for_its_own_terminals_alone(imd: Cluster) {
    let (_node, api) = that_drops(&imd).await;
    let ann = imd.user_with_phone("ann").await.through(api.clone());
    let phone = imd.user_with_phone("bob").await.through(api.clone());
    let pc = imd.log_in("bob", "pc", "desk").await.through(api.clone());
    phone.say("ann", "before").await;
    ann.block("bob").await.expect("blocked");
    let (timeline, seen) = (ann.timeline().await, ann.conversation("bob").await);
    let (mut of_ann, mut on_pc) = (ann.follow("now").await, pc.follow("now").await);

    let message = Outgoing::text("ann", "hello");
    let sent = phone.send(&message).await.expect("as if it was sent");
    assert!(!sent.duplicate);
    assert_eq!(sent.conversation_id, "user:ann");
    let entry = on_pc.entry().await;
    assert_eq!((entry.seq, &entry.cursor), (sent.seq, &sent.cursor));
    assert_eq!(entry.message().client_message_id, Some(message.client_message_id));
    assert_eq!(entry.message().content, Some(Content::Text("hello".to_owned())));
    let history = pc.history("ann", 1, "").await.expect("a page");
    assert_eq!(history.entries, [entry]);

    assert_eq!(ann.timeline().await, timeline);
    let still = ann.conversation("bob").await;
    assert_eq!(still.unread_count, seen.unread_count);
    assert_eq!(still.last_message, seen.last_message);

    // What comes next has the place behind, and what was dropped does not come back.
    ann.unblock("bob").await.expect("unblocked");
    phone.say("ann", "again").await;
    let next = of_ann.entries(2).await;
    assert!(matches!(next[0].kind, Kind::BlockChanged(_)));
    assert_eq!((next[1].text(), next[1].seq), ("again", next[0].seq + 1));
    assert_dense(&imd.database).await;
}

async fn i7_a_retry_of_a_dropped_message_finds_it(imd: Cluster) {
    let (_node, api) = that_drops(&imd).await;
    let ann = imd.user_with_phone("ann").await.through(api.clone());
    let bob = imd.user_with_phone("bob").await.through(api);
    ann.block("bob").await.expect("blocked");
    let message = Outgoing::text("ann", "hello");
    let sent = bob.send(&message).await.expect("sent");
    // As it is, and when the block is lifted: the message stands where it stood.
    for lifted in [false, true] {
        if lifted {
            ann.unblock("bob").await.expect("unblocked");
        }
        let again = bob.send(&message).await.expect("the first result");
        assert!(again.duplicate);
        assert_eq!((&again.message_id, again.seq), (&sent.message_id, sent.seq));
    }
    let other = Outgoing { content: Some(Content::Text("other".to_owned())), ..message };
    let conflict = bob.send(&other).await.expect_err("another text");
    assert_eq!(conflict.code, "client_message_id_conflict");
    assert!(ann.timeline().await.iter().all(|entry| entry.as_message().is_none()));
    assert_dense(&imd.database).await;
}

async fn a_dropped_message_can_be_recalled_and_deleted(imd: Cluster) {
    let (_node, api) = that_drops(&imd).await;
    let ann = imd.user_with_phone("ann").await.through(api.clone());
    let bob = imd.user_with_phone("bob").await.through(api);
    ann.block("bob").await.expect("blocked");
    let before = ann.timeline().await;
    let recalled = bob.say("ann", "recalled").await;
    let deleted = bob.say("ann", "deleted").await;
    bob.recall(&recalled.message_id).await.expect("recalled");
    bob.delete("ann", deleted.seq).await.expect("deleted");
    let history = bob.history("ann", 10, "").await.expect("a page").entries;
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].message().tombstone.as_deref(), Some("RECALLED"));
    assert_eq!(ann.timeline().await, before);
    assert_dense(&imd.database).await;
}

async fn the_one_who_blocks_is_told_of_its_own_block_all_the_same(imd: Cluster) {
    let (_node, api) = that_drops(&imd).await;
    let ann = imd.user_with_phone("ann").await.through(api);
    imd.user("bob").await;
    ann.block("bob").await.expect("blocked");
    let refused = ann.send(&Outgoing::text("bob", "hello")).await.expect_err("a blocked peer");
    assert_eq!(refused.code, "recipient_blocked");
}

async fn a_trace_shows_where_a_dropped_message_is_not(imd: Cluster) {
    let (_node, api) = that_drops(&imd).await;
    let ann = imd.user_with_phone("ann").await.through(api.clone());
    let bob = imd.user_with_phone("bob").await.through(api);
    ann.block("bob").await.expect("blocked");
    let sent = bob.say("ann", "hello").await;
    let message = Traced::MessageId(sent.message_id);
    let trace = imd.admin().trace(message).await.expect("a trace");
    let owners: Vec<_> = trace.copies.iter().map(|copy| copy.user_id.as_str()).collect();
    assert_eq!(owners, ["bob"]);
}

async fn the_node_that_takes_the_message_decides(imd: Cluster) {
    let (_node, drops) = that_drops(&imd).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    ann.block("bob").await.expect("blocked");
    let message = Outgoing::text("ann", "hello");
    assert_eq!(bob.send(&message).await.expect_err("refused here").code, "blocked");
    let sent = bob.through(drops).send(&message).await.expect("dropped there");
    assert!(!sent.duplicate);
    assert!(bob.send(&message).await.expect("the first result").duplicate);
}

async fn a_deleted_user_takes_nothing_from_those_it_blocked(imd: Cluster) {
    let (_node, api) = that_drops(&imd).await;
    let ann = imd.user_with_phone("ann").await.through(api.clone());
    let bob = imd.user_with_phone("bob").await.through(api);
    ann.block("bob").await.expect("blocked");
    imd.admin().delete("ann", false).await.expect("deleted");
    let refused = bob.send(&Outgoing::text("ann", "hello")).await.expect_err("nobody");
    assert_eq!(refused.code, "user_not_found");
}
