//! What a deleted user sent to others, erased where that is wished for.

use super::{erased, rows_about, shown};
use crate::support::{
    api::{Outgoing, Transport},
    cluster::Cluster,
    on_both_transports,
    terminal::Terminal,
};

on_both_transports! {
    what_was_sent_becomes_tombstones_and_every_peer_is_told,
    i7_a_peer_can_still_send_again_what_it_had_sent,
    what_is_erased_is_unread_no_more,
    events_are_left_as_they_are,
}

async fn what_was_sent_becomes_tombstones_and_every_peer_is_told(imd: Cluster) {
    let (_node, there) = imd.start_node().await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let pc = imd.log_in("bob", "pc", "desk").await.through(there);
    let carol = imd.user_with_phone("carol").await;
    ann.say("bob", "a secret").await;
    bob.say("ann", "I know").await;
    let recalled = ann.say("bob", "recalled").await;
    ann.recall(&recalled.message_id).await.expect("recalled");
    let deleted = ann.send(&Outgoing::data("bob", "image/png", b"a face")).await.expect("sent");
    let place = bob.pull("").await.expect("the timeline").state.last_seq;
    bob.delete("ann", place).await.expect("deleted");
    ann.say("carol", "another secret").await;
    carol.say("bob", "hi").await;
    let mut feeds = [bob.follow("now").await, pc.follow("now").await, carol.follow("now").await];

    let steps = imd.admin().delete("ann", true).await.expect("done");
    let last = steps.last().expect("a step");
    assert_eq!((last.peers, last.peers_total), (2, 2));
    for feed in &mut feeds {
        assert_eq!(feed.entry().await.kind, erased("ann"));
    }
    let history = bob.history("ann", 0, "").await.expect("a history").entries;
    assert_eq!(shown(&history), ["RECALLED", "I know", "ERASED"]);
    assert_eq!(history[2].message().sender_id, "ann");
    let all = bob.pull("").await.expect("the timeline").entries;
    assert_eq!(shown(&all), ["ERASED", "I know", "RECALLED", "DELETED", "hi"]);
    assert_eq!(all.last().map(|entry| &entry.kind), Some(&erased("ann")));
    assert_ne!(deleted.message_id, recalled.message_id);
    let of_carol = carol.history("ann", 0, "").await.expect("a history").entries;
    assert_eq!(shown(&of_carol), ["ERASED"]);
    let sql = imd.database.sql().await;
    let secrets = "SELECT count(*) FROM entries WHERE encode(body, 'escape') LIKE '%secret%'";
    assert_eq!(sql.query_one(secrets, &[]).await.expect("a count").get::<_, i64>(0), 0);
    assert_eq!(rows_about(&imd, "ann").await, 0);
}

async fn i7_a_peer_can_still_send_again_what_it_had_sent(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    ann.say("bob", "hello").await;
    let answer = Outgoing::text("ann", "hello, Ann");
    let first = bob.send(&answer).await.expect("sent");
    imd.admin().delete("ann", true).await.expect("done");
    // It may not know that it had arrived.
    let again = bob.send(&answer).await;
    let again = again.map(|sent| (sent.message_id, sent.duplicate));
    assert_eq!(again, Ok((first.message_id, true)));
}

async fn what_is_erased_is_unread_no_more(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let carol = imd.user_with_phone("carol").await;
    ann.say_at_once("bob", (0..150).map(|n| n.to_string())).await;
    carol.say("bob", "hi").await;
    bob.say("carol", "hello").await;
    carol.say("bob", "are you there?").await;
    ann.say("carol", "read").await;
    let read = carol.pull("").await.expect("the timeline").state.last_seq;
    carol.mark_read("ann", read).await.expect("marked");
    ann.say("carol", "unread").await;
    let unread = async |terminal: &Terminal, peer| {
        let seen = terminal.conversation(peer).await;
        (seen.unread_count, seen.peer_deleted)
    };
    assert_eq!(unread(&bob, "ann").await, (100, false));
    assert_eq!(unread(&carol, "ann").await, (1, false));
    imd.admin().delete("ann", true).await.expect("done");
    for (terminal, peer, left) in
        [(&bob, "ann", (0, true)), (&bob, "carol", (1, false)), (&carol, "ann", (0, true))]
    {
        assert_eq!(unread(terminal, peer).await, left, "{} of {peer}", terminal.user_id);
    }
    let last = bob.conversation("ann").await.last_message;
    assert_eq!(last.message().tombstone.as_deref(), Some("ERASED"));
    // What the other side reads of it still has its mark.
    carol.mark_read("ann", last_seq(&carol).await).await.expect("marked");
    bob.mark_read("ann", last.seq).await.expect("marked");
    assert_eq!(unread(&bob, "ann").await, (0, true));
}

async fn last_seq(terminal: &Terminal) -> i64 {
    terminal.pull("").await.expect("the timeline").state.last_seq
}

async fn events_are_left_as_they_are(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    // Of every kind that stands in a conversation, in both timelines.
    let recalled = ann.say("bob", "recalled").await;
    ann.recall(&recalled.message_id).await.expect("recalled");
    ann.say("bob", "a secret").await;
    bob.mark_read("ann", last_seq(&bob).await).await.expect("marked");
    bob.say("ann", "I know").await;
    ann.mark_read("bob", last_seq(&ann).await).await.expect("marked");
    let own = bob.history("ann", 1, "").await.expect("a page").entries.remove(0);
    bob.delete("ann", own.seq).await.expect("deleted");
    let events = async || {
        let entries = bob.pull("").await.expect("the timeline").entries;
        entries.into_iter().filter(|entry| entry.as_message().is_none()).collect::<Vec<_>>()
    };
    let before = events().await;
    imd.admin().delete("ann", true).await.expect("done");
    let after = events().await;
    assert_eq!(after[..before.len()], before);
    assert_eq!(after.len(), before.len() + 1, "and the one that tells of it");
    assert_eq!(rows_about(&imd, "ann").await, 0, "her marks are gone as well");
}

/// Her own copies and the list of what was purged are all that tells whom she wrote to.
#[tokio::test]
async fn what_a_shorter_retention_has_purged_at_the_sender_is_found_all_the_same() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    ann.say("bob", "a secret").await;
    let purge = "
        UPDATE timelines t SET purged_to = last_seq FROM users u
        WHERE u.user_no = t.owner AND u.user_id = 'ann';
        INSERT INTO purged_conversations SELECT owner, conversation FROM entries e
        JOIN users u ON u.user_no = e.owner WHERE u.user_id = 'ann' AND kind = 1;
        DELETE FROM entries USING users u WHERE u.user_no = owner AND u.user_id = 'ann'";
    imd.database.sql().await.batch_execute(purge).await.expect("a purge");
    imd.admin().delete("ann", true).await.expect("done");
    assert_eq!(shown(&bob.history("ann", 0, "").await.expect("a history").entries), ["ERASED"]);
}

#[tokio::test]
async fn many_messages_are_erased_in_short_transactions() {
    const MANY: i64 = 1_300;
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    ann.say_at_once("bob", (0..MANY).map(|n| n.to_string())).await;
    let mut feed = bob.follow("now").await;
    let steps = imd.admin().delete("ann", true).await.expect("done");
    assert!(steps.len() > 6, "{steps:?}");
    assert!(steps.is_sorted_by_key(|step| (step.entries, step.peers)));
    assert_eq!(steps.last().map(|step| step.entries), Some(MANY + 2));
    let told = feed.entry().await;
    assert_eq!((told.seq, &told.kind), (MANY + 2, &erased("ann")), "once, without a gap");
    let sql = imd.database.sql().await;
    let left = "SELECT count(*) FROM entries WHERE kind = 1 AND (tombstone IS NULL OR body <> '')";
    assert_eq!(sql.query_one(left, &[]).await.expect("a count").get::<_, i64>(0), 0);
    bob.say("bob", "it goes on").await;
    assert_eq!(feed.entry().await.seq, told.seq + 1);
}

#[tokio::test]
async fn two_who_wrote_to_each_other_are_deleted_at_once() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    for n in 0..20 {
        ann.say("bob", &n.to_string()).await;
        bob.say("ann", &n.to_string()).await;
    }
    let admin = imd.admin();
    let both = tokio::join!(admin.delete("ann", true), admin.delete("bob", true));
    assert!(both.0.is_ok() && both.1.is_ok(), "{both:?}");
    assert_eq!((rows_about(&imd, "ann").await, rows_about(&imd, "bob").await), (0, 0));
}
