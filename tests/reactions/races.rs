//! Reactions beside recalls, deletions and other reactions, on two nodes.

use futures::future::{join, join_all};

use super::{all_is_told, in_history, rows};
use crate::{
    append::{assert_dense, locks::deadlocks},
    groups::{IN_OSLO, group_of},
    support::{api::Transport, cluster::Cluster, eventually, terminal::Terminal},
};

const ROUNDS: usize = 15;

/// Sends messages, and has each reacted to on one node while something else becomes of it on the other.
async fn react_and(
    sender: &Terminal,
    reader: &Terminal,
    to: &str,
    change: impl AsyncFn(&Terminal, &str, i64),
) {
    for round in 0..ROUNDS {
        let sent = sender.say(to, &format!("{round}")).await;
        eventually("the message", async || {
            let entries = reader.timeline().await;
            let is_it =
                |message: &crate::support::types::Message| message.message_id == sent.message_id;
            entries.iter().any(|entry| entry.as_message().is_some_and(is_it)).then_some(())
        })
        .await;
        let react = reader.react(&sent.message_id, "👍");
        let (reacted, ()) = join(react, change(sender, &sent.message_id, sent.seq)).await;
        if let Err(refused) = reacted {
            assert_eq!(refused.code, "message_not_found");
        }
    }
}

#[tokio::test]
async fn a_reaction_that_meets_a_recall_or_a_deletion_is_given_before_it_or_not_at_all() {
    let imd = Cluster::start(Transport::Grpc).await;
    let (node, api) = imd.start_node().await;
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let there = ann.through(api);
    for to in ["ben", IN_OSLO] {
        react_and(&there, &ben, to, async |there, message_id, _| {
            there.recall(message_id).await.expect("recalled");
        })
        .await;
    }
    assert_eq!(rows(&imd).await, (0, 0), "nothing is left of reactions to what was recalled");
    react_and(&there, &ben, "ben", async |there, _, seq| {
        there.delete("ben", seq).await.expect("deleted");
    })
    .await;
    let (given, shown) = rows(&imd).await;
    assert_eq!(usize::try_from(given), Ok(ROUNDS), "ben has the messages still");
    assert_eq!(shown, given, "with ben's copies alone");
    all_is_told(&imd).await;
    assert_dense(&imd.database).await;
    node.stop().await;
    imd.node.stop().await;
    let sql = imd.database.sql().await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'imd'";
    sql.execute(end, &[]).await.expect("the connections that the test itself has had");
    drop(sql);
    assert_eq!(deadlocks(&imd.database).await, 0);
}

#[tokio::test]
async fn reactions_at_once_are_all_counted_and_each_once() {
    let imd = Cluster::start(Transport::Grpc).await;
    let (_node, api) = imd.start_node().await;
    let [ann, ben, cleo] = group_of(&imd, ["ann", "ben", "cleo"]).await;
    let in_group = ann.say(IN_OSLO, "hello").await.message_id;
    let between = ann.say("ben", "hello").await.message_id;
    for member in [&ben, &cleo] {
        eventually("the message", async || {
            let entries = member.timeline().await;
            let is_it = |message: &crate::support::types::Message| message.message_id == in_group;
            entries.iter().any(|entry| entry.as_message().is_some_and(is_it)).then_some(())
        })
        .await;
    }
    let members = [&ann, &ben, &cleo];
    let calls = (0..60).map(async |n: usize| {
        let member = members[n % 3];
        let member = if n.is_multiple_of(2) { member.clone() } else { member.through(api.clone()) };
        let reaction = format!("r{}", n / 3 % 4);
        member.react(&in_group, &reaction).await.expect("given");
        if n % 3 < 2 {
            member.react(&between, &reaction).await.expect("given");
        }
    });
    join_all(calls).await;
    let sorted = async |terminal: &Terminal, peer: &str, id: &str| {
        let mut shown = in_history(terminal, peer, id).await;
        shown.sort();
        shown
    };
    for member in members {
        assert_eq!(sorted(member, IN_OSLO, &in_group).await, ["r0 3*", "r1 3*", "r2 3*", "r3 3*"]);
    }
    for (member, peer) in [(&ann, "ben"), (&ben, "ann")] {
        assert_eq!(sorted(member, peer, &between).await, ["r0 2*", "r1 2*", "r2 2*", "r3 2*"]);
    }
    assert_eq!(rows(&imd).await, (20, 3));
    let calls = members.map(async |member| {
        join_all((0..4).map(async |n| {
            let reaction = format!("r{n}");
            member.unreact(&in_group, &reaction).await.expect("taken back");
        }))
        .await;
    });
    join_all(calls).await;
    assert_eq!(in_history(&ann, IN_OSLO, &in_group).await, [""; 0]);
    assert_eq!(rows(&imd).await, (8, 2));
    all_is_told(&imd).await;
    assert_dense(&imd.database).await;
}
