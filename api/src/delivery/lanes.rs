//! Lanes: each gathers the messages that arrive while its last batch commits, and commits them as the
//! next batch.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use metrics::{counter, gauge, histogram};
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::timeout_at,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{announcer::Announcer, hub::Hub};
use crate::{
    model::{Error, Result},
    store::{Append, AppendConnection, Appended},
    telemetry,
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
}

/// The lanes of one node.
pub(super) struct Lanes {
    queues: Vec<mpsc::Sender<Job>>,
    stop: CancellationToken,
}

struct Job {
    append: Append,
    queued_at: Instant,
    reply: oneshot::Sender<Result<Appended>>,
}

impl Lanes {
    pub(super) fn start(
        hub: &Arc<Hub>,
        announcer: &Announcer,
        settings: &LaneSettings,
        tasks: &TaskTracker,
        connection: impl Fn() -> AppendConnection,
    ) -> Self {
        let stop = CancellationToken::new();
        let start = |_| {
            let (queue, jobs) = mpsc::channel(settings.queue);
            let (done, finished) = mpsc::channel(1);
            let lane = Lane {
                jobs,
                held_back: VecDeque::new(),
                connection: connection(),
                done,
                batch: settings.batch,
                last_batch: 0,
            };
            tasks.spawn(lane.run(stop.clone()));
            let handover = Handover { finished, hub: hub.clone(), announcer: announcer.clone() };
            tasks.spawn(handover.run());
            queue
        };
        gauge!(telemetry::LANES).set(u32::try_from(settings.lanes).unwrap_or(u32::MAX));
        Self { queues: (0..settings.lanes).map(start).collect(), stop }
    }

    /// Queues for the sender's lane, so that one sender's messages keep their order.
    pub(super) fn append(&self, append: Append) -> Result<Appending> {
        let lane = append.sender.0.unsigned_abs() % self.queues.len() as u64;
        let queue = &self.queues[usize::try_from(lane).unwrap_or_default()];
        let (reply, answer) = oneshot::channel();
        let job = Job { append, queued_at: Instant::now(), reply };
        queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => overloaded(),
            TrySendError::Closed(_) => stopping(),
        })?;
        Ok(Appending(answer))
    }

    /// How many messages wait for a batch.
    pub(super) fn queued(&self) -> usize {
        self.queues.iter().map(|queue| queue.max_capacity() - queue.capacity()).sum()
    }

    /// Takes no more; what was taken is still appended.
    pub(super) fn close(&self) {
        self.stop.cancel();
    }
}

/// A message that waits for its commit.
pub struct Appending(oneshot::Receiver<Result<Appended>>);

impl Appending {
    /// Waits for the commit. A message that nobody waits for any more while it is queued is dropped.
    pub async fn committed(self) -> Result<Appended> {
        self.0.await.map_err(|_| stopping())?
    }
}

fn stopping() -> Error {
    Error::unavailable("the node is stopping")
}

fn overloaded() -> Error {
    Error::Overloaded { retry_after: RETRY_AFTER }
}

struct Lane {
    jobs: mpsc::Receiver<Job>,
    /// Jobs that must not share a batch with one before them.
    held_back: VecDeque<Job>,
    connection: AppendConnection,
    done: mpsc::Sender<Vec<Done>>,
    batch: usize,
    /// How many messages the last batch held.
    last_batch: usize,
}

impl Lane {
    async fn run(mut self, stop: CancellationToken) {
        loop {
            if self.held_back.is_empty() {
                let job = tokio::select! {
                    job = self.jobs.recv() => job,
                    () = stop.cancelled(), if !self.jobs.is_closed() => {
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

    /// The next batch: what was held back, then what waits, then what comes at once.
    async fn gather(&mut self) -> Vec<Job> {
        let mut batch = Vec::new();
        let mut ids = HashSet::new();
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
            } else if ids.insert((job.append.sender, job.append.client_message_id)) {
                batch.push(job);
            } else {
                // The same message again: its result is that of the first, so it waits for that.
                held_back.push_back(job);
            }
        }
        held_back.append(&mut self.held_back);
        self.held_back = held_back;
        self.last_batch = batch.len();
        batch
    }

    async fn append(&mut self, batch: Vec<Job>) {
        let (appends, replies): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|job| (job.append, job.reply)).unzip();
        let began = Instant::now();
        let results = self.connection.commit(&appends).await;
        histogram!(telemetry::BATCH_SECONDS).record(began.elapsed());
        histogram!(telemetry::BATCH_SIZE).record(u32::try_from(appends.len()).unwrap_or(u32::MAX));
        let done = replies.into_iter().zip(results).collect();
        // Takes no longer than the hand-over of the batch before, which nothing holds up.
        let _ = self.done.send(done).await;
    }
}

/// The result of a message with the caller who waits for it.
type Done = (oneshot::Sender<Result<Appended>>, Result<Appended>);

/// Hands over what a lane has appended, in the order of the batches, while the lane is at the next one.
struct Handover {
    finished: mpsc::Receiver<Vec<Done>>,
    hub: Arc<Hub>,
    announcer: Announcer,
}

impl Handover {
    /// Runs until the lane has ended.
    async fn run(mut self) {
        while let Some(batch) = self.finished.recv().await {
            for appended in batch.iter().filter_map(|(_, result)| result.as_ref().ok()) {
                self.hand_over(appended);
            }
            for (reply, result) in batch {
                // The caller may have gone; the message stands all the same.
                let _ = reply.send(result);
            }
        }
    }

    fn hand_over(&self, appended: &Appended) {
        counter!(telemetry::MESSAGES).increment(u64::from(!appended.duplicate));
        for (owner, entry) in &appended.entries {
            self.hub.publish(*owner, entry);
        }
        if appended.duplicate {
            // Perhaps of a commit whose outcome was not known, so that nobody was told.
            appended.places.iter().for_each(|(owner, seq)| self.hub.wake(*owner, *seq));
            self.announcer.announce_places(appended.places.iter().copied());
        } else {
            self.announcer.announce(&appended.entries, appended.other_nodes.as_ref());
        }
    }
}
