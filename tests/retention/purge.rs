//! The purge: what goes, what stays, and what it does not disturb.

use std::time::Duration;

use futures::future::join;
use imd::config::Settings;
use imd_proto::v1::PurgeResponse;

use super::{DAY, age, age_limits, seqs};
use crate::support::{
    admin::tier, api::Transport, cluster::Cluster, eventually, node::Node, on_both_transports,
    postgres::Database, terminal::Terminal,
};

on_both_transports! {
    what_has_been_purged_never_comes_back,
    an_emptied_timeline_goes_on_where_it_was,
    i8_what_its_owner_had_deleted_is_no_history_lost,
}

/// A cluster that purges at once what is hidden.
async fn impatient(transport: Transport) -> Cluster {
    let database = Database::create().await;
    let node = Node::start_with(&database, |settings| {
        settings.retention.purge_after = Duration::ZERO;
    })
    .await;
    Cluster::of(transport, database, node)
}

/// A user with a login and `messages` messages to itself.
async fn user_with_messages(imd: &Cluster, user_id: &str, messages: usize) -> Terminal {
    let terminal = imd.user_with_phone(user_id).await;
    terminal.say_at_once(user_id, (0..messages).map(|n| n.to_string())).await;
    terminal
}

/// How many entries of a user's timeline have not been purged.
pub(super) async fn rows(imd: &Cluster, user_id: &str) -> i64 {
    let sql = imd.database.sql().await;
    let count =
        "SELECT count(*) FROM entries JOIN timelines USING (owner) JOIN users ON user_no = owner
                 WHERE user_id = $1 AND seq > purged_to";
    sql.query_one(count, &[&user_id]).await.expect("a number").get(0)
}

fn deleted(progress: &PurgeResponse) -> (i64, i64) {
    (progress.timelines_purged, progress.entries)
}

#[tokio::test]
async fn only_what_has_been_hidden_for_long_enough_goes() {
    let imd = Cluster::start(Transport::Grpc).await;
    let admin = imd.admin();
    let ann = user_with_messages(&imd, "ann", 19).await;
    age(&imd).await;
    admin.apply_tiers(vec![tier("free", Some(3 * DAY), None)]).await.expect("a tier");
    admin.set_tier("ann", "free").await.expect("the user's tier");
    assert_eq!(ann.pull("").await.expect("the timeline").state.floor, 18);
    assert_eq!(deleted(&admin.purge().await.expect("a purge")), (0, 0), "the limits are young");

    age_limits(&imd).await;
    let done = admin.purge().await.expect("a purge");
    assert_eq!(deleted(&done), (1, 10), "7 days after they were hidden, at 3 days of age");
    assert_eq!((done.timelines, done.timelines_seen), (1, 1));
    assert_eq!(rows(&imd, "ann").await, 10);
    assert_eq!(deleted(&admin.purge().await.expect("a purge")), (0, 0), "all of it is done");
    admin.set_tier("ann", "unlimited").await.expect("an upgrade in time");
    let pulled = ann.pull("").await.expect("the timeline");
    assert_eq!(seqs(&pulled.entries), (11..=20).collect::<Vec<_>>());
    assert_eq!(pulled.state.floor, 11);
}

#[tokio::test]
async fn a_limit_on_messages_purges_what_it_hid_then() {
    let imd = Cluster::start(Transport::Grpc).await;
    let admin = imd.admin();
    // A login and 19 messages; 13 entries are older than 7 days, 12 of them messages.
    let ann = user_with_messages(&imd, "ann", 19).await;
    age(&imd).await;
    admin.set_limits("ann", None, Some(4)).await.expect("limits of her own");
    age_limits(&imd).await;
    assert_eq!(ann.pull("").await.expect("the timeline").state.floor, 17);
    let done = admin.purge().await.expect("a purge");
    assert_eq!(deleted(&done), (1, 9), "of the 12 messages there were then, four could be seen");
    assert_eq!(rows(&imd, "ann").await, 11);
}

#[tokio::test]
async fn a_tier_change_under_way_is_never_missed() {
    let imd = impatient(Transport::Grpc).await;
    let admin = imd.admin();
    let ann = user_with_messages(&imd, "ann", 3_000).await;
    admin.set_limits("ann", None, Some(0)).await.expect("she may see nothing");
    let mut steps = admin.start_purge().await.expect("a purge");
    while steps.message().await.expect("a step").expect("it is at work").entries == 0 {}
    admin.set_tier("ann", "unlimited").await.expect("she may see all");
    let floor = ann.pull("").await.expect("the timeline").state.floor;
    let left = 3_002 - floor;
    assert!(left > 0, "the purge was still at work");
    while steps.message().await.expect("a step").is_some() {}
    assert_eq!(ann.pull("").await.expect("the timeline").state.floor, floor);
    assert_eq!(rows(&imd, "ann").await, left);
}

#[tokio::test]
async fn sends_go_on_beside_a_purge() {
    let imd = impatient(Transport::Grpc).await;
    let ann = user_with_messages(&imd, "ann", 2_000).await;
    imd.admin().set_limits("ann", None, Some(100)).await.expect("limits");
    let mut feed = ann.follow("now").await;
    let sending = ann.say_at_once("ann", (0..500).map(|n| format!("beside {n}")));
    let admin = imd.admin();
    let (purged, sent) = join(admin.purge(), sending).await;
    assert!(purged.expect("a purge").entries >= 1_900);
    let told = feed.entries(500).await;
    assert_eq!(seqs(&told), (2_002..=2_501).collect::<Vec<_>>());
    assert_eq!(sent.len(), 500);
    admin.purge().await.expect("the rest");
    assert_eq!(rows(&imd, "ann").await, 100);
    let page = ann.pull("").await.expect("the timeline");
    assert_eq!(seqs(&page.entries), (2_402..=2_501).collect::<Vec<_>>());
}

#[tokio::test]
async fn one_node_purges_at_a_time() {
    let imd = impatient(Transport::Grpc).await;
    let (node, _) = imd.start_node().await;
    user_with_messages(&imd, "ann", 3_000).await;
    imd.admin().set_limits("ann", None, Some(0)).await.expect("limits");
    let mut steps = imd.admin().start_purge().await.expect("a purge");
    steps.message().await.expect("a step");
    assert_eq!(node.admin().purge().await.expect_err("the other's turn").code, "purge_running");
    drop(steps);
    let turn = eventually("the turn is given back", async || node.admin().purge().await.ok()).await;
    assert!(turn.entries <= 3_001);
}

async fn what_has_been_purged_never_comes_back(imd: Cluster) {
    let imd = restarted_impatient(imd).await;
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    for n in 2..=10 {
        ann.say("bob", &n.to_string()).await;
    }
    ann.say("ann", "a note, the newest").await;
    imd.admin().set_limits("ann", None, Some(4)).await.expect("limits");
    assert_eq!(deleted(&imd.admin().purge().await.expect("a purge")), (1, 7));
    imd.admin().set_tier("ann", "unlimited").await.expect("no limit any more");

    let pulled = ann.pull("").await.expect("the timeline");
    assert_eq!((seqs(&pulled.entries), pulled.state.floor), (vec![8, 9, 10, 11], 8));
    let first = ann.history("bob", 2, "").await.expect("a page");
    assert_eq!(seqs(&first.entries), [10, 9]);
    let last = ann.history("bob", 2, &first.next_page_token).await.expect("a page");
    assert_eq!((seqs(&last.entries), last.end.as_deref()), (vec![8], Some("RETENTION_LIMIT")));
    let notes = ann.history("ann", 0, "").await.expect("a page");
    assert_eq!((seqs(&notes.entries), notes.end.as_deref()), (vec![11], Some("BEGINNING")));
    let bob = imd.log_in("bob", "phone", "p").await;
    assert_eq!(
        bob.history("ann", 0, "").await.expect("a page").entries.len(),
        9,
        "his copies stay"
    );
}

async fn an_emptied_timeline_goes_on_where_it_was(imd: Cluster) {
    let imd = restarted_impatient(imd).await;
    let ann = user_with_messages(&imd, "ann", 5).await;
    let before = ann.pull("").await.expect("the timeline");
    imd.admin().set_limits("ann", None, Some(0)).await.expect("limits");
    assert_eq!(deleted(&imd.admin().purge().await.expect("a purge")), (1, 6));
    assert_eq!(rows(&imd, "ann").await, 0);
    imd.admin().set_tier("ann", "unlimited").await.expect("no limit any more");

    let emptied = ann.pull("").await.expect("the timeline");
    assert_eq!((emptied.entries.len(), emptied.state.floor, emptied.state.last_seq), (0, 7, 6));
    let mut feed = ann.follow(&before.next_after).await;
    let sent = ann.say("ann", "after it").await;
    assert_eq!(sent.seq, 7);
    assert_eq!(feed.entry().await.seq, 7);
    let pulled = ann.pull(&before.next_after).await.expect("the timeline");
    assert_eq!(pulled.state.epoch, before.state.epoch);
    assert_eq!((pulled.history_truncated, seqs(&pulled.entries)), (None, vec![7]));
    imd.admin().set_limits("ann", None, Some(1)).await.expect("limits");
    ann.say("ann", "one more").await;
    assert_eq!(ann.pull("").await.expect("the timeline").state.floor, 8, "the count goes on, too");
}

async fn i8_what_its_owner_had_deleted_is_no_history_lost(imd: Cluster) {
    let imd = restarted_impatient(imd).await;
    let ann = imd.user_with_phone("ann").await;
    imd.users(["bob", "carol"]).await;
    let sent = ann.say("bob", "never mind").await;
    ann.mark_read("bob", sent.seq).await.expect("marked");
    ann.delete("bob", sent.seq).await.expect("deleted");
    ann.say("carol", "hello").await;
    imd.admin().set_limits("ann", None, Some(0)).await.expect("limits");
    assert_eq!(deleted(&imd.admin().purge().await.expect("a purge")), (1, 5));
    imd.admin().set_tier("ann", "unlimited").await.expect("no limit any more");
    for (peer, end) in [("bob", "BEGINNING"), ("carol", "RETENTION_LIMIT")] {
        let page = ann.history(peer, 0, "").await.expect("a page");
        assert_eq!((page.entries.len(), page.end.as_deref()), (0, Some(end)), "{peer}");
    }
}

/// The cluster with a node that purges at once in the place of its own.
pub(super) async fn restarted_impatient(imd: Cluster) -> Cluster {
    // Boxed: it starts a node, which is large.
    Box::pin(restarted(imd, |settings| settings.retention.purge_after = Duration::ZERO)).await
}

/// The cluster with a node of other settings in the place of its own.
pub(super) async fn restarted(imd: Cluster, change: impl FnOnce(&mut Settings)) -> Cluster {
    let Cluster { transport, node, database, .. } = imd;
    node.stop().await;
    let node = Node::start_with(&database, change).await;
    Cluster::of(transport, database, node)
}

#[tokio::test]
async fn sessions_that_ended_long_ago_and_old_records_of_the_audit_go() {
    let imd = Cluster::start(Transport::Grpc).await;
    let (admin, sql) = (imd.admin(), imd.database.sql().await);
    let ann = imd.user_with_phone("ann").await;
    let lately = imd.log_in("ann", "pc", "desk").await;
    let live = imd.log_in("ann", "pad", "couch").await;
    for ended in [&ann, &lately] {
        imd.api.logout(&ended.token).await.expect("it was live");
    }
    let old = "UPDATE sessions SET ended_at = ended_at - interval '31 days'
        WHERE terminal_type = 'phone'";
    sql.execute(old, &[]).await.expect("a session of last month");
    admin.create_user("bob", "a password of bob's").await.expect("a user");
    let old = "UPDATE audit SET at = at - interval '366 days' WHERE actor = 'tests'";
    assert_eq!(sql.execute(old, &[]).await.expect("a record of last year"), 1);

    admin.purge().await.expect("a purge");
    let count = "SELECT count(*) FROM sessions";
    let left: i64 = sql.query_one(count, &[]).await.expect("a number").get(0);
    assert_eq!(left, 2, "the live one and the one that ended lately");
    // What is forgotten is still no good.
    assert_eq!(ann.sessions().await.expect_err("ended").code, "invalid_token");
    let refused = imd.api.refresh(&ann.refresh_token).await.expect_err("ended");
    assert_eq!(refused.code, "invalid_token");
    assert_eq!(lately.sessions().await.expect_err("ended").end_reason(), "LOGGED_OUT");
    live.sessions().await.expect("it is live");
    let records = admin.audit("", 100, "").await.expect("records").records;
    assert!(records.iter().any(|record| record.action == "create_user"));
    assert!(records.iter().all(|record| record.actor != "tests"), "{records:?}");
}
