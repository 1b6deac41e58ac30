//! URLs with many hosts.

use std::time::Duration;

use tokio::{net::TcpListener, time::Instant};

use crate::{
    faults::proxy::Proxy,
    support::{api::Transport, cluster::Cluster, node::Node, postgres::Database},
};

/// A URL that names a host that takes connections and never answers, before one that works.
async fn beside_a_silent_host(database: &Database) -> (TcpListener, Proxy, String) {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let (proxy, url) = Proxy::before_database(database.url()).await;
    let url =
        url.replacen("host=127.0.0.1 port=", &format!("host=127.0.0.1,127.0.0.1 port={port},"), 1);
    (silent, proxy, format!("{url} target_session_attrs=read-write"))
}

#[tokio::test]
async fn a_host_that_hangs_does_not_keep_a_node_from_starting() {
    let database = Database::create().await;
    let (_silent, _proxy, url) = beside_a_silent_host(&database).await;
    let began = Instant::now();
    let node = Node::start_at(&url).await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let imd = Cluster::of(Transport::Grpc, database, node);
    let ann = imd.user_with_phone("ann").await;
    ann.say("ann", "hello").await;
}
