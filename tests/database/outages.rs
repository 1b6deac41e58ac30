//! A database that is there and of no use: read-only, or hanging.

use std::time::Duration;

use futures::future::join_all;
use nix::sys::signal::Signal;
use tokio::time::Instant;
use tokio_postgres::NoTls;

use super::readiness;
use crate::{
    faults::until,
    support::{
        api::{Outgoing, Transport},
        process::DataFolder,
    },
};

/// How long a sender waits at most for the news that the database hangs.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long a node may take to say whether it is ready. It gives itself two seconds.
const READINESS: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_read_only_database_is_unavailable_until_it_takes_writes_again() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    imd.create_users(&["ann"]).await;
    let ann = imd.log_in(Transport::Rest, "ann", "phone").await;
    ann.say("ann", "before").await;
    let mut config: tokio_postgres::Config = folder.database_url().await.parse().expect("a URL");
    config.user("postgres").dbname("postgres");
    let (sql, connection) = config.connect(NoTls).await.expect("a connection");
    tokio::spawn(connection);
    let set = async |value: &str| {
        let set = format!("ALTER SYSTEM SET default_transaction_read_only = {value}");
        sql.batch_execute("SET default_transaction_read_only = off").await.expect("set");
        sql.batch_execute(&set).await.expect("a superuser may");
        sql.batch_execute("SELECT pg_reload_conf()").await.expect("it may");
    };
    set("on").await;
    until("the node says so", READINESS, async || {
        (readiness(imd.public).await.0 == 503).then_some(())
    })
    .await;
    let refused = ann.send(&Outgoing::text("ann", "meanwhile")).await.expect_err("a refusal");
    assert_eq!(refused.code, "unavailable", "{refused:?}");
    assert!(refused.retry_after.is_some(), "{refused:?}");
    let metrics = reqwest::get(format!("http://{}/metrics", imd.admin)).await.expect("metrics");
    let metrics = metrics.text().await.expect("text");
    let counted = metrics.lines().any(|line| {
        line.starts_with("imd_errors_total{code=\"unavailable\"}") && !line.ends_with(" 0")
    });
    assert!(counted, "{metrics}");
    set("off").await;
    until("the node is ready", Duration::from_secs(20), async || {
        (readiness(imd.public).await.0 == 200).then_some(())
    })
    .await;
    ann.say("ann", "after").await;
}

#[tokio::test]
async fn a_database_that_hangs_holds_nobody_up() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    imd.create_users(&["ann", "bob"]).await;
    let ann = imd.log_in(Transport::Rest, "ann", "phone").await;
    let bob = imd.log_in(Transport::Grpc, "bob", "phone").await;
    ann.say("bob", "before").await;
    join_all((0..20).map(|_| bob.pull(""))).await;
    folder.signal_postgres(Signal::SIGSTOP);
    let began = Instant::now();
    let message = Outgoing::text("bob", "meanwhile");
    // Reads on connections that were good a moment ago, and those behind them.
    let reads = join_all((0..20).map(async |_| bob.pull("").await.map(drop)));
    let (sent, reads, (status, took)) =
        tokio::join!(ann.send(&message), reads, readiness(imd.public));
    let all = began.elapsed();
    folder.signal_postgres(Signal::SIGCONT);
    for answer in reads.into_iter().chain([sent.map(drop)]) {
        let refused = answer.expect_err("a refusal");
        assert_eq!(refused.code, "unavailable", "{refused:?}");
    }
    assert!(all < PATIENCE, "{all:?}");
    assert_eq!(status, 503);
    assert!(took < READINESS, "{took:?}");
    // The refused message may have been stored: sent again, it stands once.
    until("sends go on", Duration::from_secs(20), async || ann.send(&message).await.ok()).await;
    assert_eq!(bob.texts().await, ["before", "meanwhile"]);
}
