//! Faults under load: twenty users with two terminals each, two nodes as processes, one database. The
//! terminals reconnect to whichever node answers, and all of them tell the same story in the end.

use std::{env, time::Duration};

use fastrand::Rng;
use nix::sys::signal::{Signal, kill};
use tokio::time::{Instant, sleep};
use tokio_postgres::NoTls;

use super::{
    load::{Cast, Load},
    process_node::{Footing, ProcessNode},
    proxy::Side,
    until,
};
use crate::support::{nats::Nats, postgres::Database, process::DataFolder, within_deadline};

/// How many messages are acknowledged before a fault and after it.
const CALM: u64 = 200;

/// How many commits are cut off in a round.
const CUTS: usize = 50;

/// How long what is broken stays so.
pub(super) const OUTAGE: Duration = Duration::from_secs(2);

/// How long a node stands still. Its streams are given up meanwhile.
const STANDSTILL: Duration = Duration::from_secs(6);

/// How long nobody may get an acknowledgement at most: what is broken stays so for seconds, PostgreSQL recovers in seconds,
/// and clients pause for seconds before they try again.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);

/// How long the terminals may take to have everything after the last message: what is left of a pause
/// before they connect again, but not so long that the sweep of each minute does it for them.
const PATIENCE: Duration = Duration::from_secs(20);

/// The load, and what it runs on.
pub(super) struct Stage {
    pub(super) nodes: [ProcessNode; 2],
    nats: Option<Nats>,
    /// `None` when the first node has a database of its own.
    _database: Option<Database>,
}

impl Stage {
    async fn on_a_database_of_its_own(nats: Option<Nats>) -> Self {
        let bus_url = nats.as_ref().map(Nats::url);
        let first = ProcessNode::start(None, bus_url.as_deref()).await;
        let second = ProcessNode::start(Some(first.database_url()), bus_url.as_deref()).await;
        Self { nodes: [first, second], nats, _database: None }
    }

    /// A first node whose database is its own, in a folder that may have been used before, and a second one on it.
    pub(super) async fn on_footing(folder: DataFolder, footings: [Footing; 2]) -> Self {
        let [first, second] = footings;
        let first = ProcessNode::start_on(folder, first, None, None).await;
        let url = first.database_url().to_owned();
        let second = ProcessNode::start_on(DataFolder::new(), second, Some(&url), None).await;
        Self { nodes: [first, second], nats: None, _database: None }
    }

    async fn on(database: Database, nats: Option<Nats>) -> Self {
        let bus_url = nats.as_ref().map(Nats::url);
        let node = || ProcessNode::start(Some(database.url()), bus_url.as_deref());
        let nodes = [node().await, node().await];
        Self { nodes, nats, _database: Some(database) }
    }

    async fn start() -> Self {
        Self::on(Database::create().await, None).await
    }

    /// Runs the load, and what goes wrong `once`, or again and again.
    pub(super) async fn endure(mut self, seed: u64, once: impl AsyncFn(&mut Self, &mut Rng)) {
        let seed = env::var("IMD_CHAOS_SEED").map_or(seed, |seed| seed.parse().expect("a number"));
        let seconds = env::var("IMD_CHAOS_SECONDS");
        let seconds = seconds.map_or(0, |seconds| seconds.parse().expect("a number"));
        let mut rng = Rng::with_seed(seed);
        let cast = Cast {
            users: 20,
            pause: 20..100,
            seed,
            servers: self.nodes.iter().map(ProcessNode::address).collect(),
        };
        self.nodes[0].create_users(&cast.user_ids()).await;
        let load = Load::start(cast).await;
        let ends = Instant::now() + Duration::from_secs(seconds);
        let mut rounds = 0;
        load.go_on_for(CALM).await;
        while rounds == 0 || Instant::now() < ends {
            once(&mut self, &mut rng).await;
            load.go_on_for(CALM).await;
            rounds += 1;
        }
        let story = load.finish(self.nodes[1].database_url(), PATIENCE).await;
        println!("seed {seed}: {rounds} rounds; {story}");
        story.assert_sound();
        story.assert_silence_below(LONGEST_SILENCE);
    }

    fn any_node(&mut self, rng: &mut Rng) -> &mut ProcessNode {
        &mut self.nodes[rng.usize(..2)]
    }
}

async fn kill_a_node(stage: &mut Stage, rng: &mut Rng) {
    let node = stage.any_node(rng);
    node.kill().await;
    sleep(OUTAGE).await;
    node.start_again().await;
}

async fn stop_a_node(stage: &mut Stage, rng: &mut Rng) {
    let node = stage.any_node(rng);
    node.signal(Signal::SIGSTOP);
    sleep(STANDSTILL).await;
    node.signal(Signal::SIGCONT);
}

async fn drain_a_node(stage: &mut Stage, rng: &mut Rng) {
    let node = stage.any_node(rng);
    node.drain().await;
    node.start_again().await;
}

/// The connections of clients to a node, then those of the node to the database.
async fn trouble_the_network(stage: &mut Stage, rng: &mut Rng) {
    let node = stage.any_node(rng);
    for proxy in [Some(&node.front), node.back.as_ref()].into_iter().flatten() {
        proxy.cut();
        proxy.slow(Duration::from_millis(rng.u64(20..200)));
        sleep(OUTAGE).await;
        proxy.silence();
        sleep(OUTAGE).await;
        proxy.clear();
        proxy.refuse();
        sleep(OUTAGE).await;
        proxy.clear();
    }
}

/// Connections to the database end at the moment of a COMMIT, before it or behind it.
async fn cut_off_commits(stage: &mut Stage, rng: &mut Rng) {
    for _ in 0..CUTS {
        let side = if rng.bool() { Side::Client } else { Side::Server };
        let back = stage.any_node(rng).back.as_ref().expect("a database behind a proxy");
        within_deadline("a commit", back.cut_at(side, b"COMMIT\0")).await;
    }
}

async fn kill_postgres(stage: &mut Stage, _: &mut Rng) {
    let folder = stage.nodes[0].folder();
    kill(folder.postmaster().expect("PostgreSQL runs"), Signal::SIGKILL).expect("it runs");
    postgres_is_back(stage).await;
}

/// All of its processes stand still, and their connections with them.
async fn stop_postgres(stage: &mut Stage, _: &mut Rng) {
    let folder = stage.nodes[0].folder();
    folder.signal_postgres(Signal::SIGSTOP);
    sleep(STANDSTILL).await;
    folder.signal_postgres(Signal::SIGCONT);
}

async fn kill_a_node_and_postgres(stage: &mut Stage, _: &mut Rng) {
    let postmaster = stage.nodes[0].folder().postmaster().expect("PostgreSQL runs");
    stage.nodes[0].kill().await;
    kill(postmaster, Signal::SIGKILL).expect("it runs");
    sleep(OUTAGE).await;
    stage.nodes[0].start_again().await;
}

/// Waits until the first node's PostgreSQL takes connections.
pub(super) async fn postgres_is_back(stage: &Stage) {
    let url = stage.nodes[0].database_url();
    until("PostgreSQL is back", PATIENCE, async || {
        tokio_postgres::connect(url, NoTls).await.ok().map(drop)
    })
    .await;
}

async fn kill_nats(stage: &mut Stage, _: &mut Rng) {
    let nats = stage.nats.as_mut().expect("it is the bus");
    nats.kill().await;
    sleep(OUTAGE).await;
    nats.start_again().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_killed() {
    Stage::start().await.endure(0xdead, kill_a_node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_stand_still() {
    Stage::start().await.endure(0x5709, stop_a_node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_drained() {
    Stage::start().await.endure(0xd4a1, drain_a_node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_cut_slow_silent_and_refused() {
    Stage::start().await.endure(0xc077, trouble_the_network).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_are_cut_off() {
    Stage::start().await.endure(0xc117, cut_off_commits).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_is_killed() {
    Stage::on_a_database_of_its_own(None).await.endure(0xdb, kill_postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_stands_still() {
    Stage::on_a_database_of_its_own(None).await.endure(0x5701, stop_postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_and_postgres_are_killed_at_once() {
    Stage::on_a_database_of_its_own(None).await.endure(0xdead_00db, kill_a_node_and_postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_is_killed() {
    let stage = Stage::on(Database::create().await, Some(Nats::start().await)).await;
    stage.endure(0x7a75, kill_nats).await;
}

/// One after another, in an order that is drawn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_it() {
    let stage = Stage::on_a_database_of_its_own(Some(Nats::start().await)).await;
    let all = async |stage: &mut Stage, rng: &mut Rng| {
        let mut faults = [0, 1, 2, 3, 4, 5];
        rng.shuffle(&mut faults);
        for fault in faults {
            match fault {
                0 => kill_a_node(stage, rng).await,
                1 => stop_a_node(stage, rng).await,
                2 => drain_a_node(stage, rng).await,
                3 => trouble_the_network(stage, rng).await,
                4 => kill_postgres(stage, rng).await,
                _ => kill_nats(stage, rng).await,
            }
        }
    };
    stage.endure(0xa11, all).await;
}
