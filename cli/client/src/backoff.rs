//! How long to wait before trying again.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

/// The least pause.
const SHORTEST: Duration = Duration::from_millis(50);

/// The pauses double up to this one.
const LONGEST: Duration = Duration::from_secs(10);

/// Pauses that grow. To each comes a random part as long as itself at most, so that the clients of a
/// server that has gone do not all come back at once.
#[derive(Debug)]
pub(crate) struct Backoff(ExponentialBackoff);

impl Backoff {
    pub(crate) fn new() -> Self {
        let pauses = ExponentialBuilder::new()
            .with_min_delay(SHORTEST)
            .with_max_delay(LONGEST)
            .without_max_times()
            .with_jitter();
        Self(pauses.build())
    }

    /// The next pause. There is no last one.
    pub(crate) fn next(&mut self) -> Duration {
        self.0.next().unwrap_or(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_go_on_for_ever() {
        let mut backoff = Backoff::new();
        let first = backoff.next();
        assert!((SHORTEST..=2 * SHORTEST).contains(&first), "{first:?}");
        for pause in (0..1_000).map(|_| backoff.next()).skip(20) {
            assert!((LONGEST..=2 * LONGEST).contains(&pause), "{pause:?}");
        }
    }

    #[test]
    fn two_clients_pause_differently() {
        let pauses = || {
            let mut backoff = Backoff::new();
            (0..8).map(|_| backoff.next()).collect::<Vec<_>>()
        };
        assert_ne!(pauses(), pauses());
    }
}
