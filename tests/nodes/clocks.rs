//! Nodes whose clocks are wrong. They need `libfaketime.so.1`, of the Debian package `libfaketime`.

use std::path::Path;

use crate::support::{
    api::Transport,
    cluster::Cluster,
    faketime,
    process::{DataFolder, Imd},
};

/// A node on the database whose clock is off by so many seconds.
async fn node(folder: &DataFolder, database_url: &str, library: &Path, seconds: &str) -> Imd {
    let library = library.to_str().expect("UTF-8");
    let settings = [
        ("IMD_DATABASE_URL", database_url),
        ("LD_PRELOAD", library),
        ("FAKETIME", seconds),
        // What measures how much time passes stays right, as it does on real machines.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    folder.start_with(&settings).await
}

#[tokio::test]
async fn nodes_whose_clocks_are_wrong_take_each_others_tokens() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let library = faketime::library();
    for (seconds, text) in [("-600", "behind"), ("+600", "ahead of")] {
        let folder = DataFolder::new();
        let off = node(&folder, imd.database.url(), &library, seconds).await;
        let api = Transport::Grpc.connect(off.public);
        ann.through(api).say("ann", "with the token of a node whose clock is right").await;
        let pc = off.log_in(Transport::Grpc, "ann", "pc").await;
        pc.say("ann", "with the token of its own").await;
        let there = pc.through(imd.api.clone());
        there.say("ann", "on a node whose clock is right").await;
        off.says(&format!("s {text} that of the database")).await;
        let metrics = reqwest::get(format!("http://{}/metrics", off.admin)).await.expect("metrics");
        let metrics = metrics.text().await.expect("text");
        let mut lines = metrics.lines().filter_map(|line| line.split_once(' '));
        let skew = lines.find(|(name, _)| *name == "imd_clock_skew_seconds").expect("the gauge").1;
        let (skew, expected): (f64, f64) =
            (skew.parse().expect("a number"), seconds.parse().expect("a number"));
        assert!((skew - expected).abs() < 2.0, "{skew}");
        pc.logout().await.expect("logged out");
    }
}
