//! Who is added to groups at once, and who is asked.

use serde_json::{Value, json};

use super::{befriend, lets};
use crate::{
    append::assert_dense,
    support::{
        api::{GroupCall, Outgoing},
        cluster::Cluster,
        on_both_transports,
        terminal::Terminal,
        types::{GroupRequest, Kind},
    },
};

on_both_transports! {
    who_lets_nobody_add_it_is_invited_and_follows,
    who_lets_contacts_add_it_is_added_by_them,
    an_invitation_is_declined_by_who_is_invited,
    who_is_invited_by_a_member_is_asked_after_the_admin,
    who_asked_itself_is_not_asked_again,
    a_new_group_invites_who_does_not_let_its_owner_add_it,
    a_mute_that_has_passed_is_none,
}

fn oslo() -> String {
    "oslo".to_owned()
}

async fn group(owner: &Terminal, members: &[&str], join: &str) {
    let body = json!({ "group_id": "oslo", "name": "Oslo", "member_ids": members, "join": join });
    owner.group(GroupCall::Create(body)).await.expect("a group");
}

async fn add(by: &Terminal, user: &str) -> bool {
    let added = by.group(GroupCall::Add(oslo(), user.to_owned())).await.expect("added or asked");
    added["is_member"].as_bool().expect("whether")
}

async fn members(terminal: &Terminal) -> Vec<String> {
    let listed = terminal.group(GroupCall::Members(oslo())).await.expect("members");
    let listed = listed["members"].as_array().expect("a list").iter();
    let mut ids: Vec<String> =
        listed.map(|m: &Value| m["user_id"].as_str().expect("an id").to_owned()).collect();
    ids.sort();
    ids
}

/// What a timeline says of requests: whose, in which state, and whether an admin has agreed.
async fn requests(terminal: &Terminal) -> Vec<(String, String, bool)> {
    let told = terminal.timeline().await.into_iter().filter_map(|entry| match entry.kind {
        Kind::GroupRequest(GroupRequest { user_id, state, approved, .. }) => {
            Some((user_id, state, approved))
        }
        _ => None,
    });
    told.collect()
}

fn request(user: &str, state: &str, approved: bool) -> (String, String, bool) {
    (user.to_owned(), state.to_owned(), approved)
}

async fn who_lets_nobody_add_it_is_invited_and_follows(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    lets(&ben, "groups_invite_from", "NOBODY").await;
    group(&ann, &[], "INVITE").await;
    assert!(!add(&ann, "ben").await);
    assert!(!add(&ann, "ben").await, "safe to repeat");
    assert_eq!(members(&ann).await, ["ann"]);
    let refused = ben.send(&Outgoing::text("group:oslo", "hm")).await.expect_err("no member");
    assert_eq!(refused.code, "not_a_member");
    assert_eq!(requests(&ben).await, [request("ben", "PENDING", true)]);
    let joined = ben.group(GroupCall::Join(oslo())).await.expect("joined");
    assert_eq!(joined["is_member"], true);
    assert_eq!(members(&ann).await, ["ann", "ben"]);
    ben.say("group:oslo", "here").await;
    assert_dense(&imd.database).await;
}

async fn who_lets_contacts_add_it_is_added_by_them(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    let cleo = imd.user_with_phone("cleo").await;
    befriend(&ann, &ben).await;
    for terminal in [&ben, &cleo] {
        lets(terminal, "groups_invite_from", "CONTACTS").await;
    }
    group(&ann, &[], "INVITE").await;
    assert!(add(&ann, "ben").await, "a contact of ann's");
    assert!(!add(&ann, "cleo").await);
    assert_eq!(members(&ann).await, ["ann", "ben"]);
}

async fn an_invitation_is_declined_by_who_is_invited(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    let cleo = imd.user_with_phone("cleo").await;
    lets(&ben, "groups_invite_from", "NOBODY").await;
    group(&ann, &[], "INVITE").await;
    add(&ann, "ben").await;
    let answer = |approve| GroupCall::Answer(oslo(), "ben".to_owned(), approve);
    assert_eq!(cleo.group(answer(false)).await.expect_err("not hers").code, "not_a_member");
    ben.group(answer(false)).await.expect("declined");
    let due = [request("ben", "PENDING", true), request("ben", "DECLINED", true)];
    assert_eq!((requests(&ann).await, requests(&ben).await), (due.to_vec(), due.to_vec()));
    let refused = ben.group(GroupCall::Join(oslo())).await.expect_err("declined");
    assert_eq!(refused.code, "invitation_needed");
    let refused = ben.group(answer(false)).await.expect_err("declined before");
    assert_eq!(refused.code, "request_not_found");
}

async fn who_is_invited_by_a_member_is_asked_after_the_admin(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    let cleo = imd.user_with_phone("cleo").await;
    lets(&cleo, "groups_invite_from", "NOBODY").await;
    group(&ann, &["ben"], "INVITE").await;
    assert!(!add(&ben, "cleo").await);
    let answer = || GroupCall::Answer(oslo(), "cleo".to_owned(), true);
    let refused = cleo.group(answer()).await.expect_err("an admin is first");
    assert_eq!(refused.code, "group_role_needed");
    ann.group(answer()).await.expect("agreed");
    assert_eq!(members(&ann).await, ["ann", "ben"]);
    let due = [request("cleo", "PENDING", false), request("cleo", "PENDING", true)];
    assert_eq!(requests(&cleo).await, due);
    cleo.group(answer()).await.expect("followed");
    assert_eq!(members(&ann).await, ["ann", "ben", "cleo"]);
    assert_eq!(requests(&ann).await.last(), Some(&request("cleo", "APPROVED", true)));
}

async fn who_asked_itself_is_not_asked_again(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    lets(&ben, "groups_invite_from", "NOBODY").await;
    group(&ann, &[], "REQUEST").await;
    let joined = ben.group(GroupCall::Join(oslo())).await.expect("asked");
    assert_eq!(joined["is_member"], false);
    assert!(add(&ann, "ben").await);
    assert_eq!(members(&ann).await, ["ann", "ben"]);
}

async fn a_new_group_invites_who_does_not_let_its_owner_add_it(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    imd.user("cleo").await;
    lets(&ben, "groups_invite_from", "CONTACTS").await;
    group(&ann, &["ben", "cleo"], "INVITE").await;
    assert_eq!(members(&ann).await, ["ann", "cleo"]);
    assert_eq!(requests(&ben).await, [request("ben", "PENDING", true)]);
    ben.group(GroupCall::Join(oslo())).await.expect("followed");
    assert_eq!(members(&ann).await, ["ann", "ben", "cleo"]);
    assert_dense(&imd.database).await;
}

async fn a_mute_that_has_passed_is_none(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    group(&ann, &["ben"], "INVITE").await;
    let mute = |until: &str| {
        GroupCall::UpdateMember(oslo(), "ben".to_owned(), json!({ "muted_until": until }))
    };
    ann.group(mute("2100-01-01T00:00:00Z")).await.expect("muted");
    ann.group(mute("2001-01-01T00:00:00Z")).await.expect("let write again");
    ben.say("group:oslo", "thanks").await;
    let sql = imd.database.sql().await;
    let muted = "SELECT count(*) FROM group_members WHERE muted_until IS NOT NULL";
    assert_eq!(sql.query_one(muted, &[]).await.expect("a number").get::<_, i64>(0), 0);
}
