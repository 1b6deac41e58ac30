//! Messages of groups, which are indexed once and found by who has them.

use serde_json::json;

use super::{index, indexed, words};
use crate::{
    groups::{IN_OSLO, OSLO, group_of, text},
    support::{
        api::{GroupCall, Outgoing},
        cluster::Cluster,
        eventually, on_both_transports,
        terminal::Terminal,
        types::SearchCall,
    },
};

on_both_transports! {
    a_groups_message_is_indexed_once_and_found_by_every_member,
    who_left_finds_what_it_has_and_nothing_that_came_later,
    who_joins_finds_what_it_is_shown,
    who_came_back_finds_all_that_it_has,
    a_recall_an_edit_and_a_deletion_hold_for_what_is_found_in_groups,
    what_a_tier_hides_of_a_group_is_not_found,
    pages_go_through_groups_and_users_in_the_order_of_time,
}

fn oslo() -> String {
    OSLO.to_owned()
}

/// Waits until a member finds this many messages.
async fn finds(terminal: &Terminal, q: &str, count: usize) -> Vec<String> {
    eventually("they are found", async || {
        Some(terminal.found(q).await).filter(|found| found.len() == count)
    })
    .await
}

async fn a_groups_message_is_indexed_once_and_found_by_every_member(imd: Cluster) {
    let [ann, ben, cleo] = group_of(&imd, ["ann", "ben", "cleo"]).await;
    let dan = imd.user_with_phone("dan").await;
    ann.send(&text("the boat to Oslo")).await.expect("sent");
    ben.send(&text("我们去挪威")).await.expect("sent");
    for _ in 0..2 {
        for member in [&ann, &ben, &cleo] {
            assert_eq!(finds(member, "boat", 1).await, ["the [boat] to Oslo"]);
            assert_eq!(finds(member, "挪威", 1).await, ["我们去[挪威]"]);
            let asked = SearchCall { conversation_id: IN_OSLO.to_owned(), ..words("boat") };
            assert_eq!(member.search(&asked).await.expect("a page").results.len(), 1);
            let asked = SearchCall { from: "ben".to_owned(), ..asked };
            assert_eq!(member.search(&asked).await.expect("a page").results.len(), 0);
        }
        assert_eq!(dan.found("boat").await, [""; 0]);
        let asked = SearchCall { conversation_id: IN_OSLO.to_owned(), ..words("boat") };
        assert_eq!(dan.search(&asked).await.expect("a page").results.len(), 0);
        index(&imd).await;
    }
    assert_eq!(indexed(&imd, "boat").await, 1);
}

async fn who_left_finds_what_it_has_and_nothing_that_came_later(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    ann.send(&text("plan before")).await.expect("sent");
    finds(&ben, "plan", 1).await;
    ann.group(GroupCall::Remove(oslo(), "ben".to_owned())).await.expect("removed");
    ann.send(&text("plan after")).await.expect("sent");
    for _ in 0..2 {
        assert_eq!(ann.found("plan").await, ["[plan] after", "[plan] before"]);
        assert_eq!(ben.found("plan").await, ["[plan] before"]);
        index(&imd).await;
    }
}

async fn who_joins_finds_what_it_is_shown(imd: Cluster) {
    let [ann] = group_of(&imd, ["ann"]).await;
    for n in 0..5 {
        ann.send(&text(&format!("plan {n}"))).await.expect("sent");
    }
    imd.users(["ben", "cleo"]).await;
    let add = |name: &str| GroupCall::Add(oslo(), name.to_owned());
    ann.group(add("ben")).await.expect("added");
    ann.group(GroupCall::Update(oslo(), json!({ "history": 2 }))).await.expect("changed");
    ann.group(add("cleo")).await.expect("added");
    ann.send(&text("plan 5")).await.expect("sent");
    let [ben, cleo] =
        [imd.log_in("ben", "phone", "b").await, imd.log_in("cleo", "phone", "c").await];
    for _ in 0..2 {
        assert_eq!(finds(&ben, "plan", 1).await, ["[plan] 5"]);
        assert_eq!(finds(&cleo, "plan", 3).await, ["[plan] 5", "[plan] 4", "[plan] 3"]);
        index(&imd).await;
    }
}

async fn who_came_back_finds_all_that_it_has(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let say = async |said: &str| {
        ann.send(&text(said)).await.expect("sent");
    };
    say("plan 1").await;
    finds(&ben, "plan", 1).await;
    ann.group(GroupCall::Remove(oslo(), "ben".to_owned())).await.expect("removed");
    for n in 2..=5 {
        say(&format!("plan {n}")).await;
    }
    ann.group(GroupCall::Update(oslo(), json!({ "history": 2 }))).await.expect("changed");
    ann.group(GroupCall::Add(oslo(), "ben".to_owned())).await.expect("added");
    say("plan 6").await;
    for _ in 0..2 {
        assert_eq!(finds(&ben, "plan", 4).await, ["[plan] 6", "[plan] 5", "[plan] 4", "[plan] 1"]);
        index(&imd).await;
    }
}

async fn a_recall_an_edit_and_a_deletion_hold_for_what_is_found_in_groups(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    for round in 0..2 {
        let recalled = ann.send(&text("plan one")).await.expect("sent");
        let edited = ann.send(&text("plan two")).await.expect("sent");
        let deleted = ann.send(&text("plan three")).await.expect("sent");
        finds(&ben, "plan", 3).await;
        if round == 1 {
            index(&imd).await;
        }
        ann.recall(&recalled.message_id).await.expect("recalled");
        ann.edit(&edited.message_id, "idea two").await.expect("edited");
        ann.delete(IN_OSLO, deleted.seq).await.expect("deleted");
        // At once, though their timelines are brought up to the group's later.
        assert_eq!(ann.found("plan").await, [""; 0]);
        assert_eq!(ben.found("plan").await, ["[plan] three"]);
        assert_eq!(ben.found("idea").await.len(), round + 1);
        index(&imd).await;
        assert_eq!(
            (indexed(&imd, "one").await, indexed(&imd, "idea").await),
            (0, i64::try_from(round + 1).expect("a small number"))
        );
        let seq = ben.search(&words("three")).await.expect("a page").results[0].0.seq;
        ben.delete(IN_OSLO, seq).await.expect("deleted");
    }
}

async fn what_a_tier_hides_of_a_group_is_not_found(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    for n in 0..4 {
        ann.send(&text(&format!("plan {n}"))).await.expect("sent");
    }
    finds(&ben, "plan", 4).await;
    imd.admin().set_limits("ben", None, Some(2)).await.expect("limits");
    for _ in 0..2 {
        assert_eq!(ben.found("plan").await, ["[plan] 3", "[plan] 2"]);
        assert_eq!(ann.found("plan").await.len(), 4);
        index(&imd).await;
    }
}

async fn pages_go_through_groups_and_users_in_the_order_of_time(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let other = json!({ "group_id": "rome", "name": "Rome", "member_ids": ["ben"] });
    ann.group(GroupCall::Create(other)).await.expect("a group");
    for n in 0..12 {
        let said = format!("plan {n}");
        let rome = Outgoing::text("group:rome", said.clone());
        let sent = match n % 3 {
            0 => ann.send(&text(&said)).await,
            1 => ben.send(&Outgoing::text("ann", said)).await,
            _ => ben.send(&rome).await,
        };
        sent.expect("sent");
    }
    finds(&ben, "plan", 12).await;
    for _ in 0..2 {
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let asked = SearchCall { page_size: 5, page_token: token, ..words("plan") };
            let page = ben.search(&asked).await.expect("a page");
            seen.extend(page.results.iter().map(|(entry, _)| entry.text().to_owned()));
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        let all: Vec<String> = (0..12).rev().map(|n| format!("plan {n}")).collect();
        assert_eq!(seen, all);
        index(&imd).await;
    }
}
