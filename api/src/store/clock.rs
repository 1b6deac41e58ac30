//! The database's clock. Nodes judge times by it, because they share it: a node whose own clock is
//! wrong takes the tokens of the others, and they take its tokens.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use metrics::gauge;

use super::Store;
use crate::telemetry;

/// How far a node's clock may be off before it is warned of, in milliseconds.
const NOTABLE: i64 = 2_000;

/// What the server is asked for: seconds since 1970.
pub(super) const QUESTION: &str = "SELECT extract(epoch FROM clock_timestamp())::float8";

/// How the clock of this node differs from that of the database.
#[derive(Default)]
pub(super) struct Clock {
    /// In milliseconds; negative when this node's clock is ahead.
    behind: AtomicI64,
}

impl Clock {
    /// Takes a reading of the database's clock, in seconds since 1970, which was asked for at `asked`
    /// and has just come.
    pub(super) fn set(&self, asked: SystemTime, reading: f64) {
        let way = asked.elapsed().unwrap_or_default() / 2;
        let here = since_1970(asked) + way;
        #[expect(clippy::cast_possible_truncation, reason = "milliseconds are enough")]
        let behind = ((reading - here.as_secs_f64()) * 1000.0) as i64;
        gauge!(telemetry::CLOCK_SKEW).set(-reading_in_seconds(behind));
        let before = self.behind.swap(behind, Ordering::Relaxed);
        if behind.abs() > NOTABLE && before.abs() <= NOTABLE {
            let seconds = reading_in_seconds(behind.abs());
            let which = if behind > 0 { "behind" } else { "ahead of" };
            tracing::warn!(
                "the clock of this machine is {seconds:.1} s {which} that of the database, which counts; set it right"
            );
        }
    }

    fn now(&self) -> u64 {
        let here = i64::try_from(since_1970(SystemTime::now()).as_millis()).unwrap_or(i64::MAX);
        let there = here.saturating_add(self.behind.load(Ordering::Relaxed));
        u64::try_from(there / 1000).unwrap_or_default()
    }
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "it is a matter of seconds")]
fn reading_in_seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}

impl Store {
    /// The time by the database's clock, in seconds since 1970, as it was read last: within a second
    /// while the node is in the cluster.
    #[must_use]
    pub fn unix_now(&self) -> u64 {
        self.0.connector.clock.now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_that_of_the_database() {
        let clock = Clock::default();
        let asked = SystemTime::now();
        for skew in [-600.0, 0.0, 600.0] {
            clock.set(asked, since_1970(asked).as_secs_f64() + skew);
            #[expect(clippy::cast_precision_loss, reason = "it is a matter of seconds")]
            let off = clock.now() as f64 - since_1970(asked).as_secs_f64() - skew;
            assert!(off.abs() < 5.0, "{skew}: {off}");
        }
    }
}
