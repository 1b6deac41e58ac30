//! How long a load went without an acknowledgement.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{sync::watch, task::JoinSet, time::Instant};

/// Watches a load.
pub(super) struct Pulse {
    state: Arc<Mutex<State>>,
    _watching: JoinSet<()>,
}

struct State {
    last: Instant,
    longest: Duration,
}

impl Pulse {
    pub(super) fn of(mut acknowledged: watch::Receiver<u64>) -> Self {
        let state = State { last: Instant::now(), longest: Duration::ZERO };
        let state = Arc::new(Mutex::new(state));
        let watched = state.clone();
        let mut watching = JoinSet::new();
        watching.spawn(async move {
            while acknowledged.changed().await.is_ok() {
                let mut state = watched.lock().expect("nobody panics with it");
                state.longest = state.longest.max(state.last.elapsed());
                state.last = Instant::now();
            }
        });
        Self { state, _watching: watching }
    }

    /// The longest time without an acknowledgement since this was last asked.
    pub(super) fn longest(&self) -> Duration {
        let mut state = self.state.lock().expect("nobody panics with it");
        std::mem::take(&mut state.longest).max(state.last.elapsed())
    }
}
