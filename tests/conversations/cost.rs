//! What a page costs.

use std::time::{Duration, Instant};

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
    let few = imd.user_with_phone("few").await;
    let many = imd.user_with_phone("many").await;
    fill(&imd, "few", 60, 1).await;
    fill(&imd, "many", 30_000, 1).await;
    let (few, many) = (page_time(&few).await, page_time(&many).await);
    assert!(many < few * 4, "of 60: {few:?}, of 30,000: {many:?}");
}
