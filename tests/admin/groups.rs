//! Groups as administrators see and change them.

use imd_proto::v1::{self, GroupRole, JoinRule};
use prost_types::Timestamp;

use crate::support::{
    admin::Admin,
    api::{Outgoing, Transport},
    cluster::Cluster,
    feed::Feed,
    node::ADMIN_KEY,
};

fn new_group(group_id: &str, members: &[&str]) -> v1::CreateGroupRequest {
    v1::CreateGroupRequest {
        group_id: group_id.to_owned(),
        name: "The team".to_owned(),
        member_ids: members.iter().map(|id| (*id).to_owned()).collect(),
        ..Default::default()
    }
}

async fn team() -> (Cluster, Admin) {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.users(["ann", "ben", "cleo", "dora"]).await;
    let admin = imd.admin();
    admin.create_group("ann", new_group("team", &["ben"])).await.expect("a group");
    (imd, admin)
}

/// The members of the group `team`, with their roles.
async fn members(admin: &Admin) -> Vec<(String, GroupRole)> {
    let page = admin.group_members("team", 0, "").await.expect("the members");
    page.members.iter().map(|member| (member.user_id.clone(), member.role())).collect()
}

/// The text of the next message.
async fn next_text(feed: &mut Feed) -> String {
    loop {
        let entry = feed.entry().await;
        if entry.as_message().is_some() {
            return entry.text().to_owned();
        }
    }
}

fn change(user_id: &str) -> v1::UpdateGroupMemberRequest {
    v1::UpdateGroupMemberRequest {
        group_id: "team".to_owned(),
        user_id: user_id.to_owned(),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_group_is_made_for_its_owner_and_its_members_can_talk() {
    let (imd, admin) = team().await;
    let made = admin.group("team").await.expect("the group");
    let group = made.group.expect("a group");
    assert_eq!((made.owner_id.as_str(), made.dissolved), ("ann", false));
    assert_eq!((group.name.as_str(), group.member_count, group.version), ("The team", 2, 1));
    assert_eq!(group.join(), JoinRule::Invite);

    let ann = imd.log_in("ann", "phone", "p").await;
    let ben = imd.log_in("ben", "phone", "p").await;
    let mut feed = ben.follow("").await;
    ann.send(&Outgoing::text("group:team", "hello")).await.expect("sent");
    assert_eq!(next_text(&mut feed).await, "hello");

    // An administrator's members are told, and what they get begins there.
    let added = admin.add_group_members("team", &["ben", "cleo"]).await.expect("added");
    assert_eq!(added, ["cleo"], "ben was one before");
    ann.send(&Outgoing::text("group:team", "welcome")).await.expect("sent");
    let cleo = imd.log_in("cleo", "phone", "p").await;
    let mut feed = cleo.follow("").await;
    assert_eq!(next_text(&mut feed).await, "welcome", "what was said before is not shown");
}

#[tokio::test]
async fn an_administrator_may_do_what_the_owner_may_and_more() {
    let (imd, admin) = team().await;
    let ann = imd.log_in("ann", "phone", "p").await;
    let admin_role = v1::UpdateGroupMemberRequest {
        role: Some(GroupRole::Owner.into()),
        nickname: Some("Benny".to_owned()),
        ..change("ben")
    };
    admin.set_group_member(admin_role).await.expect("handed on");
    let expected = [("ann".to_owned(), GroupRole::Admin), ("ben".to_owned(), GroupRole::Owner)];
    assert_eq!(members(&admin).await, expected);
    assert_eq!(admin.group("team").await.expect("the group").owner_id, "ben");

    // Neither admin nor owner is beyond an administrator.
    for user_id in ["ann", "ben"] {
        let far = Some(Timestamp { seconds: 4_000_000_000, nanos: 0 });
        let mute = v1::UpdateGroupMemberRequest { muted_until: far, ..change(user_id) };
        admin.set_group_member(mute).await.expect("muted");
    }
    let muted = ann.send(&Outgoing::text("group:team", "hello")).await.expect_err("muted");
    assert_eq!(muted.code, "muted");
    let past = Some(Timestamp { seconds: 1, nanos: 0 });
    let unmute = v1::UpdateGroupMemberRequest { muted_until: past, ..change("ann") };
    admin.set_group_member(unmute).await.expect("unmuted");
    ann.send(&Outgoing::text("group:team", "hello")).await.expect("sent");

    let stays = admin.remove_group_member("team", "ben").await.expect_err("the owner");
    assert_eq!(stays.code, "owner_must_stay");
    admin.remove_group_member("team", "ann").await.expect("removed");
    let gone = ann.send(&Outgoing::text("group:team", "hello")).await.expect_err("removed");
    assert_eq!(gone.code, "not_a_member");

    let renamed = v1::UpdateGroupRequest {
        group_id: "team".to_owned(),
        name: Some("The old team".to_owned()),
        muted: Some(true),
        ..Default::default()
    };
    let changed = admin.update_group(renamed.clone()).await.expect("changed");
    let group = changed.group.expect("a group");
    assert_eq!((group.name.as_str(), group.muted, group.version), ("The old team", true, 2));
    let stale = v1::UpdateGroupRequest { version: Some(1), ..renamed };
    assert_eq!(admin.update_group(stale).await.expect_err("stale").code, "version_conflict");

    admin.dissolve_group("team").await.expect("dissolved");
    assert!(admin.group("team").await.expect("what is left").dissolved);
    assert_eq!(admin.dissolve_group("team").await.expect_err("done").code, "group_not_found");
}

#[tokio::test]
async fn what_is_wrong_with_a_group_names_the_field() {
    let (_imd, admin) = team().await;
    let nobody = admin.create_group("nobody", new_group("x", &[])).await.expect_err("no owner");
    assert_eq!(nobody.code, "user_not_found");
    let unknown = admin.create_group("ann", new_group("x", &["nobody"])).await;
    assert_eq!(unknown.expect_err("no member").code, "user_not_found");
    let taken = admin.create_group("ann", new_group("team", &[])).await.expect_err("taken");
    assert_eq!(taken.code, "group_exists");
    let unnamed = v1::CreateGroupRequest { name: " ".to_owned(), ..new_group("x", &[]) };
    for (field, wrong) in [
        ("owner_id", admin.create_group("a b", new_group("x", &[])).await.map(drop)),
        ("group_id", admin.create_group("ann", new_group("a b", &[])).await.map(drop)),
        ("name", admin.create_group("ann", unnamed).await.map(drop)),
        ("member_ids", admin.create_group("ann", new_group("x", &["ann"])).await.map(drop)),
        ("user_ids", admin.add_group_members("team", &[]).await.map(drop)),
        ("user_ids", admin.add_group_members("team", &["dora", "dora"]).await.map(drop)),
        ("role", admin.set_group_member(change("ben")).await),
        ("group_id", admin.group("").await.map(drop)),
        ("page_size", admin.groups("", -1, "").await.map(drop)),
        ("page_token", admin.groups("", 0, "x").await.map(drop)),
    ] {
        assert_eq!(wrong.expect_err(field).field(), field);
    }
    let stranger = admin.remove_group_member("team", "dora").await.expect_err("no member");
    assert_eq!(stranger.code, "member_not_found");
    let unknown = admin.groups("nobody", 0, "").await.expect_err("no user");
    assert_eq!(unknown.code, "user_not_found");

    let misspelt = admin.group("taem").await.expect_err("misspelt");
    assert_eq!(misspelt.code, "group_not_found");
    assert_eq!(misspelt.message, "there is no group taem; did you mean \"team\"?");
}

#[tokio::test]
async fn groups_and_members_are_paged() {
    let (_imd, admin) = team().await;
    for (group_id, owner) in [("b", "ben"), ("a", "cleo"), ("c", "ann")] {
        admin.create_group(owner, new_group(group_id, &[])).await.expect("a group");
    }
    admin.dissolve_group("a").await.expect("dissolved");
    for (user_id, expected) in
        [("", &["team ann", "b ben", "a cleo", "c ann"][..]), ("ann", &["team ann", "c ann"])]
    {
        for size in [1, 3, 0] {
            let (mut all, mut token) = (Vec::new(), String::new());
            loop {
                let page = admin.groups(user_id, size, &token).await.expect("a page");
                all.extend(page.groups.into_iter().map(|found| {
                    format!("{} {}", found.group.expect("a group").group_id, found.owner_id)
                }));
                token = page.next_page_token;
                if token.is_empty() {
                    break;
                }
            }
            assert_eq!(all, expected, "{user_id} by {size}");
        }
    }
    let first = admin.group_members("team", 1, "").await.expect("a page");
    let next = admin.group_members("team", 1, &first.next_page_token).await.expect("a page");
    assert_eq!((&*first.members[0].user_id, &*next.members[0].user_id), ("ann", "ben"));
    assert_eq!(next.next_page_token, "");
}

#[tokio::test]
async fn what_administrators_do_to_groups_is_recorded() {
    let (imd, admin) = team().await;
    let because = Admin::because(imd.node.admin_address(), ADMIN_KEY, b"a report");
    because.remove_group_member("team", "ben").await.expect("removed");
    because.dissolve_group("team").await.expect("dissolved");
    let records = admin.audit("", 3, "").await.expect("the records").records;
    let told: Vec<_> =
        records.iter().map(|r| (&*r.action, &*r.user_id, &*r.details, &*r.reason)).collect();
    assert_eq!(
        told,
        [
            ("dissolve_group", "", r#"{"group_id":"team"}"#, "a report"),
            ("remove_group_member", "ben", r#"{"group_id":"team"}"#, "a report"),
            ("create_group", "ann", r#"{"group_id":"team","members":2}"#, ""),
        ]
    );
}
