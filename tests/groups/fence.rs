//! I14: once a removal has returned, nothing gets through any more, in either direction.

use futures::future::join;
use serde_json::json;

use super::{OSLO, create, group_of, oslo, seen, text, texts, words};
use crate::{
    append::assert_dense,
    support::{
        api::{GroupCall, Transport},
        cluster::Cluster,
        on_both_transports,
        types::Kind,
    },
};

on_both_transports! {
    i14_who_was_removed_writes_and_gets_nothing_more,
    i14_who_has_left_writes_and_gets_nothing_more,
    i14_who_is_muted_reads_and_does_not_write,
    who_comes_back_gets_what_comes_from_then_on,
}

async fn i14_who_was_removed_writes_and_gets_nothing_more(imd: Cluster) {
    let [ann, ben, cleo] = group_of(&imd, ["ann", "ben", "cleo"]).await;
    ann.send(&text("before")).await.expect("sent");
    ann.group(GroupCall::Remove(oslo(), "ben".to_owned())).await.expect("removed");
    let refused = ben.send(&text("too late")).await.expect_err("no member");
    assert_eq!(refused.code, "not_a_member");
    ann.send(&text("after")).await.expect("sent");
    let all = words(&seen(&cleo, 5).await);
    assert_eq!(all[2..], ["before", "ben REMOVED", "after"]);
    // The entry that removes is the last that the removed get.
    assert_eq!(words(&seen(&ben, 4).await), all[..4]);
    let refused = ben.group(GroupCall::Members(oslo())).await.expect_err("no member");
    assert_eq!(refused.code, "not_a_member");
    let listed = ben.group(GroupCall::List).await.expect("groups");
    assert_eq!(listed["groups"], json!([]));
    // What it got it keeps.
    assert_eq!(
        texts(&ben.history(super::IN_OSLO, 0, "").await.expect("a page").entries),
        ["before"]
    );
    assert_dense(&imd.database).await;
}

async fn i14_who_has_left_writes_and_gets_nothing_more(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    ben.group(GroupCall::Leave(oslo())).await.expect("left");
    let refused = ben.group(GroupCall::Leave(oslo())).await.expect_err("left before");
    assert_eq!(refused.code, "not_a_member");
    ann.send(&text("after")).await.expect("sent");
    assert_eq!(words(&seen(&ann, 4).await)[2..], ["ben LEFT", "after"]);
    assert_eq!(words(&seen(&ben, 3).await)[2..], ["ben LEFT"]);
}

async fn i14_who_is_muted_reads_and_does_not_write(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let mute =
        |until| GroupCall::UpdateMember(oslo(), "ben".to_owned(), json!({ "muted_until": until }));
    ann.group(mute(json!("2100-01-01T00:00:00Z"))).await.expect("muted");
    let refused = ben.send(&text("hm")).await.expect_err("muted");
    assert_eq!(refused.code, "muted");
    ann.send(&text("quiet now")).await.expect("sent");
    ann.group(mute(serde_json::Value::Null)).await.expect("let write again");
    ben.send(&text("thanks")).await.expect("sent");
    ann.group(GroupCall::Update(oslo(), json!({ "muted": true }))).await.expect("all muted");
    let refused = ben.send(&text("hm")).await.expect_err("muted with all");
    assert_eq!(refused.code, "muted");
    ann.send(&text("an announcement")).await.expect("the owner writes");
    let due = ["ben MUTED", "quiet now", "ben MUTED", "thanks", "version 2", "an announcement"];
    assert_eq!(words(&seen(&ben, 8).await)[2..], due);
}

async fn who_comes_back_gets_what_comes_from_then_on(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    ann.group(GroupCall::Remove(oslo(), "ben".to_owned())).await.expect("removed");
    ann.send(&text("behind the back")).await.expect("sent");
    ann.group(GroupCall::Add(oslo(), "ben".to_owned())).await.expect("added");
    ann.send(&text("welcome back")).await.expect("sent");
    let due = ["version 1", "ben+ann JOINED", "ben REMOVED", "ben JOINED", "welcome back"];
    assert_eq!(words(&seen(&ben, 5).await), due);
    assert_dense(&imd.database).await;
}

/// Removals and sends raced on two nodes: what was stored stands before the removal, and the removed got
/// all of that and nothing else.
#[tokio::test]
async fn i14_a_removal_and_sends_on_two_nodes_agree() {
    const ROUNDS: usize = 1000;
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    let (_node, api) = imd.start_node().await;
    let elsewhere = ben.through(api);
    create(&ann, &["ben"]).await;
    let mut stored = 0;
    let mut refusals = 0;
    for round in 0..ROUNDS {
        let says = async {
            let mut last = None;
            for n in 0..5 {
                let sent = elsewhere.send(&text(&format!("{round} {n}"))).await;
                match sent {
                    Ok(_) => last = Some(n),
                    Err(refused) => {
                        assert_eq!(refused.code, "not_a_member");
                        break;
                    }
                }
            }
            last
        };
        let remove = async {
            tokio::task::yield_now().await;
            ann.group(GroupCall::Remove(oslo(), "ben".to_owned())).await.expect("removed");
            // It has returned: from here on nothing gets through.
            let late = ben.send(&text("late")).await.expect_err("no member");
            assert_eq!(late.code, "not_a_member");
        };
        let (last, ()) = join(says, remove).await;
        stored += last.map_or(0, |n| n + 1);
        refusals += usize::from(last != Some(4));
        ann.group(GroupCall::Add(oslo(), "ben".to_owned())).await.expect("added");
    }
    assert!(refusals > 0, "the two met");
    // Ann sees all of it; ben too, between each of his joins and his next removal.
    let due = 2 + stored + 2 * ROUNDS;
    let anns = all_words(&ann, due).await;
    assert_eq!(all_words(&ben, due).await, anns);
    assert!(!anns.iter().any(|word| word == "late"));
    assert_dense(&imd.database).await;
}

/// As [`words`], however many pages of the timeline that takes.
async fn all_words(terminal: &crate::support::terminal::Terminal, count: usize) -> Vec<String> {
    crate::support::eventually("all of it", async || {
        let mut entries = Vec::new();
        let mut after = String::new();
        loop {
            let stretch = terminal.pull(&after).await.expect("a stretch");
            let done = stretch.entries.last().is_none_or(|e| e.seq == stretch.state.last_seq);
            entries.extend(stretch.entries);
            if done {
                break;
            }
            after = stretch.next_after;
        }
        entries.retain(|entry| match &entry.kind {
            Kind::Message(message) => message.conversation_id == super::IN_OSLO,
            Kind::GroupChanged(change) => change.group_id == OSLO,
            Kind::MemberChanged(change) => change.group_id == OSLO,
            _ => false,
        });
        (entries.len() >= count).then(|| words(&entries))
    })
    .await
}

/// A fan-out that is broken off between its transactions goes on where it was, on another node.
#[tokio::test]
async fn i11_what_a_dead_node_left_behind_is_fanned_out_by_another() {
    let imd = Cluster::start(Transport::Grpc).await;
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    seen(&ben, 2).await;
    ann.send(&text("left behind")).await.expect("sent");
    seen(&ben, 3).await;
    // As if the node that had committed it had died before it made the reference.
    let sql = imd.database.sql().await;
    sql.batch_execute(
        "DELETE FROM entries e USING group_members m, users u
         WHERE u.user_id = 'ben' AND m.user_no = u.user_no AND e.owner = u.user_no
             AND e.seq = (SELECT last_seq FROM timelines WHERE owner = u.user_no);
         UPDATE timelines t SET last_seq = last_seq - 1, last_message_no = last_message_no - 1
         FROM users u WHERE u.user_id = 'ben' AND t.owner = u.user_no;
         UPDATE group_members m SET fanned_to = fanned_to - 1 FROM users u
         WHERE u.user_id = 'ben' AND m.user_no = u.user_no;
         INSERT INTO fan_outs SELECT group_no FROM groups ON CONFLICT DO NOTHING",
    )
    .await
    .expect("left behind");
    let (_node, api) = imd.start_node().await;
    let again = seen(&ben.through(api), 3).await;
    assert_eq!(texts(&again), ["left behind"]);
    assert_dense(&imd.database).await;
}
