//! What happens to a group while messages to it are on their way.

use std::collections::BTreeSet;

use futures::future::{join, join3};
use serde_json::json;

use super::{IN_OSLO, OSLO, group_of, oslo, seen, text, texts, words};
use crate::{
    append::assert_dense,
    faults::held::{Held, waiting_for_locks},
    support::{
        api::{GroupCall, Outgoing, Transport},
        cluster::Cluster,
        eventually,
        terminal::Terminal,
        types::{Entry, Kind},
    },
};

/// Who joins while others write sees the newest messages before its joining and all after, in the group's
/// order, none twice and none missing.
#[tokio::test]
async fn i13_who_joins_beside_sends_sees_a_stretch_without_a_gap() {
    const SHOWN: usize = 5;
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let (_node, api) = imd.start_node().await;
    let elsewhere = ann.through(api);
    let group = json!({ "group_id": OSLO, "name": "Oslo", "join": "OPEN", "history": SHOWN });
    ann.group(GroupCall::Create(group)).await.expect("a group");
    let mut joined = Vec::new();
    for round in 0..40 {
        let ben = imd.user_with_phone(&format!("ben{round}")).await;
        let says = async |terminal: &Terminal, who: &str| {
            for n in 0..4 {
                terminal.send(&text(&format!("{round} {who} {n}"))).await.expect("sent");
            }
        };
        let joins = async {
            tokio::task::yield_now().await;
            ben.group(GroupCall::Join(oslo())).await.expect("joined");
        };
        join3(says(&ann, "near"), says(&elsewhere, "far"), joins).await;
        joined.push(ben);
    }
    ann.send(&text("the last")).await.expect("sent");
    let all = whole_history(&ann).await;
    for ben in &joined {
        let got = eventually("the last", async || {
            let got = whole_history(ben).await;
            (got.last().map(String::as_str) == Some("the last")).then_some(got)
        })
        .await;
        assert_eq!(got, all[all.len() - got.len()..], "{}", ben.user_id);
    }
    // The first message after the joining tells how many before it were shown.
    let entries = ben_entries(&joined[39]).await;
    let at = entries.iter().position(|e| matches!(e.kind, Kind::MemberChanged(_))).expect("joined");
    assert_eq!(entries[..at].iter().filter(|e| e.as_message().is_some()).count(), SHOWN);
    assert_dense(&imd.database).await;
}

/// All messages of the group that a member has, the oldest first.
async fn whole_history(terminal: &Terminal) -> Vec<String> {
    let (mut got, mut token) = (Vec::new(), String::new());
    loop {
        let page = terminal.history(IN_OSLO, 200, &token).await.expect("a page");
        got.extend(page.entries.iter().map(|entry| entry.text().to_owned()));
        token = page.next_page_token;
        if token.is_empty() {
            got.reverse();
            return got;
        }
    }
}

async fn ben_entries(terminal: &Terminal) -> Vec<Entry> {
    seen(terminal, 1).await
}

/// Once a group is dissolved nothing more is stored; what was stored before, all members get.
#[tokio::test]
async fn i14_a_dissolution_and_sends_on_two_nodes_agree() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    let (_node, api) = imd.start_node().await;
    let elsewhere = ben.through(api);
    let mut met = 0;
    for round in 0..100 {
        let group = format!("oslo{round}");
        let to = format!("group:{group}");
        let made = json!({ "group_id": group, "name": "Oslo", "member_ids": ["ben"] });
        ann.group(GroupCall::Create(made)).await.expect("a group");
        let says = async {
            let mut stored = BTreeSet::new();
            for n in 0..5 {
                let message = Outgoing::text(&to, n.to_string());
                match elsewhere.send(&message).await {
                    Ok(sent) => drop(stored.insert(sent.message_id)),
                    Err(refused) => {
                        assert_eq!(refused.code, "group_not_found");
                        break;
                    }
                }
            }
            stored
        };
        let dissolves = async {
            tokio::task::yield_now().await;
            ann.group(GroupCall::Dissolve(group.clone())).await.expect("dissolved");
            let late = Outgoing::text(&to, "late");
            assert_eq!(ben.send(&late).await.expect_err("gone").code, "group_not_found");
        };
        let (stored, ()) = join(says, dissolves).await;
        met += usize::from(!stored.is_empty() && stored.len() < 5);
        for terminal in [&ann, &ben] {
            eventually("what was stored", async || {
                let page = terminal.history(&to, 0, "").await.expect("a page");
                let got: BTreeSet<_> =
                    page.entries.iter().map(|e| e.message().message_id.clone()).collect();
                (got == stored).then_some(())
            })
            .await;
        }
    }
    assert!(met > 0, "the two met");
    assert_dense(&imd.database).await;
}

/// A message of ben's waits for the lock of the group while `change` is made to him: what has become of it.
async fn sent_into(
    change: impl AsyncFnOnce(&Cluster, &Terminal),
) -> (Result<(), String>, Vec<String>) {
    let imd = Cluster::start(Transport::Grpc).await;
    let [ann, ben, cleo] = group_of(&imd, ["ann", "ben", "cleo"]).await;
    seen(&cleo, 2).await;
    // Cleo's timeline is locked by hand, and a note of hers fills the lane that ben's message waits in.
    let held = Held::timeline_of("cleo", &imd.database).await;
    let note = tokio::spawn({
        let cleo = cleo.clone();
        async move { cleo.say("cleo", "in front").await }
    });
    waiting_for_locks(1, &imd.database).await;
    let waiting = tokio::spawn({
        let ben = ben.clone();
        async move { ben.send(&text("late")).await.map(drop).map_err(|failure| failure.code) }
    });
    eventually("it waits", async || (imd.node.queued() > 0).then_some(())).await;
    change(&imd, &ann).await;
    held.release().await;
    note.await.expect("it ran");
    let outcome = waiting.await.expect("it ran");
    ann.send(&text("last")).await.expect("sent");
    let words = words(&super::seen(&ann, 4).await);
    assert_dense(&imd.database).await;
    (outcome, words)
}

#[tokio::test]
async fn i14_a_message_that_waits_while_its_sender_is_removed_is_refused() {
    let (outcome, words) = sent_into(async |_, ann| {
        ann.group(GroupCall::Remove(oslo(), "ben".to_owned())).await.expect("removed");
    })
    .await;
    assert_eq!(outcome, Err("not_a_member".to_owned()));
    assert_eq!(words[2..], ["ben REMOVED", "last"]);
}

#[tokio::test]
async fn i14_a_message_that_waits_while_its_sender_is_muted_is_refused() {
    let (outcome, words) = sent_into(async |_, ann| {
        let mute = json!({ "muted_until": "2100-01-01T00:00:00Z" });
        let mute = GroupCall::UpdateMember(oslo(), "ben".to_owned(), mute);
        ann.group(mute).await.expect("muted");
    })
    .await;
    assert_eq!(outcome, Err("muted".to_owned()));
    assert_eq!(words[2..], ["ben MUTED", "last"]);
}

#[tokio::test]
async fn i3_a_message_that_waits_while_its_sender_is_deleted_is_refused() {
    let (outcome, words) = sent_into(async |imd, _| {
        imd.admin().delete("ben", false).await.expect("deleted");
    })
    .await;
    assert_eq!(outcome, Err("session_ended".to_owned()));
    assert_eq!(words[2..], ["ben LEFT", "last"]);
}

/// A block between two is not what a group is about: its members read each other.
#[tokio::test]
async fn a_message_that_waits_while_its_sender_is_blocked_reaches_the_group() {
    let (outcome, words) = sent_into(async |_, ann| {
        ann.block("ben").await.expect("blocked");
    })
    .await;
    assert_eq!(outcome, Ok(()));
    assert_eq!(words[2..], ["late", "last"]);
}

/// The look for groups that were left behind costs what was left behind, not what groups there are.
#[tokio::test]
async fn a_group_is_marked_until_all_its_members_have_all_of_it() {
    let imd = Cluster::start(Transport::Grpc).await;
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let marked = async || {
        let sql = imd.database.sql().await;
        let count = "SELECT count(*) FROM fan_outs";
        sql.query_one(count, &[]).await.expect("a number").get::<_, i64>(0)
    };
    for n in 0..3 {
        ann.send(&text(&n.to_string())).await.expect("sent");
        ben.send(&text(&n.to_string())).await.expect("sent");
    }
    eventually("nothing is left to do", async || (marked().await == 0).then_some(())).await;
    assert_eq!(texts(&seen(&ben, 8).await).len(), 6);
    let held = Held::timeline_of("ben", &imd.database).await;
    ann.send(&text("ben cannot have it yet")).await.expect("sent");
    assert_eq!(marked().await, 1);
    held.release().await;
    eventually("nothing is left to do", async || (marked().await == 0).then_some(())).await;
    assert_eq!(texts(&seen(&ben, 9).await).len(), 7);
    // One of many groups: the plan looks at the marks alone.
    create_many(&imd).await;
    let sql = imd.database.sql().await;
    let plan =
        "EXPLAIN SELECT group_no FROM fan_outs WHERE group_no > 0 ORDER BY group_no LIMIT 500";
    let plan = sql.query(plan, &[]).await.expect("a plan");
    let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
    assert!(!plan.join("\n").contains("groups"), "{plan:?}");
}

async fn create_many(imd: &Cluster) {
    let sql = imd.database.sql().await;
    let make = "INSERT INTO groups (group_id, name, join_rule, history)
                SELECT 'many' || n, 'Many', 1, 0 FROM generate_series(1, 1000) n";
    sql.batch_execute(make).await.expect("groups");
}
