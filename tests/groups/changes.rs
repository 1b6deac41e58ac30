//! Making groups and changing them.

use serde_json::json;

use super::{OSLO, group_of, oslo, seen, text, words};
use crate::support::{api::GroupCall, cluster::Cluster, on_both_transports, types::Kind};

on_both_transports! {
    a_group_is_as_it_was_made,
    a_change_is_told_to_all_and_only_when_something_changes,
    two_who_change_at_once_do_not_overwrite_each_other,
    roles_are_given_and_the_group_handed_on,
    a_group_without_its_owner_goes_to_whom_has_been_there_longest,
    a_dissolved_group_takes_nothing_more_and_is_kept_by_who_has_it,
    i13_changes_and_messages_stand_in_one_order,
}

async fn a_group_is_as_it_was_made(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    let made = ann
        .group(GroupCall::Create(json!({
            "name": "Trip", "member_ids": ["ben"], "join": "OPEN", "history": 5,
            "attributes": { "color": "red" },
        })))
        .await
        .expect("a group");
    assert_eq!(
        (&made["name"], &made["join"], &made["role"]),
        (&json!("Trip"), &json!("OPEN"), &json!("OWNER"))
    );
    assert_eq!((&made["member_count"], &made["history"]), (&json!(2), &json!(5)));
    assert_eq!(made["attributes"], json!({ "color": "red" }));
    let id = made["group_id"].as_str().expect("an id made by the server").to_owned();
    let bens = ben.group(GroupCall::Get(id.clone())).await.expect("the group");
    assert_eq!((&bens["role"], &bens["version"]), (&json!("MEMBER"), &json!(1)));
    let listed = ben.group(GroupCall::List).await.expect("groups");
    assert_eq!(listed["groups"].as_array().map(Vec::len), Some(1));
    let members = ben.group(GroupCall::Members(id)).await.expect("members");
    let names: Vec<_> =
        members["members"].as_array().expect("members").iter().map(|m| &m["user_id"]).collect();
    assert_eq!(names, ["ann", "ben"]);
}

async fn a_change_is_told_to_all_and_only_when_something_changes(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let change = json!({ "name": "Oslo in May", "announcement": "Pack warm.", "muted": false });
    let changed = ann.group(GroupCall::Update(oslo(), change.clone())).await.expect("changed");
    assert_eq!((&changed["name"], &changed["version"]), (&json!("Oslo in May"), &json!(2)));
    let same = ann.group(GroupCall::Update(oslo(), change)).await.expect("as it is");
    assert_eq!(same["version"], json!(2));
    ann.send(&text("behind it")).await.expect("sent");
    assert_eq!(words(&seen(&ben, 4).await)[2..], ["version 2", "behind it"]);
}

async fn two_who_change_at_once_do_not_overwrite_each_other(imd: Cluster) {
    let [ann, _ben] = group_of(&imd, ["ann", "ben"]).await;
    let at = |name: &str| json!({ "name": name, "version": 1 });
    ann.group(GroupCall::Update(oslo(), at("first"))).await.expect("changed");
    let refused = ann.group(GroupCall::Update(oslo(), at("second"))).await.expect_err("stale");
    assert_eq!(refused.code, "version_conflict");
}

async fn roles_are_given_and_the_group_handed_on(imd: Cluster) {
    let [ann, ben, cleo] = group_of(&imd, ["ann", "ben", "cleo"]).await;
    let make = |user: &str, role: &str| {
        GroupCall::UpdateMember(oslo(), user.to_owned(), json!({ "role": role }))
    };
    let refused = ben.group(make("cleo", "ADMIN")).await.expect_err("a member");
    assert_eq!(refused.code, "group_role_needed");
    ann.group(make("ben", "ADMIN")).await.expect("an admin");
    let refused = ben.group(make("cleo", "ADMIN")).await.expect_err("an admin makes none");
    assert_eq!(refused.code, "group_role_needed");
    let refused = ann.group(GroupCall::Leave(oslo())).await.expect_err("the owner stays");
    assert_eq!(refused.code, "owner_must_stay");
    ann.group(make("cleo", "OWNER")).await.expect("handed on");
    let roles = async |of: &crate::support::terminal::Terminal| {
        of.group(GroupCall::Get(oslo())).await.expect("the group")["role"].clone()
    };
    assert_eq!((roles(&ann).await, roles(&cleo).await), (json!("ADMIN"), json!("OWNER")));
    ann.group(GroupCall::Leave(oslo())).await.expect("left");
}

async fn a_group_without_its_owner_goes_to_whom_has_been_there_longest(imd: Cluster) {
    let [ann, ben, cleo] = group_of(&imd, ["ann", "ben", "cleo"]).await;
    let admin = json!({ "role": "ADMIN" });
    ann.group(GroupCall::UpdateMember(oslo(), "cleo".to_owned(), admin)).await.expect("an admin");
    imd.admin().delete("ann", false).await.expect("deleted");
    let group = crate::support::eventually("a new owner", async || {
        let group = cleo.group(GroupCall::Get(oslo())).await.expect("the group");
        (group["role"] == "OWNER").then_some(group)
    })
    .await;
    assert_eq!(group["member_count"], json!(2));
    let entries = seen(&ben, 5).await;
    assert_eq!(words(&entries)[3..], ["ann LEFT", "cleo ROLE_CHANGED"]);
}

async fn a_dissolved_group_takes_nothing_more_and_is_kept_by_who_has_it(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    ann.send(&text("to be kept")).await.expect("sent");
    let refused = ben.group(GroupCall::Dissolve(oslo())).await.expect_err("a member");
    assert_eq!(refused.code, "group_role_needed");
    ann.group(GroupCall::Dissolve(oslo())).await.expect("dissolved");
    for (who, refused) in [
        ("ann", ann.send(&text("too late")).await.expect_err("dissolved")),
        ("ben", ben.send(&text("too late")).await.expect_err("dissolved")),
    ] {
        assert_eq!(refused.code, "group_not_found", "{who}");
    }
    assert_eq!(words(&seen(&ben, 4).await)[2..], ["to be kept", "dissolved"]);
    let history = ben.history(super::IN_OSLO, 0, "").await.expect("a page");
    assert_eq!(history.entries.len(), 1);
    let again = json!({ "group_id": OSLO, "name": "again" });
    let refused = ann.group(GroupCall::Create(again)).await.expect_err("ids are not given twice");
    assert_eq!(refused.code, "group_exists");
}

async fn i13_changes_and_messages_stand_in_one_order(imd: Cluster) {
    let [ann, ben, cleo] = group_of(&imd, ["ann", "ben", "cleo"]).await;
    imd.user("dan").await;
    ben.send(&text("one")).await.expect("sent");
    ann.group(GroupCall::Add(oslo(), "dan".to_owned())).await.expect("added");
    cleo.send(&text("two")).await.expect("sent");
    ann.group(GroupCall::Remove(oslo(), "dan".to_owned())).await.expect("removed");
    ben.send(&text("three")).await.expect("sent");
    let due = ["one", "dan JOINED", "two", "dan REMOVED", "three"];
    for member in [&ann, &ben, &cleo] {
        let entries = seen(member, 7).await;
        assert_eq!(words(&entries)[2..], due, "{}", member.user_id);
        let by = entries.iter().filter_map(|entry| match &entry.kind {
            Kind::MemberChanged(change) => Some(change.by.as_str()),
            _ => None,
        });
        assert!(by.into_iter().all(|by| by == "ann"));
    }
}
