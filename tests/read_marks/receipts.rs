//! What the peer is told, where the deployment has read receipts.

use std::sync::Arc;

use crate::{
    append::assert_dense,
    support::{
        api::Api,
        cluster::Cluster,
        node::Node,
        on_both_transports,
        terminal::Terminal,
        types::{Kind, ReadUpTo},
    },
};

/// A node with receipts; that of the cluster has none.
async fn with_receipts(imd: &Cluster) -> (Node, Arc<dyn Api>) {
    imd.start_node_with(|settings| settings.messages.read_receipts = true).await
}

fn receipt(reader: &str, seq: i64) -> Kind {
    Kind::ReadReceipt(ReadUpTo { conversation_id: format!("user:{reader}"), seq })
}

async fn last_kind(terminal: &Terminal) -> Kind {
    terminal.timeline().await.pop().expect("an entry").kind
}

/// The place of the newest message with `peer`.
async fn newest(terminal: &Terminal, peer: &str) -> i64 {
    terminal.history(peer, 1, "").await.expect("a page").entries[0].seq
}

on_both_transports! {
    by_default_nobody_is_told,
    the_peer_is_told_by_the_places_of_its_own_timeline,
    a_mark_that_reads_nothing_of_the_peers_tells_it_nothing,
    an_answer_that_is_gone_takes_no_receipt_away,
    nobody_sends_receipts_to_oneself,
    a_peer_that_is_disabled_or_gone_keeps_nobody_from_reading,
    what_receipts_have_said_is_not_shown_without_them,
}

async fn by_default_nobody_is_told(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    bob.say("ann", "hello").await;
    let before = bob.timeline().await;
    ann.mark_read("bob", newest(&ann, "bob").await).await.expect("marked");
    assert_eq!(bob.timeline().await, before);
    assert_eq!(bob.conversation("ann").await.peer_read_seq, 0);
    assert!(!imd.api.info().await.expect("facts").read_receipts);
}

async fn the_peer_is_told_by_the_places_of_its_own_timeline(imd: Cluster) {
    let (_node, api) = with_receipts(&imd).await;
    assert!(api.info().await.expect("facts").read_receipts);
    let ann = imd.user_with_phone("ann").await.through(api.clone());
    let bob = imd.user_with_phone("bob").await.through(api.clone());
    let pc_of_bob = imd.log_in("bob", "pc", "desk").await.through(api.clone());
    // So that the places of the two have nothing to do with each other.
    for note in ["one", "two", "three"] {
        bob.say("bob", note).await;
    }
    let (first, second) = (bob.say("ann", "one").await, bob.say("ann", "two").await);
    ann.say("bob", "an answer").await;
    let (mut on_phone, mut on_pc) = (bob.follow("now").await, pc_of_bob.follow("now").await);
    let seqs: Vec<_> = ann.timeline().await.iter().map(|entry| entry.seq).collect();

    ann.mark_read("bob", seqs[1]).await.expect("marked");
    assert_eq!(on_phone.entry().await.kind, receipt("ann", first.seq));
    // Up to ann's own answer, which is behind bob's second.
    ann.mark_read("bob", seqs[3]).await.expect("marked");
    let entry = on_phone.entry().await;
    assert_eq!(entry.kind, receipt("ann", second.seq));
    assert_eq!(on_pc.entries(2).await.last(), Some(&entry), "on all of bob's terminals");

    let new_device = imd.log_in("bob", "pad", "new").await.through(api);
    assert_eq!(new_device.conversation("ann").await.peer_read_seq, second.seq);
    let of_ann = ann.conversation("bob").await;
    assert_eq!((of_ann.read_seq, of_ann.peer_read_seq), (seqs[3], 0), "bob has marked nothing");
    assert_dense(&imd.database).await;
}

async fn a_mark_that_reads_nothing_of_the_peers_tells_it_nothing(imd: Cluster) {
    let (_node, api) = with_receipts(&imd).await;
    let ann = imd.user_with_phone("ann").await.through(api.clone());
    let bob = imd.user_with_phone("bob").await.through(api.clone());
    let carol = imd.user_with_phone("carol").await.through(api);
    bob.say("ann", "hello").await;
    carol.say("ann", "hello").await;
    ann.mark_read("bob", newest(&ann, "bob").await).await.expect("marked");
    ann.say("bob", "hello, bob").await;
    let (of_bob, of_carol) = (bob.timeline().await, carol.timeline().await);
    let own = newest(&ann, "bob").await;
    assert_eq!(ann.mark_read("bob", own).await, Ok(own), "it moves, and over nothing of bob's");
    assert_eq!(ann.mark_read("bob", own).await, Ok(own));
    assert_eq!(bob.timeline().await, of_bob);
    assert_eq!(carol.timeline().await, of_carol, "another conversation is another's");
    assert_dense(&imd.database).await;
}

async fn an_answer_that_is_gone_takes_no_receipt_away(imd: Cluster) {
    let (_node, api) = with_receipts(&imd).await;
    let ann = imd.user_with_phone("ann").await.through(api.clone());
    let bob = imd.user_with_phone("bob").await.through(api);
    for recall in [true, false] {
        bob.say("ann", "are you there?").await;
        let answer = ann.say("bob", "yes").await;
        if recall {
            ann.recall(&answer.message_id).await.expect("recalled");
        } else {
            ann.delete("bob", answer.seq).await.expect("deleted");
        }
        assert_eq!(ann.conversation("bob").await.unread_count, 0, "what has been answered is read");
        let before = bob.conversation("ann").await.peer_read_seq;
        ann.mark_read("bob", answer.seq).await.expect("marked");
        assert!(bob.conversation("ann").await.peer_read_seq > before, "and the peer is told");
    }
}

async fn nobody_sends_receipts_to_oneself(imd: Cluster) {
    let (_node, api) = with_receipts(&imd).await;
    let ann = imd.user_with_phone("ann").await.through(api);
    let note = ann.say("ann", "buy milk").await;
    assert_eq!(ann.mark_read("ann", note.seq).await, Ok(note.seq));
    assert!(matches!(last_kind(&ann).await, Kind::ReadMark(_)));
    assert_eq!(ann.timeline().await.len(), 3);
    assert_eq!(ann.conversation("ann").await.peer_read_seq, 0);
    assert_dense(&imd.database).await;
}

async fn a_peer_that_is_disabled_or_gone_keeps_nobody_from_reading(imd: Cluster) {
    let (_node, api) = with_receipts(&imd).await;
    let ann = imd.user_with_phone("ann").await.through(api);
    let bob = imd.user_with_phone("bob").await;
    let carol = imd.user_with_phone("carol").await;
    let from_bob = bob.say("ann", "hello").await;
    carol.say("ann", "hello").await;
    imd.admin().disable("bob", "").await.expect("disabled");
    ann.mark_read("bob", newest(&ann, "bob").await).await.expect("marked");
    imd.admin().enable("bob").await.expect("enabled");
    let bob = imd.log_in("bob", "pad", "new").await;
    let timeline = bob.timeline().await;
    assert!(timeline.iter().any(|entry| entry.kind == receipt("ann", from_bob.seq)));

    let sql = imd.database.sql().await;
    let delete =
        "DELETE FROM timelines t USING users u WHERE u.user_no = t.owner AND u.user_id = 'carol'";
    assert_eq!(sql.execute(delete, &[]).await.expect("deleted"), 1);
    let newest = newest(&ann, "carol").await;
    assert_eq!(ann.mark_read("carol", newest).await, Ok(newest));
}

async fn what_receipts_have_said_is_not_shown_without_them(imd: Cluster) {
    let (_node, api) = with_receipts(&imd).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let sent = bob.say("ann", "hello").await;
    let with = ann.through(api.clone());
    with.mark_read("bob", newest(&ann, "bob").await).await.expect("marked");
    assert_eq!(bob.through(api).conversation("ann").await.peer_read_seq, sent.seq);
    assert_eq!(bob.conversation("ann").await.peer_read_seq, 0);
}
