//! When messages are due under a fixed rate.

use std::{
    thread,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

/// Starts the clock: gives each message's time when it has come, from `begin` until `end`.
///
/// A thread of its own, because the timers of the runtime are only good to a millisecond or two.
pub(super) fn start(rate: u32, begin: Instant, end: Instant) -> mpsc::UnboundedReceiver<Instant> {
    let (due, schedule) = mpsc::unbounded_channel();
    thread::spawn(move || {
        for time in times(rate, begin).take_while(|time| *time < end) {
            thread::sleep(time.saturating_duration_since(Instant::now()));
            if due.send(time).is_err() {
                return;
            }
        }
    });
    schedule
}

fn times(rate: u32, begin: Instant) -> impl Iterator<Item = Instant> {
    (0_u32..).map(move |number| begin + Duration::from_secs(1) * number / rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holds_as_many_as_the_rate_says_without_drift() {
        let begin = Instant::now();
        let minute = begin + Duration::from_mins(1);
        assert_eq!(times(333, begin).take_while(|time| *time < minute).count(), 60 * 333);
    }

    #[tokio::test]
    async fn it_ends_with_the_last_message() {
        let begin = Instant::now();
        let mut schedule = start(1_000, begin, begin + Duration::from_millis(5));
        let mut times = Vec::new();
        while let Some(time) = schedule.recv().await {
            assert!(time <= Instant::now());
            times.push(time);
        }
        assert_eq!(times.len(), 5);
    }
}
