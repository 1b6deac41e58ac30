//! Fan-out: gets what was appended to groups' timelines into those of their members. Groups wait in a
//! set, so one that many write to is brought up once for many messages.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use metrics::{counter, histogram};
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{hint_queue::HintQueue, hub::Hub};
use crate::{
    model::{Entry, EntryKind, GroupNo, Result},
    store::{FannedOut, Reference, Store},
    tasks::{Task, Tasks},
    telemetry,
};

/// How many groups a node brings up at a time.
const WORKERS: usize = 2;

/// How long to wait after a failure.
const PAUSE: Duration = Duration::from_millis(200);

/// How often a node looks for groups that were left behind, such as by a node that has died.
const SWEEP: Duration = Duration::from_secs(5);

/// How many groups a look returns.
const SWEEP_BATCH: i64 = 500;

/// The groups whose members are to be brought up. Cheap to clone.
#[derive(Clone)]
pub(super) struct FanOut {
    store: Store,
    hub: Arc<Hub>,
    hint_queue: HintQueue,
    node_no: i64,
    waiting: Arc<Waiting>,
}

#[derive(Default)]
struct Waiting {
    groups: Mutex<Groups>,
    some: Notify,
}

#[derive(Default)]
struct Groups {
    waiting: BTreeSet<GroupNo>,
    /// Those that a worker is at: one that is wanted meanwhile waits until it is done.
    under_way: BTreeSet<GroupNo>,
}

impl FanOut {
    pub(super) fn new(store: Store, hub: Arc<Hub>, hint_queue: HintQueue, node_no: i64) -> Self {
        Self { store, hub, hint_queue, node_no, waiting: Arc::default() }
    }

    /// Starts the workers, and the look for what others have left behind.
    pub(super) fn start(&self, tasks: &Tasks) {
        for number in 0..WORKERS {
            let worker = self.clone();
            let task = Task::new(format!("fan_out_{number}"));
            tasks.start(task, move || worker.clone().work());
        }
        let sweeper = self.clone();
        tasks.start(Task::new("fan_out_sweep"), move || sweeper.clone().sweep());
    }

    /// Has the members of a group brought up to its timeline.
    pub(super) fn want(&self, group_no: GroupNo) {
        self.waiting.groups.lock().waiting.insert(group_no);
        self.waiting.some.notify_one();
    }

    /// Brings up one group after the other. Runs for ever.
    async fn work(self) {
        loop {
            let Some(group) = self.take() else {
                self.waiting.some.notified().await;
                continue;
            };
            let group_no = group.group_no;
            // Another worker may take the next.
            self.waiting.some.notify_one();
            if let Err(error) = self.bring_up(group_no).await {
                tracing::warn!(%error, group = group_no.0, "a fan-out failed; it goes on in a moment");
                sleep(PAUSE).await;
                self.want(group_no);
            }
            drop(group);
        }
    }

    /// Looks for groups that were left behind. Runs for ever.
    async fn sweep(self) {
        let mut ticks = interval(SWEEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.sweep_once().await {
                tracing::warn!(%error, "cannot look for groups that were left behind");
            }
        }
    }

    async fn sweep_once(&self) -> Result<()> {
        let mut after = GroupNo(0);
        loop {
            let groups = self.store.groups_behind(after, SWEEP_BATCH).await?;
            let Some(last) = groups.last() else { return Ok(()) };
            after = *last;
            for group_no in groups {
                self.want(group_no);
            }
        }
    }

    fn take(&self) -> Option<UnderWay> {
        let mut groups = self.waiting.groups.lock();
        let Groups { waiting, under_way } = &mut *groups;
        let next = waiting.iter().find(|group_no| !under_way.contains(group_no)).copied()?;
        waiting.remove(&next);
        under_way.insert(next);
        Some(UnderWay { waiting: self.waiting.clone(), group_no: next })
    }

    async fn bring_up(&self, group_no: GroupNo) -> Result<()> {
        let began = Instant::now();
        loop {
            let fanned_out = self.store.fan_out(group_no, self.node_no).await?;
            self.hand_over(&fanned_out);
            if !fanned_out.more {
                histogram!(telemetry::FAN_OUT_SECONDS).record(began.elapsed());
                return Ok(());
            }
        }
    }

    /// Hands references over to the streams of this node, and tells the others.
    fn hand_over(&self, fanned_out: &FannedOut) {
        counter!(telemetry::REFERENCES).increment(fanned_out.references.len() as u64);
        let other_nodes = Arc::new(fanned_out.other_nodes.clone());
        let mut told = Vec::new();
        for reference in &fanned_out.references {
            let elsewhere = other_nodes.contains_key(&reference.owner);
            if !elsewhere && !self.hub.has_streams(reference.owner) {
                continue;
            }
            let Some(kind) = fanned_out.kinds.get(&reference.group_seq) else {
                // Purged meanwhile: streams read the log.
                self.hub.wake(reference.owner, reference.cursor.seq);
                continue;
            };
            let entry = Arc::new(entry(reference, kind));
            self.hub.publish(reference.owner, &entry);
            if elsewhere {
                told.push((reference.owner, entry));
            }
        }
        self.hint_queue.announce(&told, Some(&other_nodes));
    }
}

/// A group that a worker is at, until this is dropped: also when the worker panics.
struct UnderWay {
    waiting: Arc<Waiting>,
    group_no: GroupNo,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.waiting.groups.lock().under_way.remove(&self.group_no);
        // It may have been wanted again meanwhile.
        self.waiting.some.notify_one();
    }
}

/// What a member's terminals get of an entry of the group's timeline.
fn entry(reference: &Reference, kind: &EntryKind) -> Entry {
    let mut kind = kind.clone();
    match &mut kind {
        EntryKind::Message(message) => message.mentioned = reference.mentioned,
        EntryKind::MessageRecalled(gone) => gone.seq = reference.target_seq.unwrap_or_default(),
        _ => {}
    }
    Entry { cursor: reference.cursor, appended_at: reference.appended_at, kind }
}
