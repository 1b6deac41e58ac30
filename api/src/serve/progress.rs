//! Whether a client takes what it asked for.
//!
//! A server that waits for room to write is not told how long it has waited: with a window of zero,
//! nobody asks for the next piece of a body. So the body notes when it handed the last one on, and the
//! task that writes it looks at the clock.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use hyper::rt::Executor;
use parking_lot::Mutex;
use tokio::{
    task_local,
    time::{Instant, sleep_until},
};

use crate::{model::Limit, telemetry};

task_local! {
    static OF_THIS_TASK: Arc<Progress>;
}

/// How far the client has got with the answer that a task writes.
#[derive(Default)]
pub(super) struct Progress {
    /// Since when a piece waits to be written; `None` while there is none.
    since: Mutex<Option<Instant>>,
}

impl Progress {
    /// That of the task that runs now; one that nobody looks at where there is none.
    pub(super) fn of_this_task() -> Arc<Self> {
        OF_THIS_TASK.try_with(Arc::clone).unwrap_or_default()
    }

    /// A piece is on its way, and the one before it is written.
    pub(super) fn handed_on(&self) {
        *self.since.lock() = Some(Instant::now());
    }

    /// All that there is has been written: the client waits for the server.
    pub(super) fn waits_for_more(&self) {
        *self.since.lock() = None;
    }

    fn since(&self) -> Option<Instant> {
        *self.since.lock()
    }
}

/// Runs `task` to its end, or until its client has taken nothing of an answer for `patience`. Then it is
/// dropped: a stream of HTTP/2 is reset, a connection of HTTP/1.1 ends.
pub(super) async fn watched<T>(task: impl Future<Output = T>, patience: Duration) -> Option<T> {
    let progress = Arc::new(Progress::default());
    let mut task = pin!(OF_THIS_TASK.scope(progress.clone(), task));
    loop {
        let waiting = poll_fn(|context| match task.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => {
                progress.since().map_or(Poll::Pending, |since| Poll::Ready(Err(since)))
            }
        });
        let since = match waiting.await {
            Ok(done) => return Some(done),
            Err(since) => since,
        };
        tokio::select! {
            biased;
            done = &mut task => return Some(done),
            () = sleep_until(since + patience) => {
                if progress.since().is_some_and(|since| since.elapsed() >= patience) {
                    telemetry::note_limit(Limit::CallTimeout);
                    return None;
                }
            }
        }
    }
}

/// Runs each stream of HTTP/2 as a task of its own, [`watched`].
#[derive(Clone)]
pub(super) struct Streams {
    pub(super) patience: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        tokio::spawn(watched(stream, self.patience));
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::sleep;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(200);

    #[tokio::test]
    async fn a_task_ends_when_nothing_of_its_answer_is_taken() {
        let stalls = async {
            Progress::of_this_task().handed_on();
            pending::<()>().await;
        };
        let began = Instant::now();
        assert_eq!(watched(stalls, PATIENCE).await, None);
        assert!(began.elapsed() >= PATIENCE);
    }

    #[tokio::test]
    async fn a_slow_client_goes_on() {
        let reads_slowly = async {
            for _ in 0..10 {
                Progress::of_this_task().handed_on();
                sleep(PATIENCE / 4).await;
            }
        };
        assert_eq!(watched(reads_slowly, PATIENCE).await, Some(()));
    }

    #[tokio::test]
    async fn a_quiet_stream_goes_on() {
        let is_quiet = async {
            Progress::of_this_task().handed_on();
            sleep(PATIENCE / 4).await;
            Progress::of_this_task().waits_for_more();
            sleep(PATIENCE * 2).await;
        };
        assert_eq!(watched(is_quiet, PATIENCE).await, Some(()));
    }
}
