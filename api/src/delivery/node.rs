//! The node among the others: its heartbeat, the hints it receives, and the sweeps that make up for
//! those it does not.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use metrics::{counter, gauge};
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::{
    RENUMBERED,
    bus::{Bus, Frame},
    fetcher::Fetcher,
    hint::{Incoming, SharedPlace},
    hint_queue::HintQueue,
    hub::Hub,
    presence::PresenceOfNode,
};
use crate::{
    model::Result,
    planted_bugs::PlantedBugs,
    store::{LoginPoint, PeerHeartbeat, Store},
    tasks::{Task, Tasks},
    telemetry::{self, trace},
};

/// How often a node says that it runs. Ten times that without a word and it counts as dead.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How often a node compares its streams with their timelines though nothing seems to be missing.
const SWEEP: Duration = Duration::from_mins(1);

/// How long to wait after a failure.
const PAUSE: Duration = Duration::from_millis(500);

/// How many timelines a sweep compares at a time.
const SWEEP_BATCH: usize = 1000;

pub(super) struct Node {
    pub(super) store: Store,
    pub(super) hub: Arc<Hub>,
    pub(super) presence: Arc<PresenceOfNode>,
    pub(super) fetcher: Fetcher,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) hint_queue: HintQueue,
    pub(super) node_no: i64,
    pub(super) node_id: String,
    pub(super) version: &'static str,
    pub(super) peers: Mutex<HashMap<i64, Peer>>,
    pub(super) sweep_wanted: Notify,
    pub(super) bugs: PlantedBugs,
}

/// What is known of another node.
#[derive(Debug, Default)]
pub(super) struct Peer {
    alive: bool,
    /// The last hint that came from there.
    received: i64,
    /// The last hint that it said, at the heartbeat before, to have sent.
    announced: i64,
}

impl Node {
    /// Starts the tasks that keep the node in its cluster.
    pub(super) fn start(self, tasks: &Tasks) {
        let node = Arc::new(self);
        let of = |node: &Arc<Self>| node.clone();
        let (hearing, fetching, beating) = (of(&node), of(&node), of(&node));
        let sweeping = node;
        tasks.start(Task::new("bus_listener"), move || hearing.clone().hear());
        tasks.start(Task::new("fetcher"), move || fetching.clone().fetch());
        tasks.start(Task::new("heartbeat"), move || beating.clone().beat());
        tasks.start(Task::new("sweep"), move || sweeping.clone().sweep());
    }

    /// Fetches for ever.
    async fn fetch(self: Arc<Self>) {
        // What was to be fetched at a panic.
        self.sweep_wanted.notify_one();
        self.fetcher.run().await;
    }

    async fn hear(self: Arc<Self>) {
        loop {
            match self.bus.listen(self.node_no).await {
                Ok(mut hints) => {
                    // What was said while nobody listened is lost.
                    self.sweep_wanted.notify_one();
                    self.presence.sweep();
                    while let Some(frame) = hints.next().await {
                        match frame {
                            Frame::Hint(hint) => self.take(&hint),
                            Frame::Signals(signals) => signals.for_each(|owner, signal, except| {
                                self.hub.signal(owner, signal, except);
                            }),
                            Frame::Presence(frame) => self.presence.take(frame.into()),
                        }
                    }
                    tracing::warn!("hints may have been lost; listening again");
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot listen for hints");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Hands on what a hint carries, and has the rest fetched.
    fn take(&self, hint: &Incoming) {
        for traced in &hint.traces {
            let origin = traced.note();
            let first = |places: &[SharedPlace]| {
                places
                    .first()
                    .is_some_and(|of| (of.owner, of.cursor.seq) == (traced.owner, traced.seq))
            };
            let shared = hint.shared.iter().filter(|shared| first(&shared.places));
            for place in shared.flat_map(|shared| &shared.places) {
                trace::note_same(origin.as_ref(), place.owner, place.cursor.seq);
            }
            if let Some(origin) = origin {
                trace::note_hint(&origin, hint.from);
            }
        }
        for (owner, entry) in &hint.entries {
            self.hub.publish(*owner, entry);
        }
        for shared in &hint.shared {
            for place in &shared.places {
                if self.hub.has_streams(place.owner) {
                    self.hub.publish(place.owner, &Arc::new(place.entry(&shared.kind)));
                }
            }
        }
        self.fetcher.want(&hint.timelines);
        if self.peers.lock().entry(hint.from).or_default().receive(hint.no) {
            counter!(telemetry::HINTS_LOST).increment(1);
            self.sweep_wanted.notify_one();
        }
    }

    async fn beat(self: Arc<Self>) {
        let mut ticks = interval(HEARTBEAT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut generation = self.store.generation();
        loop {
            ticks.tick().await;
            let beat = self.beat_once().await;
            let last = std::mem::replace(&mut generation, self.store.generation());
            match beat {
                Ok(wanted) if wanted || generation != last => {
                    self.sweep_wanted.notify_one();
                    self.presence.sweep();
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "a heartbeat failed"),
            }
        }
    }

    /// Says that the node runs; whether there is a reason to sweep.
    async fn beat_once(&self) -> Result<bool> {
        let streams = i64::try_from(self.hub.streams()).unwrap_or(i64::MAX);
        let heartbeat =
            self.store.heartbeat(self.node_no, streams, &self.hint_queue.sent()).await?;
        if !heartbeat.known {
            self.register_anew().await?;
            return Ok(true);
        }
        let mut peers = self.peers.lock();
        let mut lost = false;
        for peer in &heartbeat.peers {
            let missing = peers.entry(peer.node_no).or_default().update(peer);
            counter!(telemetry::HINTS_LOST).increment(u64::from(missing));
            lost |= missing;
        }
        let alive = heartbeat.peers.iter().filter(|peer| peer.alive);
        let alive: Vec<_> = alive.map(|peer| peer.node_no).collect();
        self.hint_queue.set_peers(&alive);
        gauge!(telemetry::NODES).set(u32::try_from(alive.len() + 1).unwrap_or(u32::MAX));
        let known = peers.len();
        peers.retain(|node_no, _| heartbeat.peers.iter().any(|peer| peer.node_no == *node_no));
        // One that has left may have taken its last hints with it.
        Ok(lost || peers.len() < known)
    }

    async fn register_anew(&self) -> Result<()> {
        tracing::info!("registering the node and its streams anew");
        self.store.restore_node(self.node_no, &self.node_id, self.version).await?;
        let points = self.hub.points();
        self.store.add_login_points(self.node_no, &points, false).await?;
        // Those that left meanwhile may have been removed before they stood.
        let open: HashSet<LoginPoint> = self.hub.points().into_iter().collect();
        let left: Vec<LoginPoint> = points.into_iter().filter(|p| !open.contains(p)).collect();
        self.store.remove_login_points(self.node_no, &left).await?;
        // The marker comes last: while it is missing, all this is repeated.
        self.store.mark_login_points(self.node_no).await
    }

    async fn sweep(self: Arc<Self>) {
        loop {
            // Sweep when asked to, and at the latest every `SWEEP`.
            let _ = timeout(SWEEP, self.sweep_wanted.notified()).await;
            if let Err(error) = self.sweep_once().await {
                tracing::warn!(%error, "a sweep failed");
                sleep(PAUSE).await;
                self.sweep_wanted.notify_one();
            }
        }
    }

    /// Wakes every stream that is behind its timeline.
    async fn sweep_once(&self) -> Result<()> {
        if self.bugs.never_sweep() {
            return Ok(());
        }
        counter!(telemetry::SWEEPS).increment(1);
        for owners in self.hub.owners().chunks(SWEEP_BATCH) {
            for (owner, end) in self.store.ends_of(owners).await? {
                match end {
                    Some(end) => self.hub.compare(owner, end),
                    // Gone with its user, as the log says.
                    None => self.hub.wake(owner, RENUMBERED),
                }
            }
        }
        Ok(())
    }
}

impl Peer {
    /// Takes a hint's number; whether one before it is missing.
    fn receive(&mut self, no: i64) -> bool {
        let missing = no > self.received + 1;
        self.received = self.received.max(no);
        missing
    }

    /// Takes what the other node says of itself; whether something from it must have been lost: it
    /// died, perhaps between a commit and the hint, or a hint has been on its way for a whole heartbeat.
    fn update(&mut self, heartbeat: &PeerHeartbeat) -> bool {
        let died = self.alive && !heartbeat.alive;
        let missing = self.announced > self.received;
        self.received = self.received.max(self.announced);
        self.alive = heartbeat.alive;
        self.announced = heartbeat.last_hint;
        died || missing
    }
}
