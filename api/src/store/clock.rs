//! The database's clock. Nodes judge times by it, because they share it: a node whose own clock is
//! wrong takes the tokens of the others, and they take its tokens.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use metrics::gauge;
use time::OffsetDateTime;

use super::Store;
use crate::telemetry;

/// How far a node's clock may be off before it is warned of, in milliseconds.
const NOTABLE: i64 = 2_000;

/// How long a reading may be under way. When it was made in that time nobody knows, so that one that
/// took longer, because the machine stood still, could be off by more than tokens are forgiven.
const UNDER_WAY: Duration = Duration::from_secs(2);

/// What the server is asked for: seconds since 1970.
pub(super) const QUESTION: &str = "SELECT extract(epoch FROM clock_timestamp())::float8";

/// The database's clock as this node knows it: the last reading, and how much time has passed since. Not how far this
/// node's own clock is off, which may be set at any moment.
pub(super) struct Clock {
    started: Instant,
    /// What the database's clock said at `started`, in milliseconds since 1970.
    then: AtomicI64,
    /// How far this node's clock was behind at the last reading, in milliseconds; negative when it was ahead.
    behind: AtomicI64,
}

impl Default for Clock {
    /// Until the first reading this node's own clock has to do.
    fn default() -> Self {
        let then = milliseconds(since_1970(SystemTime::now()));
        Self { started: Instant::now(), then: then.into(), behind: AtomicI64::default() }
    }
}

impl Clock {
    /// Takes a reading of the database's clock, in seconds since 1970, which was asked for at `asked`
    /// and has just come; not one that took long, as the next one follows in a second.
    pub(super) fn set(&self, asked: Instant, reading: f64) {
        let there_and_back = asked.elapsed();
        if there_and_back > UNDER_WAY {
            return;
        }
        let way = there_and_back / 2;
        let read = asked.saturating_duration_since(self.started) + way;
        #[expect(clippy::cast_possible_truncation, reason = "milliseconds are enough")]
        let reading = (reading * 1000.0) as i64;
        self.then.store(reading - milliseconds(read), Ordering::Relaxed);
        let here = milliseconds(since_1970(SystemTime::now()).saturating_sub(way));
        let behind = reading - here;
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
        let passed = milliseconds(self.started.elapsed());
        let now = self.then.load(Ordering::Relaxed).saturating_add(passed);
        u64::try_from(now / 1000).unwrap_or_default()
    }
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn milliseconds(of: Duration) -> i64 {
    i64::try_from(of.as_millis()).unwrap_or(i64::MAX)
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

    /// [`Store::unix_now`] as a time.
    #[must_use]
    pub fn now(&self) -> OffsetDateTime {
        let seconds = i64::try_from(self.unix_now()).unwrap_or(i64::MAX);
        OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_that_of_the_database() {
        let clock = Clock::default();
        let here = since_1970(SystemTime::now()).as_secs_f64();
        for skew in [-600.0, 0.0, 600.0] {
            clock.set(Instant::now(), here + skew);
            #[expect(clippy::cast_precision_loss, reason = "it is a matter of seconds")]
            let off = clock.now() as f64 - here - skew;
            assert!(off.abs() < 5.0, "{skew}: {off}");
        }
    }

    #[test]
    fn a_reading_that_took_long_does_not_count() {
        let clock = Clock::default();
        let before = clock.now();
        let asked = Instant::now().checked_sub(Duration::from_secs(30)).expect("the machine is up");
        clock.set(asked, since_1970(SystemTime::now()).as_secs_f64() - 30.0);
        assert!(clock.now() >= before);
    }
}
