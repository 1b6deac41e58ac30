//! The queue of those whose passwords are to be hashed.
//!
//! A hash takes a core for tens of milliseconds, and strangers can ask for one. So a few threads of low
//! priority do the work, sends come before it, and what waits for them is bounded and shared fairly:
//! addresses take turns, and where there is no room for another, who has most in the queue gives way.

use std::{
    collections::{HashMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Weak},
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::model::{AddressPrefix, Error, Result};

/// How long the work before one may take for it to be let in.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many may wait however long each takes.
const LEAST: usize = 16;

/// How many may wait however short each is.
const MOST: usize = 1024;

/// One account has so large a part of the queue at most.
const SHARES: usize = 4;

/// What one computation is taken to last before the first has been measured.
const FIRST_GUESS: Duration = Duration::from_millis(30);

/// The shortest time after which who is refused is asked to come again.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// For whom a password is hashed.
#[derive(Debug, Clone, Default)]
pub(in crate::service) struct Requester {
    /// The account, as the client calls it; none for an administrator.
    pub(in crate::service) account: Option<String>,
    /// Where the client is; none for an administrator.
    pub(in crate::service) site: Option<AddressPrefix>,
}

/// The queue with its threads, which end with it.
pub(super) struct Queue(Arc<Shared>);

struct Shared {
    threads: usize,
    state: Mutex<State>,
    work: Condvar,
}

struct State {
    /// The sites with something to do, the one whose turn it is first.
    turns: VecDeque<Option<AddressPrefix>>,
    waiting: HashMap<Option<AddressPrefix>, VecDeque<Job>>,
    count: usize,
    /// How long one takes, averaged over the last few.
    takes: Duration,
    stopped: bool,
}

struct Job {
    account: Option<String>,
    /// Whether somebody still waits for it.
    wanted: Weak<()>,
    /// A job that is dropped instead was refused.
    work: Box<dyn FnOnce() + Send>,
}

impl Queue {
    pub(super) fn start(threads: usize) -> Result<Self> {
        let state = State {
            turns: VecDeque::new(),
            waiting: HashMap::new(),
            count: 0,
            takes: FIRST_GUESS,
            stopped: false,
        };
        let shared = Shared { threads, state: Mutex::new(state), work: Condvar::new() };
        // From now on, so that a failure ends the threads that have been started.
        let queue = Self(Arc::new(shared));
        for _ in 0..threads {
            let shared = queue.0.clone();
            let thread = thread::Builder::new().name("imd-password".to_owned());
            thread.spawn(move || shared.run()).map_err(Error::internal)?;
        }
        Ok(queue)
    }

    /// Does the work when it is its turn. Given up before that, it is not done at all; given up later,
    /// it keeps its thread to its end.
    ///
    /// Errors: [`Error::Overloaded`] when too much is waiting already.
    pub(super) async fn compute<T: Send + 'static>(
        &self,
        requester: Requester,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (done, result) = oneshot::channel();
        let wanted = Arc::new(());
        let job = Job {
            account: requester.account,
            wanted: Arc::downgrade(&wanted),
            work: Box::new(move || {
                let outcome = catch_unwind(AssertUnwindSafe(work));
                let panicked = |_| Err(Error::internal("hashing a password panicked"));
                // Who does not wait any more does not want to know.
                let _ = done.send(outcome.unwrap_or_else(panicked));
            }),
        };
        self.0.put(requester.site, job)?;
        let result = result.await;
        drop(wanted);
        result.unwrap_or_else(|_| Err(self.0.state.lock().overloaded(self.0.threads)))
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.0.state.lock().stopped = true;
        self.0.work.notify_all();
    }
}

impl Shared {
    fn put(&self, site: Option<AddressPrefix>, job: Job) -> Result<()> {
        let mut state = self.state.lock();
        if !state.make_room(site, &job, self.threads) {
            return Err(state.overloaded(self.threads));
        }
        state.push(site, job);
        self.work.notify_one();
        Ok(())
    }

    fn run(&self) {
        give_way();
        while let Some(job) = self.next() {
            let began = Instant::now();
            (job.work)();
            let mut state = self.state.lock();
            state.takes = (state.takes * 7 + began.elapsed()) / 8;
        }
    }

    /// Waits for the next job that somebody wants; `None` at the end.
    fn next(&self) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if state.stopped {
                return None;
            }
            match state.pop() {
                Some(job) if job.wanted.strong_count() > 0 => return Some(job),
                Some(given_up) => drop(given_up),
                None => self.work.wait(&mut state),
            }
        }
    }
}

impl State {
    fn push(&mut self, site: Option<AddressPrefix>, job: Job) {
        let jobs = self.waiting.entry(site).or_default();
        if jobs.is_empty() {
            self.turns.push_back(site);
        }
        jobs.push_back(job);
        self.count += 1;
    }

    fn pop(&mut self) -> Option<Job> {
        let site = self.turns.pop_front()?;
        let jobs = self.waiting.get_mut(&site)?;
        let job = jobs.pop_front();
        if jobs.is_empty() {
            self.waiting.remove(&site);
        } else {
            self.turns.push_back(site);
        }
        self.count -= usize::from(job.is_some());
        job
    }

    /// How many may wait now.
    fn room(&self, threads: usize) -> usize {
        let in_time = PATIENCE.div_duration_f64(self.takes.max(Duration::from_micros(1)));
        // Cut off where it is too large for the type, and bounded anyway.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let in_time = in_time as usize;
        in_time.saturating_mul(threads).clamp(LEAST, MOST)
    }

    /// Whether there is room for one more of the site, after others have given way where it is fair.
    fn make_room(&mut self, site: Option<AddressPrefix>, job: &Job, threads: usize) -> bool {
        let room = self.room(threads);
        let of_account = |other: &Job| job.account.is_some() && other.account == job.account;
        let most_of_account = room / SHARES;
        if self.count >= room || self.count_of(of_account) >= most_of_account {
            self.drop_given_up();
        }
        if self.count_of(of_account) >= most_of_account && !self.displace(site, of_account) {
            return false;
        }
        self.count < room || self.displace(site, |_| true)
    }

    fn count_of(&self, counts: impl Fn(&Job) -> bool) -> usize {
        self.waiting.values().flatten().filter(|job| counts(job)).count()
    }

    fn drop_given_up(&mut self) {
        self.waiting.retain(|_, jobs| {
            jobs.retain(|job| job.wanted.strong_count() > 0);
            !jobs.is_empty()
        });
        self.turns.retain(|site| self.waiting.contains_key(site));
        self.count = self.waiting.values().map(VecDeque::len).sum();
    }

    /// Refuses the last of the jobs that count, of the site with the most of them, so that one of `site`
    /// can take its place. Not where `site` would then have as many itself.
    fn displace(&mut self, site: Option<AddressPrefix>, counts: impl Fn(&Job) -> bool) -> bool {
        let of = |jobs: &VecDeque<Job>| jobs.iter().filter(|job| counts(job)).count();
        let own = self.waiting.get(&site).map_or(0, of);
        let largest = self.waiting.iter().map(|(site, jobs)| (of(jobs), *site));
        let Some((most, greedy)) = largest.max_by_key(|(count, _)| *count) else { return false };
        if most <= own + 1 {
            return false;
        }
        let Some(jobs) = self.waiting.get_mut(&greedy) else { return false };
        let Some(last) = jobs.iter().rposition(counts) else { return false };
        jobs.remove(last);
        self.count -= 1;
        true
    }

    fn overloaded(&self, threads: usize) -> Error {
        let waiting = u32::try_from(self.count / threads).unwrap_or(u32::MAX);
        Error::Overloaded { retry_after: self.takes.saturating_mul(waiting).max(SHORTEST_WAIT) }
    }
}

/// Lowers the priority of this thread, where the system lets one do that for a thread alone.
fn give_way() {
    /// At 10, the threads that hash get a tenth of a core that those that serve want too.
    #[cfg(target_os = "linux")]
    const NICENESS: i32 = 10;
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::warn!(%error, "passwords are hashed at the priority of everything else");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex as StdMutex,
        mpsc::{Receiver, Sender, channel},
    };

    use futures::{FutureExt as _, poll};

    use super::*;
    use crate::model::ClientAddress;

    fn requester(account: &str, address: u8) -> Requester {
        let address = ClientAddress::new([192, 0, 2, address].into());
        Requester { account: Some(account.to_owned()), site: Some(address.site()) }
    }

    /// A queue whose only thread is busy until something is sent, and then does what waits for it.
    async fn busy() -> (Queue, Sender<()>) {
        let queue = Queue::start(1).unwrap();
        let (release, released): (_, Receiver<()>) = channel();
        let (started, start) = oneshot::channel();
        let held = queue.compute(requester("first", 1), move || {
            let _ = started.send(());
            Ok(released.recv())
        });
        let mut held = Box::pin(held);
        assert!(poll!(&mut held).is_pending());
        start.await.unwrap();
        drop(held);
        (queue, release)
    }

    #[tokio::test]
    async fn work_that_was_given_up_keeps_its_thread_and_what_waits_costs_nothing() {
        // Given up at the end of `busy`.
        let (queue, release) = busy().await;
        let done = Arc::new(StdMutex::new(Vec::new()));
        let compute = |name: &'static str| {
            let done = done.clone();
            queue.compute(requester(name, 2), move || {
                done.lock().unwrap().push(name);
                Ok(())
            })
        };
        let mut given_up = Box::pin(compute("given up"));
        let mut waiting = Box::pin(compute("waiting"));
        assert!(poll!(&mut given_up).is_pending() && poll!(&mut waiting).is_pending());
        drop(given_up);
        assert!(done.lock().unwrap().is_empty());
        release.send(()).unwrap();
        waiting.await.unwrap();
        assert_eq!(*done.lock().unwrap(), ["waiting"]);
    }

    #[tokio::test]
    async fn addresses_take_turns_and_who_has_most_gives_way() {
        let (queue, release) = busy().await;
        queue.0.state.lock().takes = PATIENCE;
        let done = Arc::new(StdMutex::new(Vec::new()));
        let compute = |address: u8, n: usize| {
            let done = done.clone();
            let account = format!("{address}/{n}");
            queue.compute(requester(&account, address), move || {
                done.lock().unwrap().push(address);
                Ok(())
            })
        };
        let mut flood: Vec<_> = (0..LEAST).map(|n| Box::pin(compute(7, n))).collect();
        for login in &mut flood {
            assert!(poll!(login).is_pending());
        }
        let refused = compute(7, LEAST).now_or_never().expect("no room").unwrap_err();
        assert!(refused.retry_after().expect("a time") >= SHORTEST_WAIT, "{refused:?}");
        let mut others: Vec<_> = (8..10).map(|address| Box::pin(compute(address, 0))).collect();
        for login in &mut others {
            assert!(poll!(login).is_pending());
        }
        release.send(()).unwrap();
        for login in others {
            login.await.expect("room was made");
        }
        let outcomes = futures::future::join_all(flood).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_err()).count(), 2);
        assert_eq!(done.lock().unwrap()[..3], [7, 8, 9]);
    }

    #[tokio::test]
    async fn one_account_has_a_part_of_the_queue() {
        let (queue, _release) = busy().await;
        queue.0.state.lock().takes = PATIENCE;
        let mut waiting = Vec::new();
        let mut tried = |account: &'static str, address: u8| {
            let mut login = Box::pin(queue.compute(requester(account, address), || Ok(())));
            let refused = login.as_mut().now_or_never().is_some();
            waiting.push(login);
            !refused
        };
        let taken = (10..100).filter(|&address| tried("ann", address)).count();
        assert_eq!(taken, LEAST / SHARES);
        assert!(tried("ben", 10), "another account");
    }

    #[tokio::test]
    async fn a_panic_costs_one_answer() {
        let queue = Queue::start(1).unwrap();
        let panicked = queue.compute(Requester::default(), || -> Result<()> { panic!("planned") });
        assert!(matches!(panicked.await, Err(Error::Internal(_))));
        queue.compute(Requester::default(), || Ok(())).await.expect("the thread goes on");
    }
}
