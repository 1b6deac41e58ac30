//! Groups and nodes that die.

use std::time::Duration;

use imd_proto::v1::{GroupRecord, MessageRecord};

use super::process_node::ProcessNode;
use crate::{
    append::assert_dense,
    groups::{IN_OSLO, create, text},
    support::{
        api::Transport, cluster::login, eventually, feed::Feed, postgres::Database,
        terminal::Terminal,
    },
    transfer::{
        groups::{group_step, in_order, message_steps, oslo_of},
        record,
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

/// I5: a group and its messages are imported while another one talks, and the importing node is killed
/// again and again. Nothing is lost, doubled or out of order, in either.
#[tokio::test]
async fn i5_imports_beside_a_group_stand_whole_though_their_node_is_killed() {
    const MESSAGES: usize = 3_000;
    let database = Database::create().await;
    let mut first = ProcessNode::start(Some(database.url()), None).await;
    let second = ProcessNode::start(Some(database.url()), None).await;
    let names = ["ann", "ben", "dora", "eli", "finn"].map(str::to_owned);
    first.create_users(&names).await;
    let (ann, ben) = (log_in(&second, "ann").await, log_in(&second, "ben").await);
    create(&ann, &["ben"]).await;
    let members = ["dora", "eli", "finn"];
    let said: Vec<MessageRecord> = (0..MESSAGES)
        .map(|n| MessageRecord {
            group_id: "old".to_owned(),
            ..record(members[n % 3], "", 30, &n.to_string())
        })
        .collect();
    let group = GroupRecord { group_id: "old".to_owned(), ..oslo_of(&members, 60) };
    let steps = in_order(std::iter::once(group_step(group)).chain(message_steps(said)).collect());

    let talk = tokio::spawn(async move {
        let mut sent = 0;
        while sent < 300 {
            ann.send(&text(&sent.to_string())).await.expect("acked");
            sent += 1;
        }
        sent
    });
    for part in [0, 700, 1_900] {
        let admin = first.admin();
        let steps = steps.clone();
        let import = tokio::spawn(async move { admin.import_all(steps).await });
        eventually("a part of it", async || {
            let count = "SELECT count(*) FROM entries e JOIN groups g ON e.owner = -g.group_no
                 WHERE g.group_id = 'old'";
            let stands: i64 =
                database.sql().await.query_one(count, &[]).await.expect("a count").get(0);
            (stands > part).then_some(())
        })
        .await;
        first.kill().await;
        // It may have come to its end.
        let _ = import.await.expect("no panic");
        first.start_again().await;
    }
    first.admin().import_all(steps).await.expect("imported");

    let sent = talk.await.expect("it talks on");
    let due: Vec<String> = (0..sent).map(|n| n.to_string()).collect();
    eventually("all of it", async || (ben.texts().await.len() == due.len()).then_some(())).await;
    assert_eq!(ben.texts().await, due);
    for member in members {
        let mut feed = log_in(&second, member).await.follow("").await;
        for n in 0..MESSAGES {
            assert_eq!(next_text(&mut feed).await, n.to_string(), "{member}");
        }
    }
    assert_dense(&database).await;
}
