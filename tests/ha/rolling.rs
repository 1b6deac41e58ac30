//! A node is restarted behind HAProxy, whose clients notice nothing.

use std::{net::SocketAddr, time::Duration};

use nix::sys::signal::{Signal, kill};
use tokio::time::{Instant, sleep_until};

use super::{haproxy::HaProxy, service::free_ports};
use crate::support::{
    api::{Outgoing, Transport},
    cluster::login,
    eventually,
    postgres::Database,
    process::{DataFolder, in_time},
    terminal::Terminal,
    types::Event,
};

/// How many messages are sent through the balancer while a node is restarted.
const SENDS: u32 = 40;

/// How long the node serves on, and again how long it takes to send its streams elsewhere. HAProxy notices within
/// half a second.
const DELAY: Duration = Duration::from_secs(2);

/// Over HTTP: each request goes to a node that is ready.
fn by_request(port: u16, [one, other]: [SocketAddr; 2]) -> String {
    format!(
        "global
    maxconn 1000
defaults
    mode http
    timeout connect 2s
    timeout client 1h
    timeout server 1h
    # Nothing is asked twice: what is refused is seen.
    retries 0
listen imd
    bind 127.0.0.1:{port}
    balance roundrobin
    option httpchk GET /readyz
    default-server check inter 250ms fall 2 rise 1
    server one {one}
    server other {other}
"
    )
}

async fn readiness(public: SocketAddr) -> u16 {
    let answer = reqwest::get(format!("http://{public}/readyz")).await.expect("it still listens");
    answer.status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_send_is_refused_while_one_of_two_nodes_is_restarted() {
    let database = Database::create().await;
    let [first, second] = [DataFolder::new(), DataFolder::new()];
    let [public, admin] = free_ports();
    let delay = format!("{}s", DELAY.as_secs());
    let settings = [
        ("IMD_DATABASE_URL", database.url().to_owned()),
        ("IMD_LISTEN", format!("127.0.0.1:{public}")),
        ("IMD_ADMIN_LISTEN", format!("127.0.0.1:{admin}")),
        ("IMD_SHUTDOWN_DELAY", delay),
        ("IMD_DATABASE_POOL_SIZE", "6".to_owned()),
    ];
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut one = first.start_with(&settings).await;
    let other = second.start_node(database.url()).await;
    one.create_users(&["ann", "ben"]).await;
    let balancer = HaProxy::before([one.public, other.public], by_request).await;

    let api = Transport::Rest.connect(balancer.address);
    let logged_in = api.login(&login("ann", "phone", "p")).await.expect("a session");
    let ann = Terminal::new(api, "ann", logged_in);
    let ben = one.log_in(Transport::Grpc, "ben", "phone").await;
    // Streams of the node that is to be restarted.
    let mut feed = ben.follow("now").await;
    let mut watching = Vec::new();
    for _ in 0..9 {
        watching.push(ben.follow("now").await);
    }

    let sending = async {
        let mut refused = Vec::new();
        let began = Instant::now();
        for number in 0..SENDS {
            // Over the delay, the staggered streams, the end and the start.
            sleep_until(began + DELAY * 3 * number / SENDS).await;
            let message = Outgoing::text("ben", format!("message {number}"));
            refused.extend(ann.send(&message).await.err());
        }
        refused
    };
    let restart = async {
        let began = Instant::now();
        kill(one.pid(), Signal::SIGTERM).expect("it runs");
        eventually("it is not ready", async || (readiness(one.public).await == 503).then_some(()))
            .await;
        // It serves on all the same.
        ann.through(Transport::Rest.connect(one.public)).say("ben", "meanwhile").await;
        assert!(began.elapsed() < DELAY, "too slow a machine for this test");
        let ended = loop {
            if feed.event().await == Event::Reconnect {
                break began.elapsed();
            }
        };
        let mut ends = vec![ended];
        for mut feed in watching.drain(..) {
            while feed.event().await != Event::Reconnect {}
            ends.push(began.elapsed());
        }
        let status = in_time("it ends", one.ended()).await;
        assert!(status.success(), "{status}");
        one = first.start_with(&settings).await;
        ends
    };
    let (refused, ends) = tokio::join!(sending, restart);
    assert!(refused.is_empty(), "{refused:?}");
    println!("streams end {ends:.1?} after the signal");
    assert!(ends.iter().all(|end| *end >= DELAY), "{ends:?}");
    let (first, last) = (ends.iter().min().expect("ends"), ends.iter().max().expect("ends"));
    assert!(
        last.saturating_sub(*first) > DELAY / 3,
        "they are not sent elsewhere all at once: {ends:?}"
    );
    assert_eq!(readiness(one.public).await, 200);
    let texts = other.log_in(Transport::Grpc, "ben", "pc").await.texts().await;
    assert_eq!(texts.len(), SENDS as usize + 1);
}
