//! What a run measures.

use std::{
    collections::BTreeMap,
    ops::Range,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

/// The longest latency that is told apart.
const LONGEST: Duration = Duration::from_mins(10);

/// Latencies, to three figures.
#[derive(Debug, Clone)]
pub(super) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(super) fn new() -> Self {
        let longest = micros(LONGEST);
        Self(Histogram::new_with_bounds(1, longest, 3).expect("the bounds are good"))
    }

    pub(super) fn record(&mut self, latency: Duration) {
        self.0.saturating_record(micros(latency));
    }

    pub(super) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that the share `quantile` of all does not exceed.
    pub(super) fn quantile(&self, quantile: f64) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(quantile))
    }

    pub(super) fn max(&self) -> Duration {
        Duration::from_micros(self.0.max())
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// What is measured of some messages, in the window alone.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    /// From the sending, or from when it was due, to the acknowledgement.
    pub(super) ack: Latencies,
    /// From there to the last of all terminals.
    pub(super) delivery: Latencies,
    /// Messages that were complete within the window.
    pub(super) messages: u64,
}

/// What is measured in the window alone.
#[derive(Debug)]
pub(super) struct Results {
    /// Of all messages.
    pub(super) all: Measured,
    /// Of messages to users, and of those to groups.
    pub(super) to_users: Measured,
    pub(super) to_groups: Measured,
    pub(super) window: Duration,
}

/// What is counted from the start to the end.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Messages that were sent.
    pub(super) sent: u64,
    /// Deliveries, to all terminals together.
    pub(super) deliveries: u64,
    /// Sends that were repeated, whatever came of them.
    pub(super) retries: u64,
    /// Messages that were given up, by the code of the last error.
    pub(super) errors: BTreeMap<String, u64>,
    /// Streams that were opened anew.
    pub(super) reconnects: u64,
    /// Messages that some terminal did not get in the end.
    pub(super) unfinished: u64,
    /// Messages that were due in the window and were not even sent.
    pub(super) unsent: u64,
    /// Entries that a stream gave a second time.
    pub(super) repeated: u64,
}

/// Measures while the load runs.
#[derive(Debug)]
pub(super) struct Meter {
    window: Range<Instant>,
    results: Results,
}

/// Which kind of message something happens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    ToUser,
    ToGroup,
}

impl Measured {
    pub(super) fn new() -> Self {
        Self { ack: Latencies::new(), delivery: Latencies::new(), messages: 0 }
    }
}

impl Meter {
    /// A meter for messages that are sent, or due, within `window`.
    pub(super) fn new(window: Range<Instant>) -> Self {
        let results = Results {
            all: Measured::new(),
            to_users: Measured::new(),
            to_groups: Measured::new(),
            window: window.end - window.start,
        };
        Self { window, results }
    }

    fn each(&mut self, kind: Kind) -> [&mut Measured; 2] {
        let Results { all, to_users, to_groups, .. } = &mut self.results;
        match kind {
            Kind::ToUser => [all, to_users],
            Kind::ToGroup => [all, to_groups],
        }
    }

    pub(super) fn acked(&mut self, kind: Kind, begun: Instant, now: Instant) {
        if self.window.contains(&begun) {
            for measured in self.each(kind) {
                measured.ack.record(now - begun);
            }
        }
    }

    pub(super) fn delivered_everywhere(&mut self, kind: Kind, begun: Instant, now: Instant) {
        if self.window.contains(&begun) {
            for measured in self.each(kind) {
                measured.delivery.record(now - begun);
            }
        }
    }

    /// A message is acknowledged and everywhere.
    pub(super) fn complete(&mut self, kind: Kind, now: Instant) {
        if self.window.contains(&now) {
            for measured in self.each(kind) {
                measured.messages += 1;
            }
        }
    }

    /// How many messages are complete so far.
    pub(super) fn messages(&self) -> u64 {
        self.results.all.messages
    }

    pub(super) fn finish(self) -> Results {
        self.results
    }
}

impl Results {
    /// Complete messages a second.
    pub(super) fn throughput(&self) -> f64 {
        per_second(self.all.messages, self.window)
    }
}

/// How many a second that is.
#[expect(clippy::cast_precision_loss, reason = "nobody counts to 2^53 here")]
pub(super) fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn quantiles_are_good_to_three_figures() {
        let mut latencies = Latencies::new();
        (1..=1_000).for_each(|number| latencies.record(number * MS));
        for (quantile, exact) in [(0.5, 500), (0.9, 900), (0.99, 990), (0.999, 999)] {
            let (found, exact) = (latencies.quantile(quantile), exact * MS);
            assert!(found.abs_diff(exact) <= exact / 1_000, "{quantile}: {found:?}");
        }
        assert!(latencies.max().abs_diff(1_000 * MS) <= MS);
        assert_eq!(latencies.count(), 1_000);
    }

    #[test]
    fn a_latency_beyond_all_bounds_counts_as_the_longest() {
        let mut latencies = Latencies::new();
        latencies.record(LONGEST * 3);
        assert!(latencies.max() >= LONGEST);
    }

    #[test]
    fn only_the_window_is_measured() {
        let start = Instant::now();
        let at = |ms| start + ms * MS;
        let mut meter = Meter::new(at(100)..at(200));
        for (begun, ended) in [(50, 90), (90, 110), (110, 120), (190, 260), (210, 215)] {
            meter.acked(Kind::ToUser, at(begun), at(ended));
            meter.delivered_everywhere(Kind::ToUser, at(begun), at(ended));
            meter.complete(Kind::ToUser, at(ended));
        }
        let results = meter.finish();
        // What began in it counts however late it ends, so that slow messages are not left out …
        assert_eq!(results.all.ack.count(), 2);
        assert!(results.all.delivery.max().abs_diff(70 * MS) < MS);
        // … and what ended in it is what got done in that time.
        assert_eq!(results.to_users.messages, 2);
        assert!((results.throughput() - 20.0).abs() < 1e-9);
        assert_eq!((results.to_groups.ack.count(), results.to_groups.messages), (0, 0));
    }
}
