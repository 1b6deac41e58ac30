//! Reading on a standby: it takes the load, and shows nothing older than the primary would.

use super::pair::Pair;
use crate::support::{
    api::Transport::{Grpc, Rest},
    eventually,
    process::{DataFolder, Imd},
};

/// How many pages were read on `server` so far.
async fn reads(imd: &Imd, server: &str) -> f64 {
    let metrics = reqwest::get(format!("http://{}/metrics", imd.admin)).await.expect("metrics");
    let metrics = metrics.text().await.expect("text");
    let series = format!("imd_reads_total{{server=\"{server}\"}} ");
    let count = metrics.lines().find_map(|line| line.strip_prefix(&series));
    count.map_or(0.0, |count| count.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_come_from_a_standby_that_has_everything_and_else_from_the_primary() {
    let mut pair = Pair::start().await;
    let folder = DataFolder::new();
    // The standby is made of a database that has its tables.
    drop(folder.start_node(&pair.url()).await);
    pair.add_standby().await;
    let folder = DataFolder::new();
    folder.write_settings(&format!("database.read_url = \"{}\"\n", pair.standby_url()));
    let imd = folder.start_node(&pair.url()).await;
    imd.create_users(&["ann", "bob"]).await;
    let ann = imd.log_in(Grpc, "ann", "phone").await;
    let bob = imd.log_in(Rest, "bob", "phone").await;

    // What a reader has just written, or was told of, is always there.
    for round in 0..50 {
        let text = format!("message {round}");
        ann.say("bob", &text).await;
        for terminal in [&ann, &bob] {
            assert_eq!(terminal.texts().await.last(), Some(&text));
        }
        let page = bob.history("ann", 1, "").await.expect("a page");
        assert_eq!(page.entries[0].text(), text);
        assert_eq!(bob.conversation("ann").await.unread_count, round + 1);
    }
    // A standby that has everything takes the load; one that was behind is left alone for a while before.
    pair.replicated().await;
    let from_standby = reads(&imd, "standby").await;
    eventually("a page comes from the standby", async || {
        ann.texts().await;
        (reads(&imd, "standby").await > from_standby).then_some(())
    })
    .await;
    let (standby, primary) = (reads(&imd, "standby").await, reads(&imd, "primary").await);
    for _ in 0..50 {
        ann.texts().await;
        bob.history("ann", 1, "").await.expect("a page");
    }
    let standby = reads(&imd, "standby").await - standby;
    let primary = reads(&imd, "primary").await - primary;
    assert!(standby > 3.0 * primary, "{standby} from the standby, {primary} from the primary");

    // A standby that gets nothing any more is not read.
    let from_primary = reads(&imd, "primary").await;
    pair.hold().await;
    ann.say("bob", "held").await;
    for terminal in [&ann, &bob] {
        assert_eq!(terminal.texts().await.last().map(String::as_str), Some("held"));
    }
    assert_eq!(bob.history("ann", 1, "").await.expect("a page").entries[0].text(), "held");
    // Nor is one that is gone.
    pair.lose_standby().await;
    ann.say("bob", "alone").await;
    assert_eq!(bob.texts().await.last().map(String::as_str), Some("alone"));
    assert!(reads(&imd, "primary").await > from_primary);
}
