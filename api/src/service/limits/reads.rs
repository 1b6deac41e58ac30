//! Reads: what a user may have the database look up at a time. A read that its caller has given up keeps
//! its place until PostgreSQL has been told to stop; otherwise a user who begins reads and gives them up
//! would have any number of them run.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};

use crate::model::{Error, Limit, Result, UserNo};

/// How many times as many as run may wait.
const WAITING: usize = 8;

/// When to come back when too many wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long PostgreSQL may take to stop with a read that is given up: the store closes the connection a
/// quarter of a second after its caller has gone, and PostgreSQL looks once a second whether it is open.
const STOPPING: Duration = Duration::from_secs(2);

/// The reads of all users. Cheap to clone.
#[derive(Clone)]
pub(super) struct Reads {
    /// How many of one user run at a time; zero for no limit.
    most: usize,
    of: Arc<Mutex<HashMap<UserNo, User>>>,
}

struct User {
    running: Arc<Semaphore>,
    /// Those that run and those that wait.
    begun: usize,
}

/// A read that runs.
pub(in crate::service) struct Reading {
    _running: Option<(OwnedSemaphorePermit, Begun)>,
}

/// Counts a read as long as it is there.
struct Begun {
    reads: Reads,
    user_no: UserNo,
}

impl Reads {
    pub(super) fn new(most: usize) -> Self {
        Self { most, of: Arc::default() }
    }

    /// Waits until one more read of the user may run.
    ///
    /// Errors: [`Error::RateLimited`] when too many wait already.
    pub(super) async fn begin(&self, user_no: UserNo) -> Result<Reading> {
        if self.most == 0 {
            return Ok(Reading { _running: None });
        }
        let (running, begun) = self.enter(user_no)?;
        let permit = running.acquire_owned().await.map_err(Error::internal)?;
        Ok(Reading { _running: Some((permit, begun)) })
    }

    fn enter(&self, user_no: UserNo) -> Result<(Arc<Semaphore>, Begun)> {
        let mut users = self.of.lock();
        let user = users
            .entry(user_no)
            .or_insert_with(|| User { running: Arc::new(Semaphore::new(self.most)), begun: 0 });
        if user.begun >= self.most.saturating_mul(1 + WAITING) {
            return Err(Error::RateLimited { limit: Limit::ReadsAtOnce, retry_after: RETRY_AFTER });
        }
        user.begun += 1;
        Ok((user.running.clone(), Begun { reads: self.clone(), user_no }))
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let mut users = self.reads.of.lock();
        if let Some(user) = users.get_mut(&self.user_no) {
            user.begun -= 1;
            if user.begun == 0 {
                users.remove(&self.user_no);
            }
        }
    }
}

impl Reading {
    /// Runs it, and keeps its place for a while if it is given up.
    pub(in crate::service) async fn run<T>(
        self,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let mut place = Place(Some(self));
        let read = work.await;
        place.0 = None;
        read
    }
}

/// The place of a read that is not done.
struct Place(Option<Reading>);

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(reading) = self.0.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(async move {
                sleep(STOPPING).await;
                drop(reading);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, poll};
    use tokio::time::Instant;

    use super::*;

    const ANN: UserNo = UserNo(1);

    #[tokio::test]
    async fn so_many_run_and_eight_times_as_many_wait() {
        let reads = Reads::new(2);
        let running = [reads.begin(ANN).await.unwrap(), reads.begin(ANN).await.unwrap()];
        let mut waiting: Vec<_> = (0..16).map(|_| Box::pin(reads.begin(ANN))).collect();
        for read in &mut waiting {
            assert!(poll!(read).is_pending());
        }
        let refused = reads.begin(ANN).now_or_never().expect("no room").err().unwrap();
        assert_eq!(refused.retry_after(), Some(RETRY_AFTER));
        reads.begin(UserNo(2)).now_or_never().expect("another user").unwrap();
        waiting.pop();
        assert!(reads.begin(ANN).now_or_never().is_none(), "it waits");
        drop(running);
        waiting.remove(0).await.unwrap();
        drop(waiting);
        assert!(reads.of.lock().is_empty());
    }

    #[tokio::test]
    async fn a_read_that_is_given_up_keeps_its_place_until_the_database_has_stopped() {
        let reads = Reads::new(1);
        let reading = reads.begin(ANN).await.unwrap();
        let mut given_up = Box::pin(reading.run(std::future::pending::<Result<()>>()));
        assert!(poll!(&mut given_up).is_pending());
        let begun = Instant::now();
        drop(given_up);
        let next = reads.begin(ANN).await.unwrap();
        assert!(begun.elapsed() >= STOPPING);
        next.run(async { Ok(()) }).await.unwrap();
        reads.begin(ANN).now_or_never().expect("one that is done makes room").unwrap();
    }
}
