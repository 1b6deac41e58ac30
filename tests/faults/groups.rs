//! Groups and nodes that die.

use std::time::Duration;

use super::process_node::ProcessNode;
use crate::{
    append::assert_dense,
    groups::{IN_OSLO, create, text},
    support::{
        api::Transport, cluster::login, eventually, feed::Feed, postgres::Database,
        terminal::Terminal,
    },
};

/// How long the other node may take: the look for groups that were left behind is every five seconds.
const TAKEN_OVER: Duration = Duration::from_secs(20);

async fn log_in(node: &ProcessNode, user_id: &str) -> Terminal {
    let api = Transport::Grpc.connect(node.address());
    let logged_in = api.login(&login(user_id, "phone", user_id)).await.expect("a login");
    Terminal::new(api, user_id, logged_in)
}

/// The next text of a stream.
async fn next_text(feed: &mut Feed) -> String {
    loop {
        let entry = feed.entry().await;
        if entry.as_message().is_some() {
            return entry.text().to_owned();
        }
    }
}

/// I4, I11: a node is killed in the midst of a fan-out. The other node finishes it, and each member has
/// each message once and in the order of the group.
#[tokio::test]
async fn i11_another_node_finishes_the_fan_out_of_one_that_is_killed() {
    let database = Database::create().await;
    let mut first = ProcessNode::start(Some(database.url()), None).await;
    let second = ProcessNode::start(Some(database.url()), None).await;
    let names = ["ann", "ben", "cleo", "dan"].map(str::to_owned);
    first.create_users(&names).await;
    let ann = log_in(&first, "ann").await;
    create(&ann, &["ben", "cleo", "dan"]).await;
    let ben = log_in(&second, "ben").await;
    let dan = log_in(&second, "dan").await;
    let mut feed = dan.follow("now").await;

    for round in 0..3 {
        let ann = ann.through(Transport::Grpc.connect(first.address()));
        // The fan-out comes to a member whose timeline is held, in the midst of its transaction.
        let mut sql = database.sql().await;
        let held = sql.transaction().await.expect("a transaction");
        let lock = "SELECT FROM timelines JOIN users ON user_no = owner
             WHERE user_id = 'cleo' FOR UPDATE OF timelines";
        held.execute(lock, &[]).await.expect("held");
        for n in 0..20 {
            ann.send(&text(&format!("{round} {n}"))).await.expect("acked");
        }
        let behind =
            "SELECT count(*) FROM group_members m JOIN timelines t ON t.owner = -m.group_no
             WHERE m.fanned_to < t.last_seq";
        let behind: i64 = database.sql().await.query_one(behind, &[]).await.expect("n").get(0);
        assert!(behind >= 1, "somebody is behind when the node dies");
        first.kill().await;
        held.rollback().await.expect("let go");
        tokio::time::timeout(TAKEN_OVER, async {
            for n in 0..20 {
                assert_eq!(next_text(&mut feed).await, format!("{round} {n}"));
            }
        })
        .await
        .expect("the other node brings it");
        first.start_again().await;
    }

    let cleo = log_in(&second, "cleo").await;
    let due: Vec<_> =
        (0..3).flat_map(|round| (0..20).map(move |n| format!("{round} {n}"))).collect();
    for member in [&ben, &cleo, &dan] {
        let texts = eventually("all of it", async || {
            let texts = member.texts().await;
            (texts.len() >= due.len()).then_some(texts)
        })
        .await;
        assert_eq!(texts, due, "{}", member.user_id);
        let page = member.history(IN_OSLO, 200, "").await.expect("a page");
        assert_eq!(page.entries.len(), due.len());
    }
    assert_dense(&database).await;
}
