//! Edits beside recalls, deletions and other edits, on two nodes.

use futures::future::{join, join_all};

use super::{rows_that_say, told};
use crate::{
    append::{assert_dense, locks::deadlocks},
    groups::{IN_OSLO, group_of, text},
    support::{
        api::Transport,
        cluster::Cluster,
        eventually,
        terminal::Terminal,
        types::{Entry, Kind},
    },
};

const ROUNDS: usize = 15;

/// What became of each message: its tombstone, or what it says and how often it was edited.
fn states(entries: &[Entry]) -> Vec<(String, i32)> {
    let state = |entry: &Entry| {
        let message = entry.as_message()?;
        Some(match &message.tombstone {
            Some(tombstone) => (tombstone.clone(), message.edit_no),
            None => (entry.text().to_owned(), message.edit_no),
        })
    };
    entries.iter().filter_map(state).collect()
}

/// Sends messages, and has each edited on one node while something else becomes of it on the other.
async fn edit_and(
    here: &Terminal,
    there: &Terminal,
    to: &str,
    change: impl AsyncFn(&Terminal, &str, i64),
) {
    for round in 0..ROUNDS {
        let sent = here.say(to, &format!("{round}")).await;
        let edit = here.edit(&sent.message_id, "edited");
        let (edited, ()) = join(edit, change(there, &sent.message_id, sent.seq)).await;
        match edited {
            Ok(_) => {}
            Err(refused) => assert_eq!(refused.code, "message_not_found"),
        }
    }
}

#[tokio::test]
async fn an_edit_that_meets_a_recall_a_deletion_or_an_edit_is_made_before_it_or_not_at_all() {
    let imd = Cluster::start(Transport::Grpc).await;
    let (node, api) = imd.start_node().await;
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let there = ann.through(api);
    for to in ["ben", IN_OSLO] {
        edit_and(&ann, &there, to, async |there, message_id, _| {
            there.recall(message_id).await.expect("recalled");
        })
        .await;
        edit_and(&ann, &there, to, async |there, _, seq| {
            there.delete(to, seq).await.expect("deleted");
        })
        .await;
        edit_and(&ann, &there, to, async |there, message_id, _| {
            there.edit(message_id, "another").await.expect("edited");
        })
        .await;
    }
    let last = ann.send(&text("the last")).await.expect("sent");
    let of_ben = eventually("all of it", async || {
        let entries = ben.timeline().await;
        let is_last =
            |entry: &Entry| entry.as_message().is_some_and(|m| m.message_id == last.message_id);
        entries.iter().any(is_last).then_some(entries)
    })
    .await;
    let of_ann = ann.timeline().await;
    for (conversation, of_ann, of_ben) in
        [("users", 0, 0), ("group", 3 * ROUNDS, 3 * ROUNDS)].map(|(name, ann_from, ben_from)| {
            let ann = states(&of_ann)[ann_from..][..3 * ROUNDS].to_vec();
            (name, ann, states(&of_ben)[ben_from..][..3 * ROUNDS].to_vec())
        })
    {
        for state in of_ann[..ROUNDS].iter().chain(&of_ben[..ROUNDS]) {
            assert_eq!(state, &("RECALLED".to_owned(), 0), "{conversation}");
        }
        for state in &of_ann[ROUNDS..2 * ROUNDS] {
            assert_eq!(state.0, "DELETED", "{conversation}");
        }
        for (of_ann, of_ben) in of_ann[2 * ROUNDS..].iter().zip(&of_ben[2 * ROUNDS..]) {
            assert_eq!(of_ann, of_ben, "{conversation}: both see the same");
            assert_eq!(of_ann.1, 2, "{conversation}: both edits count");
        }
    }
    assert_eq!(told(&of_ann) > 0, told(&of_ben) > 0);
    let stale = "SELECT count(*) FROM message_edits m JOIN entries e ON e.owner = m.home AND e.seq = m.home_seq
        WHERE e.tombstone = 1";
    let sql = imd.database.sql().await;
    assert_eq!(sql.query_one(stale, &[]).await.expect("a count").get::<_, i64>(0), 0);
    assert!(rows_that_say(&imd, "edited").await > 0);
    assert_dense(&imd.database).await;
    node.stop().await;
    imd.node.stop().await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'imd'";
    sql.execute(end, &[]).await.expect("the connections that the test itself has had");
    drop(sql);
    assert_eq!(deadlocks(&imd.database).await, 0);
}

#[tokio::test]
async fn edits_at_once_by_one_id_are_one_edit() {
    let imd = Cluster::start(Transport::Grpc).await;
    let (_node, api) = imd.start_node().await;
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let there = ann.through(api);
    let messages = [ann.say("ben", "one").await, ann.send(&text("one")).await.expect("sent")];
    for sent in &messages {
        let edit = crate::support::api::Outgoing::text("", "two");
        let calls = (0..8).map(|n| {
            let terminal = if n % 2 == 0 { &ann } else { &there };
            terminal.edit_to(&sent.message_id, &edit)
        });
        let made = join_all(calls).await;
        let made: Vec<_> = made.into_iter().map(|made| made.expect("edited")).collect();
        assert_eq!(made.iter().filter(|made| !made.duplicate).count(), 1);
        assert!(made.iter().all(|made| made.edit_no == 1));
    }
    let entries = eventually("both edits", async || {
        let entries = ben.timeline().await;
        (told(&entries) == 2).then_some(entries)
    })
    .await;
    assert!(entries.iter().any(|entry| matches!(entry.kind, Kind::MessageEdited(_))));
    assert_dense(&imd.database).await;
}
