//! Fan-out: gets what was appended to groups' timelines into those of their members. Groups wait in a
//! queue, each once, so one that many write to is brought up once for many messages.
//!
//! A group that was just brought up rests for as long as that took. One message costs each member's
//! counters and transaction as much as ten do, so a large group that is written to all the time would
//! otherwise take all there is for itself, and cost twice as much. One that is quiet never waits.

mod queue;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use metrics::{counter, histogram};
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval, sleep, timeout_at},
};
use tracing::{Instrument, Span, field::Empty};

use self::queue::{Next, Queue};
use super::{RENUMBERED, hint::SharedPlace, hint_queue::HintQueue, hub::Hub};
use crate::{
    model::{EntryKind, GroupNo, Result, TimelineNo, UserNo},
    planted_bugs::PlantedBugs,
    store::{FannedOut, Store},
    tasks::{Run, Task, Tasks},
    telemetry::{
        self,
        trace::{self, TARGET},
    },
};

/// How many groups a node brings up at a time.
const WORKERS: usize = 2;

/// The longest that a group rests after it was brought up.
const LONGEST_REST: Duration = Duration::from_millis(250);

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
    queue: Mutex<Queue>,
    /// Notified when a group may have become due.
    some: Notify,
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
        self.waiting.queue.lock().push(group_no);
        self.waiting.some.notify_one();
    }

    /// How many groups wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.queue.lock().len()
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

    /// The next group that is due; waits for it.
    async fn take(&self) -> UnderWay {
        loop {
            let next = self.waiting.queue.lock().take(Instant::now());
            match next {
                Next::Group(group_no) => {
                    let waiting = self.waiting.clone();
                    return UnderWay { waiting, group_no, began: Instant::now() };
                }
                Next::Resting(until) => {
                    // Either may be what makes a group due.
                    timeout_at(until.into(), self.waiting.some.notified()).await.ok();
                }
                Next::Nothing => self.waiting.some.notified().await,
            }
        }
    }

    async fn bring_up(&self, group_no: GroupNo) -> Result<()> {
        let began = Instant::now();
        loop {
            let span = tracing::info_span!(target: TARGET, parent: None, "fan_out", imd.message_id = Empty, imd.references = Empty);
            let fanned_out =
                self.store.fan_out(group_no, self.node_no).instrument(span.clone()).await?;
            trace_references(group_no, &fanned_out, &span);
            drop(span);
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

/// Notes of which traces references are: those of what they refer to. The span is of the trace of the last.
fn trace_references(group_no: GroupNo, fanned_out: &FannedOut, span: &Span) {
    if span.is_disabled() {
        return;
    }
    span.record("imd.references", fanned_out.references.len());
    let mut last = None;
    for reference in &fanned_out.references {
        let origin = trace::origin(group_no.into(), reference.group_seq);
        trace::note_same(origin.as_ref(), reference.owner, reference.cursor.seq);
        last = origin.or(last);
    }
    if let Some(origin) = last {
        trace::note_fan_out(&origin, span);
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
        loop {
            let group = self.fan_out.take().await;
            let group_no = group.group_no;
            self.at = Some(group_no);
            // Another worker may take the next.
            self.fan_out.waiting.some.notify_one();
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
    began: Instant,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let now = Instant::now();
        let took = now.saturating_duration_since(self.began);
        self.waiting.queue.lock().done(self.group_no, now + took.min(LONGEST_REST));
        // It may have been wanted again meanwhile.
        self.waiting.some.notify_one();
    }
}
