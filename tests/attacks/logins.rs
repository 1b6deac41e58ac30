//! Logins in masses. What they cost is memory and processor time, and everybody else's patience.

use std::{fs, time::Duration};

use futures::future::join_all;
use imd::config::Networks;
use nix::unistd::Pid;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::support::{
    api::Transport,
    cluster::{Cluster, login},
    eventually,
    node::Node,
    postgres::Database,
    process::DataFolder,
    terminal::Terminal,
};

/// What an attack may cost, in KiB.
const COST: u64 = 50 * 1024;

/// The number behind `key` in what the system says of a process.
fn status(process: Pid, key: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let word = line.and_then(|line| line.split_whitespace().next());
    word.and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("no {key} in {status}"))
}

/// Without the limits of addresses: as by many strangers.
const BY_MANY: [(&str, &str); 2] =
    [("IMD_LIMITS_FAILED_LOGINS", "0"), ("IMD_LIMITS_FAILED_LOGINS_PER_ADDRESS", "0")];

#[tokio::test]
async fn logins_that_are_given_up_cost_next_to_nothing() {
    let folder = DataFolder::new();
    let imd = folder.start_with(&BY_MANY).await;
    imd.create_users(&["ann"]).await;
    let ann = imd.log_in(Transport::Grpc, "ann", "phone").await;
    let (threads, memory) = (status(imd.pid(), "Threads"), status(imd.pid(), "VmHWM"));
    let strangers = Transport::Grpc.connect(imd.public);
    let mut most_threads = 0;
    for n in 0..300 {
        let guess = login(&format!("nobody-{n}"), "phone", "p").password("not the password");
        let _given_up = timeout(Duration::from_millis(4), strangers.login(&guess)).await;
        most_threads = most_threads.max(status(imd.pid(), "Threads"));
    }
    // The runtime may have started some for other work.
    assert!(most_threads <= threads + 4, "{threads} threads became {most_threads}");
    let cost = status(imd.pid(), "VmHWM").saturating_sub(memory);
    assert!(cost <= COST, "{cost} KiB");
    ann.say("ann", "still served").await;
    imd.log_in(Transport::Grpc, "ann", "pc").await;
}

#[tokio::test]
async fn a_flood_of_logins_is_refused_with_a_time_and_delays_nobody_elsewhere() {
    let database = Database::create().await;
    let node = Node::start_with(&database, |settings| {
        settings.trusted_proxies = Networks::try_from("127.0.0.1".to_owned()).expect("a network");
    })
    .await;
    let imd = Cluster::of(Transport::Grpc, database, node);
    imd.user("ann").await;
    let from = |address: &str| imd.transport.connect_from(imd.node.public_address(), address);
    let (stranger, home) = (from("192.0.2.1"), from("192.0.2.2"));
    let began = Instant::now();
    let flood = join_all((0..400).map(async |n| {
        let guess = login(&format!("nobody-{n}"), "phone", "p").password("not the password");
        stranger.login(&guess).await.expect_err("a guess")
    }));
    let ann = async {
        eventually("the flood is there", async || {
            // As long as the queue is full, another of the flood is refused at once.
            let guess = login("nobody", "phone", "p").password("not the password");
            (stranger.login(&guess).await.expect_err("a guess").code == "overloaded").then_some(())
        })
        .await;
        let began = Instant::now();
        home.login(&login("ann", "phone", "p")).await.expect("ann is at home there");
        began.elapsed()
    };
    let (refused, waited) = tokio::join!(flood, ann);
    let flooded = began.elapsed();
    let busy: Vec<_> = refused.iter().filter(|refusal| refusal.code == "overloaded").collect();
    assert!(!busy.is_empty() && busy.len() < refused.len(), "{} of 400", busy.len());
    for refusal in busy {
        let retry_after = refusal.retry_after.expect("a time to come back");
        assert!(retry_after >= Duration::from_secs(1), "{retry_after:?}");
    }
    assert!(waited < flooded / 2, "ann waited {waited:?} of {flooded:?}");
}

/// What 99 of 100 sends take at most.
async fn pace(sender: &Terminal) -> Duration {
    const SENDS: usize = 300;
    let mut took = Vec::with_capacity(SENDS);
    for n in 0..SENDS {
        let began = Instant::now();
        sender.say("ben", &n.to_string()).await;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    took[SENDS * 99 / 100]
}

#[tokio::test]
async fn a_stranger_who_tries_passwords_does_not_slow_sends_down() {
    const STRANGERS: usize = 8;
    /// What a machine that runs other tests may add.
    const BESIDE_OTHERS: Duration = Duration::from_millis(200);
    let folder = DataFolder::new();
    let imd = folder.start_with(&BY_MANY).await;
    imd.create_users(&["ann", "ben"]).await;
    let ann = imd.log_in(Transport::Grpc, "ann", "phone").await;
    let quiet = pace(&ann).await;
    let mut strangers = JoinSet::new();
    for stranger in 0..STRANGERS {
        let api = Transport::Grpc.connect(imd.public);
        strangers.spawn(async move {
            for n in 0_u64.. {
                let guess = login(&format!("nobody-{stranger}-{n}"), "phone", "p");
                let guess = guess.password("not the password");
                // Every other one is given up.
                let patience = if n % 2 == 0 { 4 } else { 1_000 };
                let _given_up = timeout(Duration::from_millis(patience), api.login(&guess)).await;
            }
        });
    }
    let attacked = pace(&ann).await;
    strangers.shutdown().await;
    println!("99 of 100 sends within {quiet:?}, and {attacked:?} beside {STRANGERS} strangers");
    assert!(attacked < 2 * quiet + BESIDE_OTHERS, "{quiet:?} became {attacked:?}");
}
