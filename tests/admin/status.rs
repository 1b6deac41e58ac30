//! How the cluster does.

use crate::support::{api::Transport, cluster::Cluster, eventually, grpc::at};

#[tokio::test]
async fn the_status_counts_what_there_is() {
    let imd = Cluster::start(Transport::Grpc).await;
    let (node, _) = imd.start_node().await;
    let phone = imd.user_with_phone("ann").await;
    imd.log_in("ann", "pc", "desk").await;
    imd.users(["bob", "carol"]).await;
    let _feeds = [phone.follow("").await, phone.follow("").await];

    let status = imd.admin().status().await.expect("the status");
    assert_eq!(status.version, env!("CARGO_PKG_VERSION"));
    assert_eq!((status.users, status.live_sessions, status.online_sessions), (3, 2, 1));
    assert!(status.database_bytes > 1_000_000, "{}", status.database_bytes);
    assert!(!status.postgres_version.is_empty());
    assert_eq!(status.nodes.len(), 2);
    for node in &status.nodes {
        assert!(node.alive && node.version == status.version);
        assert!(at(node.heartbeat_at) >= at(node.started_at));
    }
    let other = node.admin().status().await.expect("the status of the other");
    assert_ne!(other.node_id, status.node_id);
    let ids: Vec<_> = status.nodes.iter().map(|node| node.node_id.clone()).collect();
    assert_eq!(ids, [status.node_id.clone(), other.node_id]);

    let told = async || {
        let nodes = imd.admin().status().await.ok()?.nodes;
        (nodes[0].streams == 2 && nodes[1].streams == 0).then_some(())
    };
    eventually("the next heartbeat tells of the streams", told).await;
}

#[tokio::test]
async fn a_node_that_is_silent_counts_as_dead() {
    let imd = Cluster::start(Transport::Grpc).await;
    let phone = imd.user_with_phone("ann").await;
    let sql = imd.database.sql().await;
    sql.batch_execute(
        "INSERT INTO nodes (node_id, version, started_at, heartbeat_at)
         VALUES ('ghost', '0.0.1', now() - interval '1 minute', now() - interval '20 seconds');
         INSERT INTO login_points
         SELECT user_no, session_id, node_no, 1 FROM sessions, nodes WHERE node_id = 'ghost';",
    )
    .await
    .expect("what a killed node leaves behind");
    let status = imd.admin().status().await.expect("the status");
    let ghost = status.nodes.iter().find(|node| node.node_id == "ghost").expect("still listed");
    assert!(!ghost.alive);
    assert_eq!(status.online_sessions, 0, "a stream on a dead node is none");
    assert!(!phone.sessions().await.expect("sessions")[0].online);
    assert_eq!(imd.admin().user("ann").await.expect("the user").online_sessions, 0);
}
