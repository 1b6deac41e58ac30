//! What is refused, by the field or the code that says why.

use serde_json::json;

use super::{OSLO, group_of, oslo, text};
use crate::support::{
    api::{GroupCall, Outgoing},
    cluster::Cluster,
    on_both_transports, on_every_transport,
};

on_every_transport! {
    who_is_no_member_writes_nothing,
    mentions_are_of_members_and_in_groups,
}

on_both_transports! {
    a_bad_group_names_its_field,
    a_group_has_no_more_members_than_it_may,
    nobody_changes_whom_is_as_high_as_oneself,
    who_is_no_member_may_nothing,
    who_blocks_is_not_added,
}

async fn who_is_no_member_writes_nothing(imd: Cluster) {
    let [ann, _ben] = group_of(&imd, ["ann", "ben"]).await;
    let cleo = imd.user_with_phone("cleo").await;
    let refused = cleo.send(&text("let me in")).await.expect_err("no member");
    assert_eq!(refused.code, "not_a_member");
    let refused = ann.send(&Outgoing::text("group:nowhere", "hello")).await.expect_err("no group");
    assert_eq!(refused.code, "group_not_found");
    let refused = ann.send(&Outgoing::text("group:no where", "hello")).await.expect_err("no id");
    assert_eq!(refused.field(), "to.group_id");
}

async fn mentions_are_of_members_and_in_groups(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    imd.user("cleo").await;
    let mention = |user: &str| Outgoing { mentions: vec![user.to_owned()], ..text("@") };
    for nobody in ["cleo", "nobody", "not an id"] {
        let refused = ann.send(&mention(nobody)).await.expect_err(nobody);
        assert_eq!(refused.field(), "mentions", "{nobody}");
    }
    let to_user = Outgoing { to: Some("ben".to_owned()), ..mention("ben") };
    assert_eq!(ann.send(&to_user).await.expect_err("no group").field(), "mentions");
    let all = Outgoing { mention_all: true, ..text("@all") };
    assert_eq!(ben.send(&all).await.expect_err("a member").code, "group_role_needed");
    ann.send(&all).await.expect("the owner may");
}

async fn a_bad_group_names_its_field(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user("ben").await;
    let bad = [
        ("name", json!({ "name": "" })),
        ("name", json!({ "name": "   " })),
        ("name", json!({ "name": "x".repeat(65) })),
        ("name", json!({ "name": "two\nlines" })),
        ("group_id", json!({ "name": "x", "group_id": "no id" })),
        ("member_ids", json!({ "name": "x", "member_ids": ["ben", "ben"] })),
        ("member_ids", json!({ "name": "x", "member_ids": ["ann"] })),
        ("member_ids", json!({ "name": "x", "member_ids": ["no id"] })),
        ("history", json!({ "name": "x", "history": -1 })),
        ("history", json!({ "name": "x", "history": 1001 })),
        ("attributes", json!({ "name": "x", "attributes": { "a": "x".repeat(4096) } })),
    ];
    for (field, group) in bad {
        let refused = ann.group(GroupCall::Create(group.clone())).await.expect_err(field);
        assert_eq!(refused.field(), field, "{group}");
    }
    let stranger = json!({ "name": "x", "member_ids": ["nobody"] });
    let refused = ann.group(GroupCall::Create(stranger)).await.expect_err("nobody");
    assert_eq!(refused.code, "user_not_found");
    assert_eq!(ann.group(GroupCall::List).await.expect("groups")["groups"], json!([]));
}

async fn a_group_has_no_more_members_than_it_may(imd: Cluster) {
    let (_node, api) = imd.start_node_with(|settings| settings.groups.max_members = 3).await;
    let ann = imd.user_with_phone("ann").await.through(api);
    for user in ["ben", "cleo", "dan"] {
        imd.user(user).await;
    }
    let four = json!({ "name": "x", "member_ids": ["ben", "cleo", "dan"] });
    let refused = ann.group(GroupCall::Create(four)).await.expect_err("one too many");
    assert_eq!(refused.code, "group_full");
    let three = json!({ "group_id": OSLO, "name": "x", "member_ids": ["ben", "cleo"] });
    ann.group(GroupCall::Create(three)).await.expect("as many as may be");
    let refused = ann.group(GroupCall::Add(oslo(), "dan".to_owned())).await.expect_err("full");
    assert_eq!(refused.code, "group_full");
    ann.group(GroupCall::Add(oslo(), "ben".to_owned())).await.expect("is a member already");
}

async fn nobody_changes_whom_is_as_high_as_oneself(imd: Cluster) {
    let [ann, ben, cleo] = group_of(&imd, ["ann", "ben", "cleo"]).await;
    for user in ["ben", "cleo"] {
        let admin = json!({ "role": "ADMIN" });
        ann.group(GroupCall::UpdateMember(oslo(), user.to_owned(), admin)).await.expect("an admin");
    }
    for whom in ["ann", "cleo"] {
        let refused = ben.group(GroupCall::Remove(oslo(), whom.to_owned())).await.expect_err(whom);
        assert_eq!(refused.code, "group_role_needed", "{whom}");
        let mute = json!({ "muted_until": "2100-01-01T00:00:00Z" });
        let mute = GroupCall::UpdateMember(oslo(), whom.to_owned(), mute);
        assert_eq!(ben.group(mute).await.expect_err(whom).code, "group_role_needed", "{whom}");
    }
    let nickname = json!({ "nickname": "Captain" });
    let own = GroupCall::UpdateMember(oslo(), "cleo".to_owned(), nickname);
    cleo.group(own.clone()).await.expect("one's own");
    assert_eq!(ben.group(own).await.expect_err("another's").code, "group_role_needed");
}

async fn who_is_no_member_may_nothing(imd: Cluster) {
    let [_ann, _ben] = group_of(&imd, ["ann", "ben"]).await;
    let cleo = imd.user_with_phone("cleo").await;
    let ben = || "ben".to_owned();
    for call in [
        GroupCall::Update(oslo(), json!({ "name": "mine" })),
        GroupCall::Dissolve(oslo()),
        GroupCall::Members(oslo()),
        GroupCall::Add(oslo(), "cleo".to_owned()),
        GroupCall::Remove(oslo(), ben()),
        GroupCall::UpdateMember(oslo(), ben(), json!({ "role": "MEMBER" })),
        GroupCall::Leave(oslo()),
        GroupCall::Requests(oslo()),
        GroupCall::Answer(oslo(), ben(), true),
    ] {
        let refused = cleo.group(call.clone()).await.expect_err("no member");
        assert_eq!(refused.code, "not_a_member", "{call:?}");
    }
}

async fn who_blocks_is_not_added(imd: Cluster) {
    let [ann, _ben] = group_of(&imd, ["ann", "ben"]).await;
    let cleo = imd.user_with_phone("cleo").await;
    cleo.block("ann").await.expect("blocked");
    let refused = ann.group(GroupCall::Add(oslo(), "cleo".to_owned())).await.expect_err("blocks");
    assert_eq!(refused.code, "blocked");
    let group = json!({ "name": "x", "member_ids": ["cleo"] });
    assert_eq!(ann.group(GroupCall::Create(group)).await.expect_err("blocks").code, "blocked");
}
