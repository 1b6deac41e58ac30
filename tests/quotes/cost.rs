//! What a page of messages that quote costs.

use std::time::{Duration, Instant};

use super::reply;
use crate::support::{
    api::{Outgoing, Transport},
    cluster::Cluster,
    terminal::Terminal,
};

/// How long it takes to get a page of 50 of the conversation with `peer`, in the middle of many tries.
async fn page_time(terminal: &Terminal, peer: &str) -> Duration {
    let mut times = Vec::new();
    for _ in 0..40 {
        let begun = Instant::now();
        let page = terminal.history(peer, 50, "").await.expect("a page");
        times.push(begun.elapsed());
        assert_eq!(page.entries.len(), 50);
    }
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::test]
async fn a_page_of_messages_that_quote_costs_little_more_than_a_plain_one() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    imd.user_with_phone("bob").await;
    imd.user_with_phone("carol").await;
    for n in 0..51 {
        let said =
            format!("{n}: {}", "what people say to each other is about as long as this ".repeat(2));
        let plain = ann.say("bob", &said).await;
        assert!(!plain.duplicate);
        let first = ann.say("carol", &said).await;
        ann.send(&reply(&first.message_id, Outgoing::text("carol", said))).await.expect("sent");
    }
    page_time(&ann, "bob").await;
    let (plain, quoting) = (page_time(&ann, "bob").await, page_time(&ann, "carol").await);
    println!("a page of 50: plain {plain:?}, every second with a quote {quoting:?}");
    // A statement more. Twice is for a machine that is busy with other tests.
    assert!(quoting < plain * 2, "plain: {plain:?}, with quotes: {quoting:?}");
}
