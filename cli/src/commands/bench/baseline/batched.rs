//! Batches as imd's lanes make them, and fan-outs to groups' members beside them, with as many messages
//! under way as under the load. A message is under way until it stands in the timelines of all members.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use futures::future::{try_join, try_join_all};
use imd::store::{BaselineLane, BaselineMessage, BaselineTarget};
use tokio::{
    sync::{Notify, Semaphore},
    time::timeout_at,
};

use super::{Baseline, Batched, Window};
use crate::commands::bench::{
    measure::per_second,
    metrics::Shape,
    traffic::{To, Traffic},
};

/// How many groups are brought up at a time: as many as a node does.
const FAN_OUTS: usize = 2;

type Outcome<T> = Result<T, imd::model::Error>;

/// What the lanes and the fan-outs share.
struct Run<'a> {
    baseline: &'a Baseline,
    window: Window,
    shape: Shape,
    /// How many more messages may be under way.
    room: Semaphore,
    behind: Mutex<Behind>,
    some: Notify,
}

/// The groups whose members are behind.
#[derive(Default)]
struct Behind {
    /// How many messages each waits with.
    messages: BTreeMap<usize, usize>,
    under_way: BTreeSet<usize>,
}

/// What was done while the window was open.
#[derive(Debug, Default, Clone, Copy)]
struct Done {
    messages: u64,
    references: u64,
}

impl Baseline {
    pub(super) async fn in_batches(&self, mut traffic: Traffic, shape: Shape) -> Outcome<Batched> {
        let lanes = try_join_all((0..shape.lanes).map(|_| self.lent.lane())).await?;
        let run = Run {
            baseline: self,
            window: Window::from_now(self.stage),
            shape,
            room: Semaphore::new(self.outstanding),
            behind: Mutex::default(),
            some: Notify::new(),
        };
        let appending = lanes.iter().enumerate().map(|(number, lane)| {
            let traffic = traffic.fork();
            run.append(number, lane, traffic)
        });
        let fan_outs = (0..FAN_OUTS).map(|_| run.fan_out());
        let (appended, fanned_out) =
            try_join(try_join_all(appending), try_join_all(fan_outs)).await?;
        let done = || appended.iter().chain(&fanned_out);
        Ok(Batched {
            shape,
            rate: per_second(done().map(|done| done.messages).sum(), self.stage),
            references: per_second(done().map(|done| done.references).sum(), self.stage),
        })
    }
}

impl Run<'_> {
    /// A lane: appends one batch after the other.
    async fn append(
        &self,
        number: usize,
        lane: &BaselineLane,
        mut traffic: Traffic,
    ) -> Outcome<Done> {
        let mut done = Done::default();
        while !self.window.is_over() {
            let first = timeout_at(self.window.end.into(), self.room.acquire()).await;
            let Ok(Ok(first)) = first else { break };
            first.forget();
            let more = (1..self.shape.size).map_while(|_| self.room.try_acquire().ok());
            let size = 1 + more.map(tokio::sync::SemaphorePermit::forget).count();
            let batch = self.draw(number, size, &mut traffic);
            self.room.add_permits(size - batch.len());
            let appends = self.baseline.lent.batch(&batch, &self.baseline.body);
            lane.append(&appends).await?;
            let to_users = self.hand_over(&batch);
            done.messages += u64::from(self.window.is_open()) * to_users as u64;
        }
        Ok(done)
    }

    /// The messages of a batch. A sender's messages are all in one lane, and in a batch one sender alone
    /// writes to a group: what does not fit is left out.
    fn draw(&self, lane: usize, size: usize, traffic: &mut Traffic) -> Vec<BaselineMessage> {
        let mut senders: BTreeMap<usize, usize> = BTreeMap::new();
        let mine = std::iter::repeat_with(|| traffic.next())
            .filter(|(sender, _)| sender % self.shape.lanes == lane);
        let fits = mine.take(size).filter_map(|(sender, to)| match to {
            To::User(user) => Some(BaselineMessage { sender, to: BaselineTarget::User(user) }),
            To::Group(group) => (*senders.entry(group).or_insert(sender) == sender)
                .then_some(BaselineMessage { sender, to: BaselineTarget::Group(group) }),
        });
        fits.collect()
    }

    /// Notes who is behind now; how many of the messages are under way no longer.
    fn hand_over(&self, batch: &[BaselineMessage]) -> usize {
        let mut behind = self.behind();
        let mut to_users = 0;
        for message in batch {
            match message.to {
                BaselineTarget::User(_) => to_users += 1,
                BaselineTarget::Group(group) => *behind.messages.entry(group).or_default() += 1,
            }
        }
        drop(behind);
        self.room.add_permits(to_users);
        self.some.notify_one();
        to_users
    }

    /// Brings up one group after the other.
    async fn fan_out(&self) -> Outcome<Done> {
        let mut done = Done::default();
        while !self.window.is_over() {
            let Some((group, messages)) = self.take() else {
                let _ = timeout_at(self.window.end.into(), self.some.notified()).await;
                continue;
            };
            // Another may take the next.
            self.some.notify_one();
            let references = self.baseline.lent.fan_out(group).await?;
            self.behind().under_way.remove(&group);
            self.some.notify_one();
            self.room.add_permits(messages);
            if self.window.is_open() {
                done.messages += messages as u64;
                done.references += references as u64;
            }
        }
        Ok(done)
    }

    fn take(&self) -> Option<(usize, usize)> {
        let mut behind = self.behind();
        let Behind { messages, under_way } = &mut *behind;
        let group = messages.keys().find(|group| !under_way.contains(*group)).copied()?;
        under_way.insert(group);
        Some((group, messages.remove(&group)?))
    }

    fn behind(&self) -> MutexGuard<'_, Behind> {
        self.behind.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
