//! How one gets into a group, and what one sees then.

use serde_json::{Value, json};

use super::{IN_OSLO, group_of, oslo, seen, text, texts, words};
use crate::{
    append::assert_dense,
    support::{
        api::{GroupCall, Outgoing},
        cluster::Cluster,
        eventually, on_both_transports,
        terminal::Terminal,
        types::{GroupRequest, Kind},
    },
};

on_both_transports! {
    anyone_joins_an_open_group,
    who_asks_is_let_in_or_is_not,
    a_member_invites_and_an_admin_answers,
    a_group_by_invitation_is_not_seen_by_others,
    who_joins_sees_as_much_as_the_group_shows,
}

/// The answers to requests that a terminal has been told of.
async fn told(terminal: &Terminal, count: usize) -> Vec<GroupRequest> {
    eventually("all requests", async || {
        let entries = terminal.timeline().await;
        let requests = entries.into_iter().filter_map(|entry| match entry.kind {
            Kind::GroupRequest(request) => Some(request),
            _ => None,
        });
        let requests: Vec<_> = requests.collect();
        (requests.len() >= count).then_some(requests)
    })
    .await
}

async fn anyone_joins_an_open_group(imd: Cluster) {
    let [ann, _ben] = group_of(&imd, ["ann", "ben"]).await;
    let cleo = imd.user_with_phone("cleo").await;
    ann.group(GroupCall::Update(oslo(), json!({ "join": "OPEN" }))).await.expect("open");
    let seen_before = cleo.group(GroupCall::Get(oslo())).await.expect("the group");
    assert_eq!(seen_before["member_count"], json!(2));
    for _ in 0..2 {
        let joined = cleo.group(GroupCall::Join(oslo())).await.expect("joined");
        assert_eq!(joined, json!({ "is_member": true }));
    }
    cleo.send(&text("hello")).await.expect("sent");
    assert_eq!(words(&seen(&cleo, 2).await), ["cleo JOINED", "hello"]);
    assert_eq!(words(&seen(&ann, 5).await)[3..], ["cleo JOINED", "hello"]);
}

async fn who_asks_is_let_in_or_is_not(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let cleo = imd.user_with_phone("cleo").await;
    let dan = imd.user_with_phone("dan").await;
    ann.group(GroupCall::Update(oslo(), json!({ "join": "REQUEST" }))).await.expect("changed");
    for who in [&cleo, &dan] {
        let asked = who.group(GroupCall::Join(oslo())).await.expect("asked");
        assert_eq!(asked, json!({ "is_member": false }));
        let refused = who.send(&text("hi")).await.expect_err("no member yet");
        assert_eq!(refused.code, "not_a_member");
    }
    let refused = ben.group(GroupCall::Requests(oslo())).await.expect_err("a member");
    assert_eq!(refused.code, "group_role_needed");
    let listed = ann.group(GroupCall::Requests(oslo())).await.expect("requests");
    let names: Vec<&Value> =
        listed["requests"].as_array().expect("requests").iter().map(|r| &r["user_id"]).collect();
    assert_eq!(names, ["cleo", "dan"]);
    let answer = |user: &str, approve| GroupCall::Answer(oslo(), user.to_owned(), approve);
    ann.group(answer("cleo", true)).await.expect("approved");
    ann.group(answer("dan", false)).await.expect("declined");
    let refused = ann.group(answer("dan", true)).await.expect_err("answered before");
    assert_eq!(refused.code, "request_not_found");
    cleo.send(&text("thanks")).await.expect("sent");
    let states = |told: Vec<GroupRequest>| told.into_iter().map(|r| r.state).collect::<Vec<_>>();
    assert_eq!(states(told(&cleo, 2).await), ["PENDING", "APPROVED"]);
    assert_eq!(states(told(&dan, 2).await), ["PENDING", "DECLINED"]);
    assert_eq!(states(told(&ann, 4).await), ["PENDING", "PENDING", "APPROVED", "DECLINED"]);
    assert_dense(&imd.database).await;
}

async fn a_member_invites_and_an_admin_answers(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let cleo = imd.user_with_phone("cleo").await;
    let invited = ben.group(GroupCall::Add(oslo(), "cleo".to_owned())).await.expect("asked");
    assert_eq!(invited, json!({ "is_member": false }));
    let request = told(&ann, 1).await.remove(0);
    assert_eq!((request.user_id.as_str(), request.invited_by.as_str()), ("cleo", "ben"));
    ann.group(GroupCall::Answer(oslo(), "cleo".to_owned(), true)).await.expect("approved");
    cleo.send(&text("hello")).await.expect("sent");
    assert_eq!(words(&seen(&cleo, 2).await), ["cleo JOINED", "hello"]);
}

async fn a_group_by_invitation_is_not_seen_by_others(imd: Cluster) {
    let [_ann, _ben] = group_of(&imd, ["ann", "ben"]).await;
    let cleo = imd.user_with_phone("cleo").await;
    let refused = cleo.group(GroupCall::Get(oslo())).await.expect_err("not hers to see");
    assert_eq!(refused.code, "group_not_found");
    let refused = cleo.group(GroupCall::Join(oslo())).await.expect_err("by invitation");
    assert_eq!(refused.code, "invitation_needed");
}

async fn who_joins_sees_as_much_as_the_group_shows(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let cleo = imd.user_with_phone("cleo").await;
    let shown = json!({ "history": 3, "join": "OPEN" });
    ann.group(GroupCall::Update(oslo(), shown)).await.expect("changed");
    for n in 1..=5 {
        let from = if n % 2 == 0 { &ann } else { &ben };
        from.send(&Outgoing { mentions: Vec::new(), ..text(&n.to_string()) }).await.expect("sent");
    }
    let recalled = ann.send(&text("6")).await.expect("sent");
    ann.recall(&recalled.message_id).await.expect("recalled");
    cleo.group(GroupCall::Join(oslo())).await.expect("joined");
    ann.send(&text("7")).await.expect("sent");
    assert_eq!(words(&seen(&cleo, 5).await), ["3", "4", "5", "cleo JOINED", "7"]);
    let history = cleo.history(IN_OSLO, 0, "").await.expect("a page");
    assert_eq!(texts(&history.entries), ["7", "5", "4", "3"]);
    assert_eq!(history.end.as_deref(), Some("BEGINNING"));
    assert_dense(&imd.database).await;
}
