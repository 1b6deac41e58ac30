//! Requests in SQL, and nodes that die.

use std::collections::HashMap;

use nix::sys::signal::Signal;
use uuid::Uuid;

use super::ask;
use crate::{
    append::assert_dense,
    faults::until,
    support::{
        api::Transport,
        postgres::Database,
        process::{DataFolder, Imd},
    },
};

/// How long what waits may take when everything works again: a lease, and the sweep behind it.
const TAKEN_OVER: std::time::Duration = std::time::Duration::from_secs(40);

/// How many requests each sender's transactions ask for.
const EACH: usize = 200;

/// I11: both nodes are killed again and again while transactions ask for messages, some of which are rolled back.
/// What was committed is sent once and in order, and nothing else is.
#[tokio::test]
async fn i11_what_was_committed_is_sent_once_though_nodes_are_killed() {
    let database = Database::create().await;
    let folders = [DataFolder::new(), DataFolder::new()];
    let mut nodes: Vec<Imd> = Vec::new();
    for folder in &folders {
        nodes.push(folder.start_node(database.url()).await);
    }
    nodes[0].create_users(&["ann", "cleo", "ben"]).await;
    let senders = ["ann", "cleo"];

    let url = database.sql().await;
    let asking = tokio::spawn(async move {
        let mut sql = url;
        for n in 0..EACH {
            for sender in senders {
                let transaction = sql.transaction().await.expect("a transaction");
                let text = format!("{sender} {n}");
                ask(transaction.client(), sender, "ben", Uuid::new_v4(), &text).await;
                transaction.commit().await.expect("committed");
                let transaction = sql.transaction().await.expect("a transaction");
                ask(transaction.client(), sender, "ben", Uuid::new_v4(), "never").await;
                transaction.rollback().await.expect("rolled back");
            }
            tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        }
    });
    let sent = async || -> i64 {
        let sent = "SELECT count(*) FROM inbox WHERE state = 2";
        database.sql().await.query_one(sent, &[]).await.expect("a number").get(0)
    };
    for kill in 0..4 {
        // In the midst of it.
        let before = sent().await;
        until("something is sent", TAKEN_OVER, async || {
            (asking.is_finished() || sent().await > before).then_some(())
        })
        .await;
        let doomed = kill % 2;
        nodes[doomed].end(Signal::SIGKILL).await;
        nodes[doomed] = folders[doomed].start_node(database.url()).await;
    }
    asking.await.expect("all are asked for");
    let due = i64::try_from(EACH * senders.len()).expect("few");
    until("all are sent", TAKEN_OVER, async || (sent().await == due).then_some(())).await;

    let ben = nodes[0].log_in(Transport::Grpc, "ben", "phone").await;
    let mut of_each: HashMap<String, Vec<String>> = HashMap::new();
    for text in ben.texts().await {
        let sender = text.split(' ').next().unwrap_or_default().to_owned();
        of_each.entry(sender).or_default().push(text);
    }
    assert_eq!(of_each.len(), senders.len(), "{:?}", of_each.keys());
    for sender in senders {
        let due: Vec<_> = (0..EACH).map(|n| format!("{sender} {n}")).collect();
        assert_eq!(of_each[sender], due);
    }
    assert_dense(&database).await;
}
