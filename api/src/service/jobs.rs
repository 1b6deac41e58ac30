//! The jobs of the cluster: what is done unasked, again and again, by whichever node is free. A node
//! leases a job in the database and renews the lease while it works. When a run fails, the next one comes
//! after a pause that grows with each failure; when a node dies, another takes its jobs once their leases
//! have run out. So each job has to be one that can be given up at any point.

use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use metrics::counter;
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Service;
use crate::{
    model::{Error, Result},
    telemetry,
};

/// How often a node looks for a job that is due.
const LOOK: Duration = Duration::from_secs(1);

/// How long a lease lasts: as long a job rests when its node has died.
const LEASE: Duration = Duration::from_secs(15);

/// How often a lease is renewed; a job that was cancelled ends as soon.
const RENEW: Duration = Duration::from_secs(3);

/// The pause after the first failure.
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// How many jobs a node works at at a time.
const AT_A_TIME: usize = 4;

/// How many expired sessions are ended at a time.
const EXPIRED_BATCH: i64 = 100;

const MINUTE: Duration = Duration::from_mins(1);

/// A job, and how a run of it is made.
struct Job {
    name: &'static str,
    /// How long after the start of a node there is to be a run, at the latest.
    first: Duration,
    every: Duration,
    run: fn(Arc<Service>) -> BoxFuture<'static, Result<()>>,
}

const JOBS: [Job; 14] = [
    Job {
        name: "purge",
        // Nodes that restart often purge too, and a start is not slowed down.
        first: MINUTE,
        every: Duration::from_hours(1),
        run: |service| service.purge_unasked().boxed(),
    },
    Job {
        name: "deletion",
        first: Duration::ZERO,
        every: MINUTE,
        run: |service| service.delete_what_rests().boxed(),
    },
    Job {
        name: "scheduled_messages",
        first: Duration::ZERO,
        every: Duration::from_secs(2),
        run: |service| service.send_scheduled().boxed(),
    },
    Job {
        name: "broadcasts",
        first: Duration::ZERO,
        every: Duration::from_secs(2),
        run: |service| service.send_broadcasts().boxed(),
    },
    Job {
        name: "search_index",
        first: Duration::ZERO,
        every: Duration::from_secs(10),
        run: |service| service.index_messages().boxed(),
    },
    Job {
        name: "session_expiry",
        first: Duration::ZERO,
        every: MINUTE,
        run: |service| service.end_expired_sessions().boxed(),
    },
    Job {
        name: "assertions",
        first: Duration::ZERO,
        every: MINUTE,
        run: |service| async move { service.store.forget_assertions().await }.boxed(),
    },
    Job {
        name: "attachments",
        first: Duration::ZERO,
        every: MINUTE,
        run: |service| async move { service.collect_attachments().await.map(drop) }.boxed(),
    },
    Job {
        name: "quotas",
        first: Duration::ZERO,
        every: MINUTE,
        run: |service| service.count_quotas().boxed(),
    },
    Job {
        name: "access_keys",
        first: Duration::ZERO,
        every: MINUTE,
        run: |service| async move { service.store.delete_old_access_keys().await }.boxed(),
    },
    Job {
        name: "nodes",
        first: Duration::ZERO,
        every: MINUTE,
        run: |service| async move { service.store.remove_dead_nodes().await }.boxed(),
    },
    Job {
        name: "webhook_events",
        first: MINUTE,
        every: Duration::from_mins(10),
        run: |service| async move { service.forget_webhook_events().await }.boxed(),
    },
    Job {
        name: "undelivered",
        first: Duration::ZERO,
        every: Duration::from_secs(15),
        run: |service| async move { service.tell_of_undelivered().await }.boxed(),
    },
    Job {
        name: "sql_requests",
        first: MINUTE,
        every: Duration::from_hours(1),
        run: |service| async move { service.forget_requests().await }.boxed(),
    },
];

impl Service {
    /// Works at the jobs that are due, until `stop`; then gives up those under way.
    pub async fn keep_working_at_jobs(self: Arc<Self>, stop: CancellationToken) {
        if stop.run_until_cancelled(self.schedule_jobs()).await.is_none() {
            return;
        }
        let mut running = Running::default();
        let mut turns = interval(LOOK);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = running.one_ended() => {}
                _ = turns.tick() => {}
            }
            while running.jobs.len() < AT_A_TIME && self.take_job(&mut running).await {}
        }
        for lease in running.end().await {
            if let Err(error) = self.store.release_job(lease).await {
                tracing::warn!(%error, "a job rests until its lease has run out");
            }
        }
    }

    /// Sees to it that there are jobs.
    async fn schedule_jobs(&self) {
        for job in &JOBS {
            while let Err(error) = self.store.schedule_job(job.name, job.first, job.every).await {
                tracing::warn!(%error, job = job.name, "cannot schedule a job; trying again");
                sleep(LOOK).await;
            }
        }
    }

    /// Takes a job that is due and works at it beside the others: whether there was one.
    async fn take_job(self: &Arc<Self>, running: &mut Running) -> bool {
        let lease = Uuid::now_v7();
        let names = JOBS.map(|job| job.name);
        let leased = self.store.lease_job(&names, &self.node_id, lease, LEASE).await;
        let job = match leased {
            Ok(name) => JOBS.iter().find(|job| name.as_deref() == Some(job.name)),
            Err(error) => {
                tracing::warn!(%error, "cannot look for jobs");
                None
            }
        };
        let Some(job) = job else { return false };
        let task = running.jobs.spawn(self.clone().run_job(job, lease));
        running.leases.insert(task.id(), lease);
        true
    }

    /// Makes one run of a job for as long as the lease holds, and notes how it went.
    async fn run_job(self: Arc<Self>, job: &'static Job, lease: Uuid) {
        let work = AssertUnwindSafe((job.run)(self.clone())).catch_unwind();
        let done = tokio::select! {
            done = work => done.unwrap_or_else(|_| Err(Error::internal("the job panicked"))),
            () = self.lose_lease(lease) => {
                tracing::warn!(job = job.name, "a job was given up: it was cancelled, or another node has it");
                counter!(telemetry::JOB_RUNS, "job" => job.name, "result" => "given_up").increment(1);
                return;
            }
        };
        let result = if done.is_ok() { "done" } else { "failed" };
        counter!(telemetry::JOB_RUNS, "job" => job.name, "result" => result).increment(1);
        let noted = match done {
            Ok(()) => self.store.finish_job(lease).await,
            Err(error) => {
                let error = error.with_causes();
                tracing::warn!(error, job = job.name, "a job has failed; it is tried again");
                self.store.fail_job(lease, &error, FIRST_PAUSE).await
            }
        };
        if let Err(error) = noted {
            tracing::warn!(%error, job = job.name, "cannot note how a job went");
        }
    }

    /// Renews a lease until it no longer holds.
    async fn lose_lease(&self, lease: Uuid) {
        let mut turns = interval(RENEW);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut renewed = Instant::now();
        loop {
            turns.tick().await;
            match self.store.renew_lease(lease, LEASE).await {
                Ok(true) => renewed = Instant::now(),
                Ok(false) => return,
                Err(_) if renewed.elapsed() > LEASE => return,
                Err(error) => tracing::warn!(%error, "cannot renew the lease of a job"),
            }
        }
    }

    /// Ends sessions whose refresh tokens have expired, and has their streams notice.
    async fn end_expired_sessions(self: Arc<Self>) -> Result<()> {
        for (user_no, ended) in self.store.end_expired(EXPIRED_BATCH).await? {
            self.announce_end(user_no, ended);
        }
        Ok(())
    }
}

/// The jobs that a node works at.
#[derive(Default)]
struct Running {
    jobs: JoinSet<()>,
    leases: HashMap<tokio::task::Id, Uuid>,
}

impl Running {
    /// Waits for the next job that ends; for ever when there is none.
    async fn one_ended(&mut self) {
        let id = match self.jobs.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => error.id(),
            None => return std::future::pending().await,
        };
        self.leases.remove(&id);
    }

    /// Drops all jobs where they are: their leases.
    async fn end(mut self) -> Vec<Uuid> {
        self.jobs.shutdown().await;
        self.leases.into_values().collect()
    }
}
