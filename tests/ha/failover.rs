//! Failovers under load: twenty users with two terminals each, two nodes, three PostgreSQL servers.
//! What was acknowledged before a failover stands behind it, once and in order, on every terminal.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::{patroni::Patroni, pulse::Pulse};
use crate::{
    faults::load::{Cast, Load},
    support::process::{DataFolder, Imd},
};

/// How many messages are acknowledged before an event and after it.
const CALM: u64 = 200;

/// How soon sends go on once there is a primary that takes writes, whatever the old one does.
const GO_ON: Duration = Duration::from_secs(5);

/// How soon Patroni has another primary: ten seconds until the old one counts as gone, and the time of
/// an election and a promotion on a busy machine.
const ELECTION: Duration = Duration::from_secs(40);

/// How long etcd keeps silent: longer than a leader may be silent.
const ETCD_SILENT: Duration = Duration::from_secs(12);

/// How long the terminals may take to have everything after the last message.
const PATIENCE: Duration = Duration::from_secs(30);

/// What an event cost.
struct Outcome {
    event: &'static str,
    /// The longest time without an acknowledgement.
    pause: Duration,
    /// What of it passed since there was a primary.
    behind_primary: Option<Duration>,
}

struct Stage {
    patroni: Patroni,
    primary: usize,
    load: Load,
    pulse: Pulse,
    outcomes: Vec<Outcome>,
    nodes: [(DataFolder, Imd); 2],
}

async fn node(url: &str) -> (DataFolder, Imd) {
    let folder = DataFolder::new();
    // Terminals give a stream up that has been silent for three heartbeats.
    folder.write_settings("streams.heartbeat = \"1s\"\n");
    let imd = folder.start_node(url).await;
    (folder, imd)
}

impl Stage {
    async fn start(patroni: Patroni, seed: u64) -> Self {
        let primary = patroni.primary_other_than(None).await;
        let nodes = [node(&patroni.url()).await, node(&patroni.url()).await];
        let servers = nodes.iter().map(|(_, imd)| imd.public).collect();
        let cast = Cast { users: 20, pause: 20..100, seed, servers };
        let user_ids = cast.user_ids();
        let user_ids: Vec<_> = user_ids.iter().map(String::as_str).collect();
        nodes[0].1.create_users(&user_ids).await;
        let load = Load::start(cast).await;
        load.go_on_for(CALM).await;
        let pulse = Pulse::of(load.acknowledged());
        Self { patroni, primary, load, pulse, outcomes: Vec::new(), nodes }
    }

    /// Has the primary fail as `event` says, and waits for the load to go on with the next.
    async fn lose_primary(
        &mut self,
        event: &'static str,
        fail: impl AsyncFnOnce(&mut Patroni, usize),
    ) {
        self.pulse.longest();
        let began = Instant::now();
        let old = self.primary;
        fail(&mut self.patroni, old).await;
        self.primary = self.patroni.primary_other_than(Some(old)).await;
        let promoted = Instant::now();
        let elected = began.elapsed();
        assert!(elected < ELECTION, "{event}: a primary after {elected:?}");
        let mut acknowledged = self.load.acknowledged();
        acknowledged.mark_unchanged();
        let sent = timeout(ELECTION, acknowledged.changed()).await;
        assert!(sent.is_ok(), "{event}: no message goes through");
        let behind_primary = Some(promoted.elapsed());
        self.load.go_on_for(CALM).await;
        let pause = self.pulse.longest();
        self.outcomes.push(Outcome { event, pause, behind_primary });
    }

    async fn finish(self) {
        let url = self.patroni.url_of(self.primary);
        let story = self.load.finish(&url, PATIENCE).await;
        println!("{story}");
        for Outcome { event, pause, behind_primary } in &self.outcomes {
            let behind = behind_primary.map(|d| format!(", {d:.1?} of it with a primary"));
            println!("{event}: {pause:.1?} without an ack{}", behind.unwrap_or_default());
        }
        for (_, node) in &self.nodes {
            let log = node.log();
            log.lines()
                .filter(|line| line.contains("generation"))
                .for_each(|line| println!("{line}"));
        }
        story.assert_sound();
        for Outcome { event, behind_primary, .. } in &self.outcomes {
            let late = behind_primary.is_some_and(|behind| behind > GO_ON);
            assert!(!late, "{event}: sends go on {behind_primary:?} after the election");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_synchronous_failover_loses_nothing() {
    let mut stage = Stage::start(Patroni::start(true).await, 0x5afe).await;
    stage
        .lose_primary("switchover", async |patroni, primary| patroni.switch_over(primary).await)
        .await;
    stage.patroni.replicated().await;
    let mut killed = 0;
    stage
        .lose_primary("kill -9 of the primary", async |patroni, primary| {
            killed = primary;
            patroni.kill(primary).await;
        })
        .await;
    stage.patroni.start_again(killed);
    stage.patroni.replicated().await;
    let mut frozen = 0;
    stage
        .lose_primary("the primary hangs", async |patroni, primary| {
            frozen = primary;
            patroni.freeze(primary);
        })
        .await;
    // The old primary wakes up, with all that was said to it meanwhile.
    stage.patroni.thaw(frozen).await;
    stage.patroni.replicated().await;
    stage.load.go_on_for(CALM).await;

    stage.pulse.longest();
    stage.patroni.freeze_etcd();
    sleep(ETCD_SILENT).await;
    stage.patroni.thaw_etcd();
    stage.load.go_on_for(CALM).await;
    let pause = stage.pulse.longest();
    stage.outcomes.push(Outcome { event: "etcd hangs", pause, behind_primary: None });
    stage.finish().await;
}
