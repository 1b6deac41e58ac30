//! Two `imd` on one database.

use std::fs;

use nix::sys::signal::Signal;

use super::conversation::Conversation;
use crate::support::{
    api::Transport::Grpc,
    process::{DataFolder, Imd},
};

/// One node that runs the database, and one that is pointed at it.
struct Cluster {
    // In the order in which they are to end.
    second: Imd,
    first: Imd,
    second_folder: DataFolder,
    _first_folder: DataFolder,
}

impl Cluster {
    async fn start() -> Self {
        let first_folder = DataFolder::new();
        let first = first_folder.start().await;
        let second_folder = DataFolder::new();
        let second = second_folder.start_node(&first_folder.database_url().await).await;
        Self { second, first, second_folder, _first_folder: first_folder }
    }
}

#[tokio::test]
async fn a_node_with_a_database_url_has_no_postgres_of_its_own() {
    let cluster = Cluster::start().await;
    let greeting = &cluster.second.greeting;
    assert!(greeting.contains("database.url") && !greeting.contains("PostgreSQL"), "{greeting}");
    let files = fs::read_dir(cluster.second_folder.path()).expect("a data folder");
    let mut files: Vec<_> = files.map(|file| file.expect("a file").file_name()).collect();
    files.sort();
    assert_eq!(files, ["admin.key", "imd.lock"]);
}

#[tokio::test]
async fn a_message_sent_on_one_node_reaches_the_streams_on_the_other() {
    let cluster = Cluster::start().await;
    cluster.first.create_users(&["ann", "ben"]).await;
    let ann = cluster.first.log_in(Grpc, "ann", "phone").await;
    let ben = cluster.second.log_in(Grpc, "ben", "phone").await;
    let mut feed = ben.follow("now").await;
    let mut own_feed = ann.through(Grpc.connect(cluster.second.public)).follow("now").await;
    for text in ["one", "two", "three"] {
        let sent = ann.say("ben", text).await;
        assert_eq!(feed.entry().await.message().message_id, sent.message_id);
        assert_eq!(own_feed.entry().await.message().message_id, sent.message_id);
    }
}

#[tokio::test]
async fn terminals_of_a_killed_node_go_on_with_the_other() {
    let mut cluster = Cluster::start().await;
    let conversation = Conversation::start_on(&cluster.first, &cluster.second).await;
    cluster.second.end(Signal::SIGKILL).await;
    conversation.check_on(&cluster.first).await;
}

#[tokio::test]
async fn a_killed_node_leaves_the_database_to_the_other() {
    let mut cluster = Cluster::start().await;
    let conversation = Conversation::start_on(&cluster.first, &cluster.second).await;
    cluster.first.end(Signal::SIGKILL).await;
    conversation.check_on(&cluster.second).await;
}
