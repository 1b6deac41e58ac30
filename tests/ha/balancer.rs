//! Two nodes behind HAProxy, which asks `/readyz` whom to lead clients to. Terminals know HAProxy alone.

use std::{net::SocketAddr, time::Duration};

use nix::sys::signal::{Signal, kill};
use tokio::time::sleep;

use super::{haproxy::HaProxy, pulse::Pulse, service::free_ports};
use crate::{
    faults::load::{Cast, Load},
    support::{
        postgres::Database,
        process::{DataFolder, Imd},
    },
};

/// How many messages are acknowledged before an event and after it.
const CALM: u64 = 200;

/// How long a node stands still: its sessions are taken over by the other one, and it wakes up.
const STANDSTILL: Duration = Duration::from_secs(6);

/// The longest time without an acknowledgement when a node is killed or stopped in turn. HAProxy looks
/// each second and leaves a node after two failures; clients try again after a pause that doubles.
const PAUSE: Duration = Duration::from_secs(10);

/// How long the terminals may take to have everything after the last message.
const PATIENCE: Duration = Duration::from_secs(20);

/// Over TCP: what a client opens leads to one node, and ends when that is marked down.
fn settings(port: u16, [one, other]: [SocketAddr; 2]) -> String {
    format!(
        "global
    maxconn 1000
defaults
    mode tcp
    timeout connect 2s
    timeout client 1h
    timeout server 1h
listen imd
    bind 127.0.0.1:{port}
    balance roundrobin
    option httpchk GET /readyz
    option redispatch
    retries 2
    default-server check inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
    server one {one}
    server other {other}
"
    )
}

/// A node that can be killed and comes back where it was.
struct Node {
    folder: DataFolder,
    settings: Vec<(&'static str, String)>,
    imd: Imd,
}

impl Node {
    async fn start(database_url: &str) -> Self {
        let [public, admin] = free_ports();
        let folder = DataFolder::new();
        folder.write_settings(
            "streams.heartbeat = \"1s\"\nshutdown.grace = \"2s\"\ndatabase.pool_size = 6\n",
        );
        let settings = vec![
            ("IMD_DATABASE_URL", database_url.to_owned()),
            ("IMD_LISTEN", format!("127.0.0.1:{public}")),
            ("IMD_ADMIN_LISTEN", format!("127.0.0.1:{admin}")),
        ];
        let imd = run(&folder, &settings).await;
        Self { folder, settings, imd }
    }

    async fn start_again(&mut self) {
        self.imd = run(&self.folder, &self.settings).await;
    }
}

async fn run(folder: &DataFolder, settings: &[(&str, String)]) -> Imd {
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    folder.start_with(&settings).await
}

/// Nodes are stopped, killed and held one after another: there is always one that serves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_behind_a_balancer_take_over_from_each_other() {
    let database = Database::create().await;
    let mut nodes = [Node::start(database.url()).await, Node::start(database.url()).await];
    let [one, other] = &nodes;
    let balancer = HaProxy::before([one.imd.public, other.imd.public], settings).await;
    let cast = Cast { users: 20, pause: 20..100, seed: 0xba1a, servers: vec![balancer.address] };
    let user_ids = cast.user_ids();
    let user_ids: Vec<_> = user_ids.iter().map(String::as_str).collect();
    nodes[0].imd.create_users(&user_ids).await;
    let load = Load::start(cast).await;
    load.go_on_for(CALM).await;
    let pulse = Pulse::of(load.acknowledged());
    let mut pauses = Vec::new();
    for node in &mut nodes {
        for (event, signal) in
            [("stopped", Signal::SIGTERM), ("killed", Signal::SIGKILL), ("held", Signal::SIGSTOP)]
        {
            pulse.longest();
            if signal == Signal::SIGSTOP {
                kill(node.imd.pid(), signal).expect("it runs");
                sleep(STANDSTILL).await;
                // It wakes up when its sessions are at the other one: that must do no harm.
                kill(node.imd.pid(), Signal::SIGCONT).expect("it runs");
            } else {
                node.imd.end(signal).await;
                load.go_on_for(CALM).await;
                node.start_again().await;
            }
            load.go_on_for(CALM).await;
            pauses.push((event, pulse.longest()));
        }
    }
    let story = load.finish(database.url(), PATIENCE).await;
    println!("{story}");
    for (event, pause) in &pauses {
        println!("a node is {event}: {pause:.1?} without an ack");
    }
    story.assert_sound();
    assert!(pauses.iter().all(|(_, pause)| *pause < PAUSE), "{pauses:?}");
}
