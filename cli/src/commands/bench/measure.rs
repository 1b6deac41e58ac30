//! What a run measures.

use std::{
    collections::BTreeMap,
    ops::Range,
    time::{Duration, Instant},
};

use cpu_time::ProcessTime;
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

/// What is measured in the window alone.
#[derive(Debug)]
pub(super) struct Results {
    /// From the sending, or from when it was due, to the acknowledgement.
    pub(super) ack: Latencies,
    /// From there to the last of all terminals.
    pub(super) delivery: Latencies,
    /// Messages that were complete within the window.
    pub(super) messages: u64,
    pub(super) window: Duration,
    /// How much of a core the load generator itself used.
    pub(super) client_cores: f64,
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
    /// The time of the processor at the start of the window.
    cpu: Option<ProcessTime>,
}

impl Meter {
    /// A meter for messages that are sent, or due, within `window`.
    pub(super) fn new(window: Range<Instant>) -> Self {
        let results = Results {
            ack: Latencies::new(),
            delivery: Latencies::new(),
            messages: 0,
            window: window.end - window.start,
            client_cores: 0.0,
        };
        Self { window, results, cpu: None }
    }

    /// To be called now and then; notes when the window opens and closes.
    pub(super) fn tick(&mut self, now: Instant) {
        if now < self.window.start {
            return;
        }
        let started = *self.cpu.get_or_insert_with(ProcessTime::now);
        if now < self.window.end {
            let wall = now - self.window.start;
            self.results.client_cores = started.elapsed().div_duration_f64(wall.max(LEAST));
        }
    }

    pub(super) fn acked(&mut self, begun: Instant, now: Instant) {
        if self.window.contains(&begun) {
            self.results.ack.record(now - begun);
        }
    }

    pub(super) fn delivered_everywhere(&mut self, begun: Instant, now: Instant) {
        if self.window.contains(&begun) {
            self.results.delivery.record(now - begun);
        }
    }

    /// A message is acknowledged and everywhere.
    pub(super) fn complete(&mut self, now: Instant) {
        self.results.messages += u64::from(self.window.contains(&now));
    }

    /// How many messages are complete so far.
    pub(super) fn messages(&self) -> u64 {
        self.results.messages
    }

    pub(super) fn finish(self) -> Results {
        self.results
    }
}

/// Keeps a division from dividing by nothing.
const LEAST: Duration = Duration::from_millis(1);

impl Results {
    /// Complete messages a second.
    pub(super) fn throughput(&self) -> f64 {
        per_second(self.messages, self.window)
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
            meter.acked(at(begun), at(ended));
            meter.delivered_everywhere(at(begun), at(ended));
            meter.complete(at(ended));
        }
        let results = meter.finish();
        // What began in it counts however late it ends, so that slow messages are not left out …
        assert_eq!(results.ack.count(), 2);
        assert!(results.delivery.max().abs_diff(70 * MS) < MS);
        // … and what ended in it is what got done in that time.
        assert_eq!(results.messages, 2);
        assert!((results.throughput() - 20.0).abs() < 1e-9);
    }
}
