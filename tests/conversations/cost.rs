//! What a page costs.

use std::time::{Duration, Instant};

use imd::config::Settings;

use super::fill;
use crate::support::{api::Transport, cluster::Cluster, terminal::Terminal};

/// How long it takes to get a page of 50 at best.
async fn page_time(terminal: &Terminal) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..30 {
        let begun = Instant::now();
        let listed = terminal.api.conversations(&terminal.token, 50, "").await.expect("a page");
        best = best.min(begun.elapsed());
        assert_eq!(listed.conversations.len(), 50);
    }
    best
}

#[tokio::test]
async fn a_page_costs_a_page_and_not_the_whole_list() {
    let imd = Cluster::start(Transport::Grpc).await;
    // One connection, which keeps the plan that it made while there were no lists at all.
    let one_connection = |settings: &mut Settings| settings.database.pool_size = 1;
    let (_node, api) = imd.start_node_with(one_connection).await;
    let few = imd.user_with_phone("few").await.through(api.clone());
    let many = imd.user_with_phone("many").await.through(api);
    fill(&imd, "few", 60, 1).await;
    fill(&imd, "many", 30_000, 1).await;
    let (few, many) = (page_time(&few).await, page_time(&many).await);
    assert!(many < few * 4, "of 60: {few:?}, of 30,000: {many:?}");
}
