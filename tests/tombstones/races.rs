//! Recalls, deletions, marks and sends of two users at once, both ways.

use futures::future::{join, join_all};

use crate::{
    append::{assert_dense, locks::deadlocks},
    support::{
        api::{Outgoing, Transport},
        checker::Run,
        cluster::Cluster,
        terminal::Terminal,
        types::{Entry, Kind, Sent},
    },
};

const ROUNDS: usize = 25;

/// Sends a message, marks what there is as read, and recalls or deletes the message, or lets it be.
async fn talk(from: &Terminal, to: &str, round: usize) -> (Outgoing, Sent) {
    let message = Outgoing::text(to, format!("{round} from {}", from.session_id()));
    let sent = from.send(&message).await.expect("sent");
    let mark = from.mark_read(to, sent.seq);
    let change = async {
        match round % 3 {
            0 => from.recall(&sent.message_id).await.expect("recalled"),
            1 => from.delete(to, sent.seq).await.expect("deleted"),
            _ => {}
        }
    };
    let (marked, ()) = join(mark, change).await;
    marked.expect("marked");
    (message, sent)
}

/// How often an entry of a kind stands in a timeline.
fn count(entries: &[Entry], kind: impl Fn(&Kind) -> bool) -> usize {
    entries.iter().filter(|entry| kind(&entry.kind)).count()
}

#[tokio::test]
async fn i5_whatever_two_users_do_at_once_there_is_no_deadlock_and_no_gap() {
    let imd = Cluster::start(Transport::Grpc).await;
    let (here, api) = imd.start_node_with(|s| s.messages.read_receipts = true).await;
    let (there, other_api) = imd.start_node_with(|s| s.messages.read_receipts = true).await;
    let ann = imd.user_with_phone("ann").await.through(api.clone());
    let pc = imd.log_in("ann", "pc", "desk").await.through(other_api.clone());
    let bob = imd.user_with_phone("bob").await.through(other_api);
    let pad = imd.log_in("bob", "pad", "sofa").await.through(api);
    let mut feeds =
        [ann.follow("").await, pc.follow("").await, bob.follow("").await, pad.follow("").await];

    let run_of = async |from: &Terminal, to: &str| {
        let mut sent = Vec::new();
        for round in 0..ROUNDS {
            sent.push(talk(from, to, round).await);
        }
        sent
    };
    let all = join_all(
        [(&ann, "bob"), (&pc, "bob"), (&bob, "ann"), (&pad, "ann")].map(|(t, to)| run_of(t, to)),
    );
    let sent = all.await;

    let mut run = Run::default();
    for (sent, sender) in sent.into_iter().zip(["ann", "ann", "bob", "bob"]) {
        for (message, sent) in sent {
            run.sent(sender, &message, Ok(sent));
        }
    }
    for ((feed, terminal), name) in
        feeds.iter_mut().zip([&ann, &pc, &bob, &pad]).zip(["phone", "pc", "phone", "pad"])
    {
        let timeline = terminal.timeline().await;
        run.saw(&terminal.user_id, "a pull", 0, timeline.clone());
        let entries = feed.entries_to(timeline.len().try_into().expect("small")).await;
        run.saw(&terminal.user_id, name, 0, entries);
        let recalled = count(&timeline, |kind| matches!(kind, Kind::MessageRecalled(_)));
        let deleted = count(&timeline, |kind| matches!(kind, Kind::MessageDeleted(_)));
        assert_eq!((recalled, deleted), (4 * ROUNDS.div_ceil(3), 2 * (ROUNDS / 3)));
        let receipts = timeline.iter().filter_map(|entry| match &entry.kind {
            Kind::ReadReceipt(receipt) => Some(receipt.seq),
            _ => None,
        });
        assert!(receipts.collect::<Vec<_>>().is_sorted_by(|a, b| a < b), "receipts move forward");
    }
    run.assert_sound();
    assert_dense(&imd.database).await;
    here.stop().await;
    there.stop().await;
    imd.node.stop().await;
    let sql = imd.database.sql().await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'imd'";
    sql.execute(end, &[]).await.expect("the connections that the test itself has had");
    drop(sql);
    assert_eq!(deadlocks(&imd.database).await, 0);
}
