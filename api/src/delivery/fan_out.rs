//! Fan-out: gets what was appended to groups' timelines into those of their members. Groups wait in a
//! set, so one that many write to is brought up once for many messages.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use metrics::{counter, histogram};
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{RENUMBERED, hint::SharedPlace, hint_queue::HintQueue, hub::Hub};
use crate::{
    model::{EntryKind, GroupNo, Result, TimelineNo, UserNo},
    planted_bugs::PlantedBugs,
    store::{FannedOut, Store},
    tasks::{Run, Task, Tasks},
    telemetry,
};

/// How many groups a node brings up at a time.
const WORKERS: usize = 2;

/// How long to wait after a failure.
const PAUSE: Duration = Duration::from_millis(200);

/// How often a node looks for groups that were left behind, such as by a node that has died.
const SWEEP: Duration = Duration::from_secs(5);

/// How many members are told in one go.
const MEMBERS: i64 = 500;

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
    bugs: PlantedBugs,
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
    pub(super) fn new(
        store: Store,
        hub: Arc<Hub>,
        hint_queue: HintQueue,
        node_no: i64,
        bugs: PlantedBugs,
    ) -> Self {
        Self { store, hub, hint_queue, node_no, waiting: Arc::default(), bugs }
    }

    /// Starts the workers, and the look for what others have left behind.
    pub(super) fn start(&self, tasks: &Tasks) {
        for number in 0..WORKERS {
            let worker = Worker { fan_out: self.clone(), at: None };
            tasks.start(Task::new(format!("fan_out_{number}")), worker);
        }
        let sweeper = self.clone();
        tasks.start(Task::new("fan_out_sweep"), move || sweeper.clone().sweep());
    }

    /// Has the members of a group brought up to its timeline.
    pub(super) fn want(&self, group_no: GroupNo) {
        self.waiting.groups.lock().waiting.insert(group_no);
        self.waiting.some.notify_one();
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
            self.bugs.pass("fan_out/committed");
            self.hand_over(&fanned_out);
            if !fanned_out.more {
                histogram!(telemetry::FAN_OUT_SECONDS).record(began.elapsed());
                return Ok(());
            }
        }
    }

    /// Has the streams of all members, on every node, read the log.
    async fn wake_members(&self, group_no: GroupNo) -> Result<()> {
        let mut after = UserNo(0);
        loop {
            let members = self.store.group_members(group_no, after, MEMBERS).await?;
            let Some(last) = members.last() else { return Ok(()) };
            after = last.user_no;
            let places = members.iter().map(|member| (member.user_no.into(), RENUMBERED));
            let places: Vec<(TimelineNo, i64)> = places.collect();
            for (owner, seq) in &places {
                self.hub.wake(*owner, *seq);
            }
            self.hint_queue.announce_places(places);
        }
    }

    /// Hands references over to the streams of this node, and tells the others.
    fn hand_over(&self, fanned_out: &FannedOut) {
        counter!(telemetry::REFERENCES).increment(fanned_out.references.len() as u64);
        let other_nodes = Arc::new(fanned_out.other_nodes.clone());
        let mut told: BTreeMap<i64, Vec<SharedPlace>> = BTreeMap::new();
        for reference in &fanned_out.references {
            if let Some(kind) = fanned_out.kinds.get(&reference.group_seq) {
                self.hub.recipients().note_kind(reference.owner, kind);
            }
            let elsewhere = other_nodes.contains_key(&reference.owner);
            if !elsewhere && !self.hub.has_streams(reference.owner) {
                continue;
            }
            let said = fanned_out.kinds.get(&reference.group_seq);
            let Some(kind) = said.filter(|kind| is_told_in_whole(kind)) else {
                // Purged meanwhile, or not to be told of as it is: streams read the log.
                self.hub.wake(reference.owner, reference.cursor.seq);
                if elsewhere && said.is_some() {
                    let place = (reference.owner, reference.cursor.seq);
                    self.hint_queue.announce_places([place]);
                }
                continue;
            };
            let place = SharedPlace::of(reference);
            if self.hub.has_streams(reference.owner) {
                self.hub.publish(reference.owner, &Arc::new(place.entry(kind)));
            }
            if elsewhere {
                told.entry(reference.group_seq).or_default().push(place);
            }
        }
        for (group_seq, places) in told {
            if let Some(kind) = fanned_out.kinds.get(&group_seq) {
                self.hint_queue.announce_shared(kind.clone(), places, &other_nodes);
            }
        }
    }
}

/// Whether a reference says where the member has all that the entry names: of an edit it says where the message
/// is, and not where the one is that the message quotes, nor which of the reactions to it are the member's.
fn is_told_in_whole(kind: &EntryKind) -> bool {
    match kind {
        EntryKind::MessageEdited(edited) => {
            edited.message.reply_to.is_none() && edited.message.reactions.is_empty()
        }
        _ => true,
    }
}

/// Brings up one group after the other.
struct Worker {
    fan_out: FanOut,
    /// The group that it is at.
    at: Option<GroupNo>,
}

impl Run for Worker {
    /// Runs for ever.
    async fn run(&mut self) {
        self.clear_up().await;
        let waiting = self.fan_out.waiting.clone();
        loop {
            let Some(group) = self.fan_out.take() else {
                waiting.some.notified().await;
                continue;
            };
            let group_no = group.group_no;
            self.at = Some(group_no);
            // Another worker may take the next.
            waiting.some.notify_one();
            if let Err(error) = self.fan_out.bring_up(group_no).await {
                tracing::warn!(%error, group = group_no.0, "a fan-out failed; it goes on in a moment");
                sleep(PAUSE).await;
                self.fan_out.want(group_no);
            }
            drop(group);
            self.at = None;
        }
    }
}

impl Worker {
    /// After a panic: the rest of the group is still to be brought up, and who has got references and was not
    /// told of them is not known.
    async fn clear_up(&mut self) {
        let Some(group_no) = self.at else { return };
        self.fan_out.want(group_no);
        while let Err(error) = self.fan_out.wake_members(group_no).await {
            tracing::warn!(%error, group = group_no.0, "the members of a group are told late");
            sleep(PAUSE).await;
        }
        self.at = None;
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
