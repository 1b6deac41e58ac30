//! Messages to many users at a time.

use imd_proto::v1::{
    AdminSender, Broadcast, BroadcastAudience, BroadcastState, BroadcastUsers,
    CreateBroadcastRequest, admin_sender::From, broadcast_audience::To,
    create_broadcast_request::Content,
};
use serde_json::json;
use uuid::Uuid;

use crate::{
    append::assert_dense,
    support::{
        admin::{Admin, tier},
        api::Transport,
        cluster::Cluster,
        eventually,
        postgres::Database,
        process::{DataFolder, in_time},
        terminal::Terminal,
    },
};

use nix::sys::signal::Signal;

fn news(to: To, text: &str) -> CreateBroadcastRequest {
    CreateBroadcastRequest {
        broadcast_id: Uuid::new_v4().to_string(),
        from: Some(AdminSender { from: Some(From::System("news".to_owned())) }),
        to: Some(BroadcastAudience { to: Some(to) }),
        content: Some(Content::Text(text.to_owned())),
        ..Default::default()
    }
}

fn users(user_ids: &[&str]) -> To {
    To::Users(BroadcastUsers { user_ids: user_ids.iter().map(|&id| id.to_owned()).collect() })
}

/// A broadcast, once it has ended.
async fn ended(admin: &Admin, broadcast_id: &str) -> Broadcast {
    eventually("it ends", async || {
        let broadcast = admin.broadcast(broadcast_id).await.expect("a broadcast");
        broadcast.finished_at.is_some().then_some(broadcast)
    })
    .await
}

async fn make_users(database: &Database, count: i32) {
    let make = "WITH made AS (
            INSERT INTO users (user_id) SELECT 'user-' || n FROM generate_series(1, $1) n RETURNING user_no
        )
        INSERT INTO timelines (owner, epoch) SELECT user_no, 1 FROM made";
    database.sql().await.execute(make, &[&count]).await.expect("users");
}

/// How many users have how many messages of the system's `news`.
async fn received(database: &Database) -> Vec<(i64, i64)> {
    let count = "SELECT messages, count(*) FROM (
            SELECT e.owner, count(*) AS messages FROM entries e
            JOIN users u ON u.user_no = e.sender WHERE u.user_id = 'news' AND e.owner <> e.sender
            GROUP BY e.owner
        ) each GROUP BY messages ORDER BY messages";
    let rows = database.sql().await.query(count, &[]).await.expect("numbers");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test]
async fn all_who_may_log_in_get_a_broadcast_once() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    imd.users(["dan", "eve"]).await;
    let admin = imd.admin();
    admin.disable("dan", "").await.expect("disabled");
    admin.delete("eve", false).await.expect("deleted");
    let mut feed = ann.follow("now").await;

    let asked = CreateBroadcastRequest { silent: true, ..news(To::All(true), "we are back") };
    let (made, duplicate) = admin.create_broadcast(asked.clone()).await.expect("made");
    assert!(!duplicate);
    assert_eq!(
        (made.state(), made.total, made.created_by.as_str()),
        (BroadcastState::Running, 2, "local")
    );
    let entry = feed.entry().await;
    assert_eq!((entry.text(), entry.message().silent), ("we are back", true));
    assert_eq!(entry.message().sender_id, "news");
    let done = ended(&admin, &asked.broadcast_id).await;
    assert_eq!((done.state(), done.sent, done.refused), (BroadcastState::Done, 2, 0));

    let (again, duplicate) = admin.create_broadcast(asked.clone()).await.expect("made before");
    assert!(duplicate && again.state() == BroadcastState::Done);
    let other = CreateBroadcastRequest { silent: false, ..asked.clone() };
    let refused = admin.create_broadcast(other).await.expect_err("another one");
    assert_eq!(refused.code, "broadcast_id_conflict");
    assert_eq!(ben.texts().await, ["we are back"]);
    assert_eq!(received(&imd.database).await, [(1, 2)]);

    let records = admin.audit("", 0, "").await.expect("records").records;
    let made: Vec<_> = records.iter().filter(|r| r.action == "create_broadcast").collect();
    assert_eq!(made.len(), 1);
    let details = json!({
        "broadcast_id": asked.broadcast_id, "from": "news", "to": "all", "rate": 0, "bypass": false,
        "users": 2,
    });
    assert_eq!(made[0].details, details.to_string());
    for change in [
        admin.pause_broadcast(&asked.broadcast_id).await,
        admin.resume_broadcast(&asked.broadcast_id).await,
        admin.abort_broadcast(&asked.broadcast_id).await,
    ] {
        assert_eq!(change.expect_err("it is over").code, "broadcast_ended");
    }
    assert_dense(&imd.database).await;
}

#[tokio::test]
async fn a_broadcast_to_a_tier_goes_to_its_users_alone() {
    let imd = Cluster::start(Transport::Grpc).await;
    let admin = imd.admin();
    admin.apply_tiers(vec![tier("premium", None, None)]).await.expect("a tier");
    admin.create_user_of("premium", "ann", "long enough").await.expect("a user");
    imd.users(["ben"]).await;
    let asked = news(To::Tier("premium".to_owned()), "new in your plan");
    admin.create_broadcast(asked.clone()).await.expect("made");
    let done = ended(&admin, &asked.broadcast_id).await;
    assert_eq!((done.total, done.sent), (1, 1));
    assert_eq!(received(&imd.database).await, [(1, 1)]);
    let refused = admin.create_broadcast(news(To::Tier("gold".to_owned()), "x")).await;
    assert_eq!(refused.expect_err("no tier").code, "tier_not_found");
}

#[tokio::test]
async fn a_broadcast_to_a_list_counts_whom_it_cannot_be_sent_to() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann: Terminal = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    imd.users(["cleo"]).await;
    ben.block("cleo").await.expect("blocked");
    let admin = imd.admin();
    let asked = CreateBroadcastRequest {
        from: Some(AdminSender { from: Some(From::UserId("cleo".to_owned())) }),
        ..news(users(&["ann", "ben", "ann", "nobody", "nowhere"]), "hello")
    };
    admin.create_broadcast(asked.clone()).await.expect("made");
    let done = ended(&admin, &asked.broadcast_id).await;
    assert_eq!((done.total, done.sent, done.refused), (4, 1, 3));
    let refusals: Vec<_> = {
        let mut refusals: Vec<_> = done.refusals.into_iter().collect();
        refusals.sort();
        refusals
    };
    assert_eq!(refusals, [("blocked".to_owned(), 1), ("user_not_found".to_owned(), 2)]);
    assert_eq!(ann.texts().await, ["hello"]);
    let past = CreateBroadcastRequest {
        broadcast_id: Uuid::new_v4().to_string(),
        bypass: true,
        to: Some(BroadcastAudience { to: Some(users(&["ben"])) }),
        ..asked
    };
    admin.create_broadcast(past.clone()).await.expect("made");
    assert_eq!(ended(&admin, &past.broadcast_id).await.sent, 1);
    assert_eq!(ben.texts().await, ["hello"]);
    let kept = "SELECT count(*) FROM broadcast_users";
    let kept = imd.database.sql().await.query_one(kept, &[]).await.expect("n");
    assert_eq!(kept.get::<_, i64>(0), 0, "lists are kept no longer than they are needed");
}

#[tokio::test]
async fn a_broadcast_waits_goes_on_and_ends_when_it_is_told_to() {
    let imd = Cluster::start(Transport::Grpc).await;
    make_users(&imd.database, 60).await;
    let admin = imd.admin();
    let asked = CreateBroadcastRequest { rate: 20, ..news(To::All(true), "slowly") };
    admin.create_broadcast(asked.clone()).await.expect("made");
    let id = asked.broadcast_id.as_str();
    let sent_beyond = async |sent: i64| {
        eventually("it goes on", async || {
            let broadcast = admin.broadcast(id).await.expect("a broadcast");
            (broadcast.sent > sent).then_some(broadcast.sent)
        })
        .await
    };
    sent_beyond(0).await;
    assert_eq!(admin.pause_broadcast(id).await.expect("paused").state(), BroadcastState::Paused);
    // The portion that was on its way is sent, and no other.
    eventually("it stands still", async || {
        let before = admin.broadcast(id).await.expect("a broadcast").sent;
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        (admin.broadcast(id).await.expect("a broadcast").sent == before).then_some(())
    })
    .await;
    let paused = admin.broadcast(id).await.expect("a broadcast");
    assert!(paused.sent < 60 && paused.finished_at.is_none(), "{paused:?}");
    admin.resume_broadcast(id).await.expect("resumed");
    let sent = sent_beyond(paused.sent).await;
    let aborted = admin.abort_broadcast(id).await.expect("aborted");
    assert_eq!(aborted.state(), BroadcastState::Aborted);
    assert!(aborted.finished_at.is_some() && sent < 60);
    let again = admin.abort_broadcast(id).await.expect("it is so already");
    assert_eq!(again.state(), BroadcastState::Aborted);
    assert_eq!(admin.resume_broadcast(id).await.expect_err("over").code, "broadcast_ended");
    let received = received(&imd.database).await;
    assert!(received.len() == 1 && received[0].0 == 1 && received[0].1 < 60, "{received:?}");
}

#[tokio::test]
async fn broadcasts_are_listed_in_pages_the_newest_first() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.users(["ann"]).await;
    let admin = imd.admin();
    let mut made = Vec::new();
    for n in 0..3 {
        let asked = news(users(&["ann"]), &format!("{n}"));
        admin.create_broadcast(asked.clone()).await.expect("made");
        made.insert(0, asked.broadcast_id);
    }
    let first = admin.broadcasts(2, "").await.expect("a page");
    let rest = admin.broadcasts(2, &first.next_page_token).await.expect("a page");
    assert!(rest.next_page_token.is_empty());
    let listed = first.broadcasts.iter().chain(&rest.broadcasts);
    assert_eq!(listed.map(|one| one.broadcast_id.clone()).collect::<Vec<_>>(), made);
    let nowhere = admin.broadcast("nothing").await.expect_err("no id");
    assert_eq!(nowhere.code, "broadcast_not_found");
}

#[tokio::test]
async fn what_is_wrong_with_a_broadcast_is_named() {
    let imd = Cluster::start(Transport::Grpc).await;
    let admin = imd.admin();
    let good = || news(To::All(true), "x");
    for (field, wrong) in [
        ("broadcast_id", CreateBroadcastRequest { broadcast_id: "x".to_owned(), ..good() }),
        ("from", CreateBroadcastRequest { from: None, ..good() }),
        ("to", CreateBroadcastRequest { to: None, ..good() }),
        ("to", news(To::All(false), "x")),
        ("to.user_ids", news(users(&[]), "x")),
        ("to.user_ids", news(users(&["a b"]), "x")),
        ("text", news(To::All(true), "")),
        ("text", CreateBroadcastRequest { content: None, ..good() }),
        ("rate", CreateBroadcastRequest { rate: -1, ..good() }),
    ] {
        let refused = admin.create_broadcast(wrong).await.expect_err(field);
        assert_eq!(refused.field(), field);
    }
    let from = Some(AdminSender { from: Some(From::UserId("nobody".to_owned())) });
    let refused = admin.create_broadcast(CreateBroadcastRequest { from, ..good() }).await;
    assert_eq!(refused.expect_err("no sender").code, "user_not_found");
    assert!(admin.broadcasts(0, "").await.expect("a page").broadcasts.is_empty());
}

#[tokio::test]
async fn a_long_list_of_users_fits_into_a_request() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.users(["ann"]).await;
    let mut ids: Vec<String> = (0..99_999).map(|n| format!("{n:0>64}")).collect();
    ids.push("ann".to_owned());
    let admin = imd.admin();
    let list = |user_ids| To::Users(BroadcastUsers { user_ids });
    let asked = news(list(ids.clone()), "x");
    let (made, _) = admin.create_broadcast(asked).await.expect("made");
    assert_eq!((made.total, made.refused), (100_000, 99_999));
    ids.push("ben".to_owned());
    let ids = ids.split_off(0).into_iter().map(|id| id[id.len().saturating_sub(6)..].to_owned());
    let refused = admin.create_broadcast(news(list(ids.collect()), "x")).await;
    assert_eq!(refused.expect_err("too many").field(), "to.user_ids");
}

/// I7, I11: the node that sends a broadcast is killed in the midst of it, and so is the one that takes over.
#[tokio::test]
async fn i11_each_user_has_a_broadcast_once_though_nodes_are_killed() {
    const USERS: i32 = 6_000;
    let database = Database::create().await;
    make_users(&database, USERS).await;
    let folders = [DataFolder::new(), DataFolder::new()];
    let mut nodes = Vec::new();
    for folder in &folders {
        nodes.push(folder.start_node(database.url()).await);
    }
    // No faster, so that it is under way still when nodes are killed.
    let asked = CreateBroadcastRequest { rate: 1_500, ..news(To::All(true), "to everybody") };
    nodes[0].admin().create_broadcast(asked.clone()).await.expect("made");
    let sql = database.sql().await;
    let sent = async || -> i64 {
        let sent = "SELECT count(*) FROM entries WHERE kind = 1 AND owner <> sender";
        sql.query_one(sent, &[]).await.expect("a number").get(0)
    };
    let beyond = async |messages: i64| {
        in_time("it is being sent", async { while sent().await <= messages {} }).await;
    };
    for round in 1..=2 {
        beyond(1_000 * round).await;
        let working = "SELECT leased_by FROM jobs WHERE name = 'broadcasts'";
        let working: String = sql.query_one(working, &[]).await.expect("a job").get(0);
        let port = |address: std::net::SocketAddr| format!(":{}", address.port());
        let doomed = nodes.iter().position(|node| working.ends_with(&port(node.public)));
        let doomed = doomed.expect("one of them works at it");
        nodes[doomed].end(Signal::SIGKILL).await;
        let left = sent().await;
        assert!(left < i64::from(USERS), "it was killed in the midst of it");
        // As when its lease has run out.
        let run_out = "UPDATE jobs SET leased_until = '-infinity' WHERE name = 'broadcasts'";
        sql.execute(run_out, &[]).await.expect("a job");
        nodes[doomed] = folders[doomed].start_node(database.url()).await;
    }
    let done = in_time("it is done", async {
        loop {
            let broadcast = nodes[0].admin().broadcast(&asked.broadcast_id).await;
            let broadcast = broadcast.expect("a broadcast");
            if broadcast.finished_at.is_some() {
                break broadcast;
            }
        }
    })
    .await;
    assert_eq!((done.total, done.sent, done.refused), (USERS.into(), USERS.into(), 0));
    assert_eq!(received(&database).await, [(1, USERS.into())]);
    assert_dense(&database).await;
}
