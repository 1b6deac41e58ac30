//! Deletions that break off, and what goes on meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use tokio::sync::Notify;

use super::{erased, rows_about, shown};
use crate::support::{
    api::{Outgoing, Transport},
    cluster::Cluster,
    eventually,
    listeners::cut_listeners,
    on_both_transports,
    types::Event,
    within_deadline,
};

on_both_transports! {
    i5_sends_meanwhile_are_stored_or_refused_and_leave_no_gap,
    i2_a_terminal_that_nobody_told_is_told_by_a_sweep,
}

/// Deletes the account of `ann` and nothing more.
async fn begin(imd: &Cluster, erase_sent: bool) {
    let mut deletion = imd.admin().start_deletion("ann", erase_sent).await.expect("begun");
    deletion.message().await.expect("a step");
}

#[tokio::test]
async fn a_deletion_that_was_given_up_goes_on_when_it_is_repeated() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    ann.say_at_once("bob", (0..1_100).map(|n| n.to_string())).await;
    begin(&imd, false).await;
    assert!(rows_about(&imd, "ann").await > 0);
    // The wish to erase may come late.
    let steps = imd.admin().delete("ann", true).await.expect("done");
    assert!(steps.iter().all(|step| step.ended.is_empty()), "they ended before");
    assert_eq!(rows_about(&imd, "ann").await, 0);
    let history = bob.history("ann", 200, "").await.expect("a history").entries;
    assert!(shown(&history).iter().all(|shown| *shown == "ERASED"));
    // Whoever is deleted stays so.
    let again = imd.admin().delete("ann", true).await.expect("nothing to do");
    assert_eq!(again.last().map(|step| (step.entries, step.entries_total)), Some((0, 0)));
    let told = bob.pull(&history[0].cursor).await.expect("the timeline").entries;
    assert_eq!(told.iter().filter(|entry| entry.kind == erased("ann")).count(), 1);
}

#[tokio::test]
async fn i11_a_deletion_that_rests_is_finished_by_any_node() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    ann.say_at_once("bob", (0..1_100).map(|n| n.to_string())).await;
    let mut feed = bob.follow("now").await;
    begin(&imd, true).await;
    // A node that starts looks at once, and finds it at work.
    let (busy, _) = imd.start_node().await;
    let rest = "UPDATE deletions SET worked_at = now() - interval '2 minutes'";
    imd.database.sql().await.batch_execute(rest).await.expect("a deletion");
    let (_node, _) = imd.start_node().await;
    eventually("it is finished", async || (rows_about(&imd, "ann").await == 0).then_some(())).await;
    assert_eq!(feed.entry().await.kind, erased("ann"), "also told by the other node");
    busy.stop().await;
}

async fn i5_sends_meanwhile_are_stored_or_refused_and_leave_no_gap(imd: Cluster) {
    let (_node, there) = imd.start_node().await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let carol = imd.user_with_phone("carol").await.through(there);
    ann.say("bob", "hello").await;
    let mut feed = ann.follow("now").await;
    let (under_way, deleted) = (Notify::new(), AtomicBool::new(false));
    let sends = async {
        let mut outcomes = Vec::new();
        for n in 0.. {
            let is_last = deleted.load(Ordering::SeqCst);
            let messages = [(&ann, "bob"), (&bob, "ann"), (&carol, "ann")];
            let sends = messages.map(async |(from, to)| {
                let sent = from.send(&Outgoing::text(to, n.to_string())).await;
                sent.map(|sent| sent.seq).map_err(|refused| refused.code)
            });
            outcomes.push(join_all(sends).await);
            under_way.notify_one();
            if is_last {
                break;
            }
        }
        outcomes
    };
    let deletion = async {
        under_way.notified().await;
        imd.admin().delete("ann", true).await.expect("done");
        deleted.store(true, Ordering::SeqCst);
    };
    let (outcomes, ()) =
        within_deadline("all of it", async { tokio::join!(sends, deletion) }).await;
    let (_, last) = feed.to_the_end().await;
    assert!(matches!(last, Event::SessionEnded(_)), "{last:?}");

    for (sender, refusal) in [(0, "session_ended"), (1, "user_not_found"), (2, "user_not_found")] {
        let of_sender = outcomes.iter().map(|round| &round[sender]);
        // First they all are stored, and from some moment on none.
        let mut refused = of_sender.skip_while(|sent| sent.is_ok()).peekable();
        assert!(refused.peek().is_some(), "the deletion came too late for sender {sender}");
        assert!(refused.all(|sent| *sent == Err(refusal.to_owned())), "{outcomes:?}");
    }
    for (peer, sender) in [(&bob, 1), (&carol, 2)] {
        let entries = peer.pull("").await.expect("the timeline").entries;
        assert!(entries.iter().zip(1..).all(|(entry, seq)| entry.seq == seq), "dense");
        let own: Vec<i64> = entries
            .iter()
            .filter(|e| e.as_message().is_some_and(|m| m.sender_id == peer.user_id))
            .map(|entry| entry.seq)
            .collect();
        let stored = outcomes.iter().filter_map(|round| round[sender].clone().ok());
        assert_eq!(own, stored.collect::<Vec<_>>(), "as acknowledged");
    }
}

async fn i2_a_terminal_that_nobody_told_is_told_by_a_sweep(imd: Cluster) {
    let (_node, there) = imd.start_node().await;
    let phone = imd.user_with_phone("ann").await.through(there);
    let mut feed = phone.follow("now").await;
    let sql = imd.database.sql().await;
    // A node that nobody tells anything, until it sweeps because it listens anew.
    sql.batch_execute("DELETE FROM login_points WHERE user_no <> 0").await.expect("a table");
    imd.admin().delete("ann", false).await.expect("done");
    cut_listeners(&sql, 2).await;
    let (_, last) = feed.to_the_end().await;
    assert!(matches!(&last, Event::SessionEnded(end) if end.reason == "USER_DELETED"), "{last:?}");
}
