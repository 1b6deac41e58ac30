//! The long-lived tasks of a node. Each has a name, and a policy for the case that it panics or ends
//! while the node runs: no task dies unnoticed.
//!
//! A task is a value with a method that runs ([`Run`]). The value outlives a panic, so that what it
//! holds (a queue, a batch whose callers wait) is not lost: the task is started again after a pause and
//! first clears up what the panic left half done. Until it has run for [`STEADY`] again it *fails*:
//! `/readyz` names it, and `imd_task_failing` counts it. One that never gets that far makes the node
//! stop with an error, see [`OnPanic`].

use std::{
    any::Any, borrow::Cow, collections::BTreeSet, panic::AssertUnwindSafe, sync::Arc,
    time::Duration,
};

use futures::FutureExt;
use metrics::{counter, gauge};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    model::{Error, Result},
    planted_bugs::PlantedBugs,
    telemetry,
};

/// The pause before a task is started again; it doubles with each panic in a row.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest of these pauses.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A task that has run for so long since it was started again counts as working.
const STEADY: Duration = Duration::from_secs(1);

/// A panic this long after the start of its task is not in a row with the one before.
const LASTING: Duration = Duration::from_secs(10);

/// How many panics in a row make the node give up: after about 11 seconds.
const MOST_PANICS: u32 = 8;

/// What becomes of a task that panics, or that ends while the node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnPanic {
    /// The node cannot do its work without it: the node is not ready until the task has been started
    /// again, and stops with an error after [`MOST_PANICS`] in a row.
    RestartOrExit,
    /// The node works without it for a while: it is started again, as often as it takes.
    Restart,
    /// It cannot be started again: the node stops with an error.
    Exit,
}

/// What becomes of a task when the node stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnStop {
    /// It is dropped where it waits.
    Drop,
    /// It is waited for; it has to see by itself that it is to end.
    Finish,
}

/// A task by name, and its policies.
#[derive(Debug, Clone)]
pub struct Task {
    name: Cow<'static, str>,
    on_panic: OnPanic,
    on_stop: OnStop,
}

impl Task {
    /// A task without which the node cannot do its work, and that may be dropped where it waits.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), on_panic: OnPanic::RestartOrExit, on_stop: OnStop::Drop }
    }

    /// The same task with this policy for panics.
    #[must_use]
    pub fn on_panic(self, on_panic: OnPanic) -> Self {
        Self { on_panic, ..self }
    }

    /// The same task, but waited for when the node stops.
    #[must_use]
    pub fn finishing(self) -> Self {
        Self { on_stop: OnStop::Finish, ..self }
    }
}

/// The work of a task.
pub trait Run: Send + 'static {
    /// Runs until the node stops. Called again after a panic, at whatever point that came.
    fn run(&mut self) -> impl Future<Output = ()> + Send;
}

impl<F, R> Run for F
where
    F: FnMut() -> R + Send + 'static,
    R: Future<Output = ()> + Send,
{
    fn run(&mut self) -> impl Future<Output = ()> + Send {
        self()
    }
}

/// How the tasks of a node are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// The tasks without which the node cannot do its work and that do not work at present.
    pub failing: BTreeSet<String>,
    /// The task that cannot be kept running, if there is one: the node is to stop.
    pub given_up: Option<String>,
}

/// Tasks that stop together. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    health: Arc<watch::Sender<Health>>,
    bugs: PlantedBugs,
}

impl Tasks {
    /// A node without tasks yet.
    #[must_use]
    pub fn new(bugs: PlantedBugs) -> Self {
        Self {
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            health: Arc::default(),
            bugs,
        }
    }

    /// Tasks of the same node that stop by themselves.
    #[must_use]
    pub fn group(&self) -> Self {
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        Self { tracker, stop, ..self.clone() }
    }

    /// Starts a task and keeps it running until [`Tasks::stop`].
    pub fn start(&self, task: Task, run: impl Run) {
        self.tracker.spawn(self.clone().supervise(task, run));
    }

    /// Cancelled when the tasks are to end.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Ends the tasks and waits for those that finish what they have begun.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// How the tasks of the node are, from now on.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// Whether the node can do its work. Errors: [`Error::TasksFailing`].
    pub fn check(&self) -> Result<()> {
        let health = self.health.borrow();
        if health.failing.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = health.failing.iter().map(String::as_str).collect();
        Err(Error::TasksFailing(names.join(", ").into()))
    }

    async fn supervise(self, task: Task, mut run: impl Run) {
        let mut in_a_row = 0;
        loop {
            let began = Instant::now();
            let ended = self.run_once(&task, &mut run).await;
            if ended.is_ok() && self.stop.is_cancelled() {
                return;
            }
            self.note_failure(&task, &ended.err().unwrap_or_else(|| "it has ended".to_owned()));
            in_a_row = if began.elapsed() < LASTING { in_a_row + 1 } else { 1 };
            let last = match task.on_panic {
                OnPanic::RestartOrExit => in_a_row >= MOST_PANICS,
                OnPanic::Restart => false,
                OnPanic::Exit => true,
            };
            if last {
                return self.give_up(&task);
            }
            let pause = FIRST_PAUSE * 2_u32.saturating_pow(in_a_row - 1);
            if self.stop.run_until_cancelled(sleep(pause.min(LONGEST_PAUSE))).await.is_none() {
                return;
            }
            tracing::info!(task = &*task.name, "started again");
        }
    }

    /// Runs a task until it ends, is to be dropped, or panics: then its message is the error.
    async fn run_once(&self, task: &Task, run: &mut impl Run) -> Result<(), String> {
        let work = async {
            tokio::select! {
                () = run.run() => {}
                () = self.bugs.panic_in(&task.name) => {}
            }
        };
        let work = AssertUnwindSafe(work).catch_unwind();
        let work = async { work.await.map_err(|panic| message(&*panic)) };
        let dropped = async {
            match task.on_stop {
                OnStop::Drop => self.stop.cancelled().await,
                OnStop::Finish => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = work => ended,
            () = dropped => Ok(()),
            never = self.note_steady(task) => match never {},
        }
    }

    fn note_failure(&self, task: &Task, message: &str) {
        tracing::error!(task = &*task.name, failure = message, "a task of the node has failed");
        counter!(telemetry::TASK_PANICS, "task" => task.name.clone()).increment(1);
        self.set_failing(task, true);
    }

    /// Says, once the task has run for a while, that it works.
    async fn note_steady(&self, task: &Task) -> std::convert::Infallible {
        sleep(STEADY).await;
        self.set_failing(task, false);
        std::future::pending().await
    }

    fn set_failing(&self, task: &Task, failing: bool) {
        gauge!(telemetry::TASK_FAILING, "task" => task.name.clone()).set(f64::from(failing));
        if task.on_panic == OnPanic::Restart {
            return;
        }
        self.health.send_if_modified(|health| {
            if failing {
                health.failing.insert(task.name.to_string())
            } else {
                health.failing.remove(&*task.name)
            }
        });
    }

    fn give_up(&self, task: &Task) {
        tracing::error!(task = &*task.name, "the node cannot work without this task and stops");
        self.health.send_modify(|health| {
            health.given_up.get_or_insert_with(|| task.name.to_string());
        });
    }
}

/// What a panic says.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref().cloned()).unwrap_or_else(|| "a panic".to_owned())
}
