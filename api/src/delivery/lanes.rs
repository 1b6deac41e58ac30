//! Lanes: each gathers the messages that arrive while its last batch commits, and commits them as the
//! next batch.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use metrics::{Histogram, counter, gauge, histogram};
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::timeout_at,
};
use tokio_util::sync::CancellationToken;
use tracing::{
    Instrument, Span,
    field::{Empty, display},
};

use super::{RENUMBERED, fan_out::FanOut, hint_queue::HintQueue, hub::Hub};
use crate::{
    model::{Error, GroupNo, Result, TimelineNo, UserNo, WhoMay},
    planted_bugs::PlantedBugs,
    store::{Append, AppendConnection, Appended},
    tasks::{Run, Task, Tasks},
    telemetry::{
        self, call,
        trace::{self, TARGET},
    },
};

/// A message that has waited this long is refused: its sender has given up or is about to.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a lane that was busy waits for its next batch to fill. The senders that its last commit
/// set free come back within this time; without the wait the first of them would have a batch to
/// itself, and all others would wait for that.
const LINGER: Duration = Duration::from_millis(1);

/// What a refused sender is told to wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How appends are gathered.
#[derive(Debug, Clone)]
pub struct LaneSettings {
    /// How many lanes, each with a connection of its own.
    pub lanes: usize,
    /// The most messages in a batch.
    pub batch: usize,
    /// The most messages that wait in a lane; more are refused with [`Error::Overloaded`].
    pub queue: usize,
    /// From whom users take messages who have not said.
    pub messages_from: WhoMay,
}

/// The lanes of one node.
pub(super) struct Lanes {
    queues: Vec<mpsc::Sender<Job>>,
}

struct Job {
    append: Append,
    queued_at: Instant,
    reply: oneshot::Sender<Result<Appended>>,
    /// Of its way through the lane.
    span: Span,
}

impl Lanes {
    pub(super) fn start(
        hub: &Arc<Hub>,
        hint_queue: &HintQueue,
        fan_out: &FanOut,
        settings: &LaneSettings,
        tasks: &Tasks,
        bugs: &PlantedBugs,
        connection: impl Fn() -> AppendConnection,
    ) -> Self {
        let start = |number| {
            let (queue, jobs) = mpsc::channel(settings.queue);
            let (done, finished) = mpsc::channel(1);
            let receivers = Receivers {
                hub: hub.clone(),
                hint_queue: hint_queue.clone(),
                fan_out: fan_out.clone(),
            };
            let lane = Lane {
                jobs,
                held_back: VecDeque::new(),
                connection: connection(),
                appends: Vec::new(),
                replies: Vec::new(),
                spans: Vec::new(),
                wait: histogram!(telemetry::WAIT_SECONDS),
                done,
                batch: settings.batch,
                last_batch: 0,
                receivers: receivers.clone(),
                stop: tasks.stopping(),
                bugs: bugs.clone(),
            };
            tasks.start(Task::new(format!("append_lane_{number}")).finishing(), lane);
            let batch = VecDeque::new();
            let handover = Handover { finished, batch, receivers, bugs: bugs.clone() };
            tasks.start(Task::new(format!("hand_over_{number}")).finishing(), handover);
            queue
        };
        gauge!(telemetry::LANES).set(u32::try_from(settings.lanes).unwrap_or(u32::MAX));
        Self { queues: (0..settings.lanes).map(start).collect() }
    }

    /// Queues for the sender's lane, so that one sender's messages keep their order.
    pub(super) fn append(&self, append: Append) -> Result<Appending> {
        let lane = append.sender.0.unsigned_abs() % self.queues.len() as u64;
        let queue = &self.queues[usize::try_from(lane).unwrap_or_default()];
        let (reply, answer) = oneshot::channel();
        let span = tracing::info_span!(target: TARGET, "append", imd.message_id = Empty);
        let job = Job { append, queued_at: Instant::now(), reply, span };
        queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => overloaded(),
            // A lane takes messages until its node stops.
            TrySendError::Closed(_) => Error::ShuttingDown,
        })?;
        Ok(Appending(answer))
    }

    /// How many messages wait for a batch.
    pub(super) fn queued(&self) -> usize {
        self.queues.iter().map(|queue| queue.max_capacity() - queue.capacity()).sum()
    }
}

/// A message that waits for its commit.
pub struct Appending(oneshot::Receiver<Result<Appended>>);

impl Appending {
    /// Waits for the commit. A message that nobody waits for any more while it is queued is dropped.
    pub async fn committed(self) -> Result<Appended> {
        // Only a lane that fails drops a message without an answer.
        self.0.await.map_err(|_| Error::OutcomeUnknown)?
    }
}

fn overloaded() -> Error {
    Error::Overloaded { retry_after: RETRY_AFTER }
}

struct Lane {
    jobs: mpsc::Receiver<Job>,
    /// Jobs that must not share a batch with one before them.
    held_back: VecDeque<Job>,
    connection: AppendConnection,
    /// The messages that are being committed, and the callers who wait for them.
    appends: Vec<Append>,
    replies: Vec<oneshot::Sender<Result<Appended>>>,
    spans: Vec<Span>,
    /// How long messages waited for their batch.
    wait: Histogram,
    done: mpsc::Sender<Vec<Done>>,
    batch: usize,
    /// How many messages the last batch held.
    last_batch: usize,
    receivers: Receivers,
    /// Cancelled when no more messages are to be taken; those that were taken are still appended.
    stop: CancellationToken,
    bugs: PlantedBugs,
}

impl Run for Lane {
    async fn run(&mut self) {
        self.clear_up();
        loop {
            if self.held_back.is_empty() {
                let job = tokio::select! {
                    job = self.jobs.recv() => job,
                    () = self.stop.cancelled(), if !self.jobs.is_closed() => {
                        self.jobs.close();
                        continue;
                    }
                };
                let Some(job) = job else { return };
                self.held_back.push_back(job);
            }
            let batch = self.gather().await;
            self.append(batch).await;
        }
    }
}

impl Lane {
    /// After a panic: nobody knows where the connection stands, nor whether the batch is committed. Its
    /// senders send it again, and get the places that it has if it is. Until one does, or if none does,
    /// the streams concerned find it in the log.
    fn clear_up(&mut self) {
        self.connection.close();
        for reply in self.replies.drain(..) {
            let _ = reply.send(Err(Error::OutcomeUnknown));
        }
        let appends = self.appends.drain(..);
        let owners = appends.flat_map(|append| append.timelines());
        let places: BTreeSet<_> = owners.map(|owner| (owner, RENUMBERED)).collect();
        self.receivers.tell_of(&places.into_iter().collect::<Vec<_>>());
    }

    /// The next batch: what was held back, then what waits, then what comes at once.
    async fn gather(&mut self) -> Vec<Job> {
        let mut batch = Vec::new();
        let mut ids = HashSet::new();
        // Who writes to a group gets first what others wrote there, so they do not share a batch.
        let mut senders: HashMap<GroupNo, UserNo> = HashMap::new();
        let mut waiting_senders = HashSet::new();
        let mut held_back = VecDeque::new();
        let linger_until = Instant::now() + LINGER;
        while batch.len() < self.batch {
            let waiting = self.held_back.pop_front().or_else(|| self.jobs.try_recv().ok());
            let job = match waiting {
                Some(job) => job,
                None if batch.len() < self.last_batch * 3 / 4 => {
                    match timeout_at(linger_until.into(), self.jobs.recv()).await {
                        Ok(Some(job)) => job,
                        Ok(None) | Err(_) => break,
                    }
                }
                None => break,
            };
            if job.reply.is_closed() {
                // Its caller has gone, or has no time left.
                continue;
            }
            if job.queued_at.elapsed() > PATIENCE {
                let _ = job.reply.send(Err(overloaded()));
                continue;
            }
            let sender = job.append.sender;
            let group = job.append.conversation.group();
            let alone = group.is_none_or(|group| *senders.entry(group).or_insert(sender) == sender);
            // The same message again waits for the result of the first; and whatever its sender sends
            // behind one that waits.
            let first = ids.insert((sender, job.append.client_message_id));
            if alone && first && !waiting_senders.contains(&sender) {
                self.wait.record(job.queued_at.elapsed());
                batch.push(job);
            } else {
                waiting_senders.insert(sender);
                held_back.push_back(job);
            }
        }
        held_back.append(&mut self.held_back);
        self.held_back = held_back;
        self.last_batch = batch.len();
        batch
    }

    /// Notes of which traces the entries are that were appended.
    fn note_traces(&mut self, results: &[Result<Appended>]) {
        for (span, result) in self.spans.drain(..).zip(results) {
            let Ok(appended) = result else { continue };
            if span.is_disabled() {
                continue;
            }
            span.record("imd.message_id", display(&appended.message_id));
            for (owner, seq) in &appended.places {
                trace::note_entry(&span, *owner, *seq, appended.message_id);
            }
        }
    }

    async fn append(&mut self, batch: Vec<Job>) {
        let jobs = batch.into_iter().map(|job| ((job.append, job.reply), job.span));
        let (jobs, spans): (Vec<_>, Vec<_>) = jobs.unzip();
        (self.appends, self.replies) = jobs.into_iter().unzip();
        self.spans = spans;
        self.bugs.pass("append_lane/gathered");
        let began = Instant::now();
        // Of the trace of its first message; the spans of the others are linked to it.
        let first = self.spans.first().and_then(Span::id);
        let messages = self.appends.len();
        let span =
            tracing::info_span!(target: TARGET, parent: first, "commit", imd.messages = messages);
        for other in self.spans.iter().skip(1) {
            span.follows_from(other);
        }
        let results = self.connection.commit(&self.appends).instrument(span).await;
        self.note_traces(&results);
        self.bugs.pass("append_lane/committed");
        let took = began.elapsed();
        histogram!(telemetry::BATCH_SECONDS).record(took);
        let size = u32::try_from(self.appends.len()).unwrap_or(u32::MAX);
        if call::is_slow(took) {
            let took_ms = call::millis(took);
            tracing::warn!(target: "imd::slow", took_ms, messages = size, "a slow batch");
        }
        histogram!(telemetry::BATCH_SIZE).record(size);
        self.appends.clear();
        let done = self.replies.drain(..).zip(results).collect();
        // Takes no longer than the hand-over of the batch before, which nothing holds up.
        let _ = self.done.send(done).await;
    }
}

/// The result of a message with the caller who waits for it.
type Done = (oneshot::Sender<Result<Appended>>, Result<Appended>);

/// Hands over what a lane has appended, in the order of the batches, while the lane is at the next one.
struct Handover {
    finished: mpsc::Receiver<Vec<Done>>,
    /// What is being handed over, and is not answered yet.
    batch: VecDeque<Done>,
    receivers: Receivers,
    bugs: PlantedBugs,
}

impl Run for Handover {
    /// Runs until the lane has ended.
    async fn run(&mut self) {
        self.clear_up();
        while let Some(batch) = self.finished.recv().await {
            self.batch = batch.into();
            for appended in self.batch.iter().filter_map(|(_, result)| result.as_ref().ok()) {
                self.receivers.hand_over(appended);
                self.bugs.pass("hand_over/handed_over");
            }
            self.answer();
        }
    }
}

impl Handover {
    /// After a panic: the batch is committed, and who got how much of it is not known. All are told
    /// where it stands, which those who have it ignore.
    fn clear_up(&mut self) {
        for appended in self.batch.iter().filter_map(|(_, result)| result.as_ref().ok()) {
            self.receivers.tell_of(&appended.places);
        }
        self.answer();
    }

    fn answer(&mut self) {
        while let Some((reply, result)) = self.batch.pop_front() {
            // The caller may have gone; the message stands all the same.
            let _ = reply.send(result);
        }
    }
}

/// Who learns of what a lane appends: the streams of this node, and the other nodes.
#[derive(Clone)]
struct Receivers {
    hub: Arc<Hub>,
    hint_queue: HintQueue,
    fan_out: FanOut,
}

impl Receivers {
    /// Says that these timelines reach so far: streams that are behind read the log.
    fn tell_of(&self, places: &[(TimelineNo, i64)]) {
        if places.is_empty() {
            return;
        }
        for (owner, seq) in places {
            self.hub.wake(*owner, *seq);
            if let Some(group_no) = owner.group() {
                self.fan_out.want(group_no);
            }
        }
        self.hint_queue.announce_places(places.iter().copied());
    }

    fn hand_over(&self, appended: &Appended) {
        counter!(telemetry::MESSAGES).increment(u64::from(!appended.duplicate));
        let groups = appended.places.iter().filter_map(|(owner, _)| owner.group());
        for group_no in groups {
            self.fan_out.want(group_no);
            // References may have been put in front of the sender's own.
            if let Some((sender, seq)) = appended.places.first() {
                self.hub.wake(*sender, seq - 1);
            }
        }
        for (owner, entry) in &appended.entries {
            self.hub.publish(*owner, entry);
        }
        if appended.duplicate {
            // Perhaps of a commit whose outcome was not known, so that nobody was told.
            self.tell_of(&appended.places);
        } else {
            self.hint_queue.announce(&appended.entries, appended.other_nodes.as_ref());
        }
    }
}
