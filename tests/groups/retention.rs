//! What becomes of groups' timelines when members' tiers hide what refers to them.

use std::time::Duration;

use imd::config::Settings;
use serde_json::json;

use super::{IN_OSLO, OSLO, create, group_of, oslo, seen, text, texts, words};
use crate::support::{
    admin::{Admin, tier},
    api::{GroupCall, Outgoing, Transport},
    cluster::Cluster,
    eventually,
    node::Node,
    terminal::Terminal,
};

/// A node that purges at once what is hidden.
async fn impatient(imd: &Cluster) -> (Node, Admin) {
    let at_once = |settings: &mut Settings| settings.retention.purge_after = Duration::ZERO;
    let (node, _) = imd.start_node_with(at_once).await;
    let admin = node.admin();
    (node, admin)
}

/// The places of the group's timeline that are left.
async fn homes(imd: &Cluster) -> Vec<i64> {
    let places = "SELECT seq FROM entries JOIN groups ON owner = -group_no
         WHERE group_id = 'oslo' ORDER BY seq";
    let rows = imd.database.sql().await.query(places, &[]).await.expect("the places");
    rows.iter().map(|row| row.get(0)).collect()
}

async fn read(terminal: &Terminal) -> Vec<String> {
    texts(&terminal.history(IN_OSLO, 0, "").await.expect("a page").entries)
}

#[tokio::test]
async fn a_home_goes_when_no_timeline_refers_to_it_any_more() {
    let imd = Cluster::start(Transport::Grpc).await;
    let [ann, ben, cleo] = group_of(&imd, ["ann", "ben", "cleo"]).await;
    let (_node, admin) = impatient(&imd).await;
    for n in 3..=8 {
        ann.send(&text(&n.to_string())).await.expect("sent");
    }
    for member in [&ann, &ben, &cleo] {
        seen(member, 8).await;
    }
    admin.set_limits("ann", None, Some(1)).await.expect("limits");
    admin.set_limits("ben", None, Some(3)).await.expect("limits");
    let done = admin.purge().await.expect("a purge");
    assert_eq!(homes(&imd).await, (1..=8).collect::<Vec<_>>(), "one member has all of it");
    assert_eq!((done.timelines, done.timelines_seen), (4, 4), "three members and the group");
    assert_eq!(read(&cleo).await.len(), 6);

    // Who is removed keeps what it has.
    ann.group(GroupCall::Remove(oslo(), "cleo".to_owned())).await.expect("removed");
    admin.set_limits("cleo", None, Some(2)).await.expect("limits");
    seen(&ann, 2).await;
    let purged_of_members = seen_by(&imd, "ann").await + seen_by(&imd, "cleo").await;
    let done = admin.purge().await.expect("a purge");
    let purged_now = purged_of_members - seen_by(&imd, "ann").await - seen_by(&imd, "cleo").await;
    assert_eq!(homes(&imd).await, [6, 7, 8, 9], "ben has the last three, and cleo two of them");
    assert_eq!(done.entries, purged_now + 5, "the group's entries count, too");
    assert_eq!(read(&ben).await, ["8", "7", "6"]);
    assert_eq!(read(&cleo).await, ["8", "7"]);

    // It goes on where it was; who joins is shown what there is.
    ann.group(GroupCall::Update(oslo(), json!({ "history": 100 }))).await.expect("changed");
    ann.send(&text("news")).await.expect("sent");
    eventually("the news", async || (read(&ben).await == ["news", "8", "7"]).then_some(())).await;
    assert_eq!(words(&seen(&ben, 5).await)[2..], ["cleo REMOVED", "version 2", "news"]);
    imd.user("dan").await;
    ann.group(GroupCall::Add(oslo(), "dan".to_owned())).await.expect("added");
    let dan = imd.log_in("dan", "phone", "new").await;
    assert_eq!(read(&dan).await, ["news", "8", "7", "6"]);
}

/// How many entries a user's timeline has.
async fn seen_by(imd: &Cluster, user_id: &str) -> i64 {
    let count = "SELECT count(*) FROM entries JOIN users ON user_no = owner WHERE user_id = $1";
    imd.database.sql().await.query_one(count, &[&user_id]).await.expect("a count").get(0)
}

#[tokio::test]
async fn who_comes_back_keeps_what_it_had_before() {
    let imd = Cluster::start(Transport::Grpc).await;
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let (_node, admin) = impatient(&imd).await;
    ann.send(&text("old")).await.expect("sent");
    seen(&ben, 3).await;
    ben.group(GroupCall::Leave(oslo())).await.expect("left");
    ann.send(&text("behind the back")).await.expect("sent");
    ann.group(GroupCall::Add(oslo(), "ben".to_owned())).await.expect("added");
    ann.send(&text("new")).await.expect("sent");
    admin.set_limits("ann", None, Some(1)).await.expect("limits");
    admin.purge().await.expect("a purge");
    seen(&ben, 6).await;
    assert_eq!(read(&ben).await, ["new", "old"]);
    admin.set_limits("ben", None, Some(1)).await.expect("limits");
    admin.purge().await.expect("a purge");
    assert_eq!(homes(&imd).await, [7], "nobody refers to the rest");
    assert_eq!(read(&ben).await, ["new"]);
}

#[tokio::test]
async fn a_preview_and_a_limit_count_a_members_references() {
    let imd = Cluster::start(Transport::Grpc).await;
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    for n in 0..6 {
        ann.send(&text(&n.to_string())).await.expect("sent");
    }
    seen(&ben, 8).await;
    let admin = imd.admin();
    admin.apply_tiers(vec![tier("small", None, None)]).await.expect("a tier");
    admin.set_tier("ben", "small").await.expect("a tier");
    let preview = admin.preview_tiers(vec![tier("small", None, Some(2))]).await.expect("a preview");
    // A login, two changes of the group and four of the six messages.
    assert_eq!((preview[0].users_losing, preview[0].entries_hidden), (1, 7));
    admin.apply_tiers(vec![tier("small", None, Some(2))]).await.expect("applied");
    assert_eq!(read(&ben).await, ["5", "4"]);
    assert_eq!(read(&ann).await.len(), 6);
    let page = ben.history(IN_OSLO, 0, "").await.expect("a page");
    assert_eq!(page.end.as_deref(), Some("RETENTION_LIMIT"));
}

#[tokio::test]
async fn a_dissolved_group_goes_in_the_end_and_its_id_stays_taken() {
    let imd = Cluster::start(Transport::Grpc).await;
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let (_node, admin) = impatient(&imd).await;
    ann.send(&text("the end is near")).await.expect("sent");
    ann.group(GroupCall::Dissolve(oslo())).await.expect("dissolved");
    assert_eq!(words(&seen(&ben, 4).await)[3], "dissolved");
    admin.purge().await.expect("a purge");
    assert_eq!(homes(&imd).await.len(), 4);
    assert_eq!(read(&ben).await, ["the end is near"], "members keep what they have");
    // One by her account, the other by a limit.
    admin.delete("ann", false).await.expect("deleted");
    admin.set_limits("ben", None, Some(0)).await.expect("limits");
    admin.purge().await.expect("a purge");
    let left = "SELECT (SELECT count(*) FROM timelines WHERE owner < 0)
         + (SELECT count(*) FROM entries WHERE owner < 0)
         + (SELECT count(*) FROM group_members)";
    let left: i64 = imd.database.sql().await.query_one(left, &[]).await.expect("a count").get(0);
    assert_eq!(left, 0);
    let refused = ben.send(&text("hello?")).await.expect_err("no such group");
    assert_eq!(refused.code, "group_not_found");
    let again = json!({ "group_id": OSLO, "name": "another" });
    let refused = ben.group(GroupCall::Create(again)).await.expect_err("taken");
    assert_eq!(refused.code, "group_exists");
}

#[tokio::test]
async fn a_recall_whose_home_is_purged_is_refused_and_sends_go_on() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    create(&ann, &[]).await;
    let (_node, admin) = impatient(&imd).await;
    let old = ann.send(&Outgoing::text(IN_OSLO, "old")).await.expect("sent");
    ann.send(&text("new")).await.expect("sent");
    admin.set_limits("ann", None, Some(1)).await.expect("limits");
    admin.purge().await.expect("a purge");
    assert_eq!(homes(&imd).await, [4]);
    let refused = ann.recall(&old.message_id).await.expect_err("it is gone");
    assert_eq!(refused.code, "message_not_found");
    ann.send(&text("newer")).await.expect("sent");
    eventually("the newest", async || (read(&ann).await == ["newer"]).then_some(())).await;
}
