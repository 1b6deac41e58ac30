//! How a node fares right now: how long calls take, which took longest, and who calls most. For `imctl top`.
//!
//! It is about the last minute: two half minutes, of which the older is forgotten when the newer is over.

use std::{
    collections::HashMap,
    sync::LazyLock,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use time::OffsetDateTime;

/// Half of the time that is looked back on.
const HALF: Duration = Duration::from_secs(30);

/// How many of the slowest calls are kept.
const SLOWEST: usize = 20;

/// How many users are counted; one more pushes out the one who calls least.
const COUNTED: usize = 1000;

/// How many of those who call most are told.
const HOTTEST: usize = 20;

/// Each bound of a duration is so much longer than the one before: about a tenth of error.
const STEP: f64 = 1.2;

/// The shortest duration that is told apart, in seconds.
const SHORTEST: f64 = 0.000_1;

/// How many durations are told apart: up to more than an hour.
const BUCKETS: usize = 96;

/// The longest duration of each bucket.
static BOUNDS: LazyLock<[Duration; BUCKETS]> = LazyLock::new(|| {
    std::array::from_fn(|bucket| {
        let exponent = i32::try_from(bucket).unwrap_or(i32::MAX);
        Duration::from_secs_f64(SHORTEST * STEP.powi(exponent))
    })
});

static RECENT: LazyLock<Mutex<Recent>> = LazyLock::new(|| Mutex::new(Recent::new()));

/// A call that took long.
#[derive(Debug, Clone)]
pub struct SlowCall {
    /// When it ended.
    pub at: OffsetDateTime,
    /// How long it took.
    pub took: Duration,
    /// `POST`, or the name of a frame.
    pub method: &'static str,
    /// Without the query.
    pub path: String,
    /// Who called; empty when that is not known.
    pub user_id: String,
    /// The id of the call.
    pub request_id: String,
}

/// What the calls of the last half to one minute were.
#[derive(Debug, Clone)]
pub struct Load {
    /// Over how long this was counted.
    pub period: Duration,
    /// How many calls ended, WebSocket requests among them. A stream ends when it has begun.
    pub calls: u64,
    /// How many of them with an error.
    pub errors: u64,
    /// The duration that half of them did not exceed, and 90 and 99 of 100, with an error of a tenth.
    pub percentiles: [Duration; 3],
    /// The slowest, the slowest first.
    pub slowest: Vec<SlowCall>,
    /// Who called most, with how many calls.
    pub hottest: Vec<(String, u64)>,
}

struct Recent {
    began: Instant,
    halves: [Half; 2],
}

struct Half {
    calls: u64,
    errors: u64,
    buckets: [u64; BUCKETS],
    slowest: Vec<SlowCall>,
    users: HashMap<Box<str>, u64>,
    /// The least that any of them had called when it was last looked for.
    least: u64,
    /// Those who had called so often then. It is looked for again when they are used up, and not at each call of a
    /// new user.
    rarest: Vec<Box<str>>,
}

impl Half {
    fn new() -> Self {
        Self {
            calls: 0,
            errors: 0,
            buckets: [0; BUCKETS],
            slowest: Vec::new(),
            users: HashMap::new(),
            least: 0,
            rarest: Vec::new(),
        }
    }

    fn count_user(&mut self, user_id: &str) {
        if let Some(count) = self.users.get_mut(user_id) {
            *count += 1;
            return;
        }
        let mut before = 0;
        if self.users.len() >= COUNTED {
            // The new one may have called as often unseen.
            before = self.push_out_rarest();
        }
        self.users.insert(user_id.into(), before + 1);
    }

    /// Forgets one of those who have called least: how often it has.
    fn push_out_rarest(&mut self) -> u64 {
        loop {
            while let Some(user_id) = self.rarest.pop() {
                // It may have called since.
                if self.users.get(&user_id) == Some(&self.least) {
                    self.users.remove(&user_id);
                    return self.least;
                }
            }
            let Some(least) = self.users.values().min() else { return 0 };
            self.least = *least;
            let rarest = self.users.iter().filter(|(_, count)| **count == self.least);
            self.rarest = rarest.map(|(user_id, _)| user_id.clone()).collect();
        }
    }
}

impl Recent {
    fn new() -> Self {
        Self { began: Instant::now(), halves: [Half::new(), Half::new()] }
    }

    fn turn(&mut self) {
        let elapsed = self.began.elapsed();
        if elapsed < HALF {
            return;
        }
        let newer = std::mem::replace(&mut self.halves[0], Half::new());
        self.halves[1] = if elapsed < HALF * 2 { newer } else { Half::new() };
        self.began = Instant::now();
    }
}

/// Counts a call that has ended. `slow` is asked for when it is one of the slowest.
pub(super) fn note(
    took: Duration,
    failed: bool,
    user_id: Option<&str>,
    slow: impl FnOnce() -> SlowCall,
) {
    let bucket = bucket(took);
    let mut recent = RECENT.lock();
    recent.turn();
    let half = &mut recent.halves[0];
    half.calls += 1;
    half.errors += u64::from(failed);
    half.buckets[bucket] += 1;
    if let Some(user_id) = user_id {
        half.count_user(user_id);
    }
    let is_slow = half.slowest.len() < SLOWEST
        || half.slowest.last().is_some_and(|fastest| fastest.took < took);
    if is_slow {
        half.slowest.truncate(SLOWEST - 1);
        let place = half.slowest.partition_point(|other| other.took >= took);
        half.slowest.insert(place, slow());
    }
}

/// How the node fares.
#[must_use]
pub fn load() -> Load {
    let mut recent = RECENT.lock();
    recent.turn();
    let elapsed = recent.began.elapsed();
    let [newer, older] = &recent.halves;
    let mut buckets = newer.buckets;
    buckets.iter_mut().zip(older.buckets).for_each(|(sum, more)| *sum += more);
    let calls = newer.calls + older.calls;
    let mut slowest: Vec<_> = newer.slowest.iter().chain(&older.slowest).cloned().collect();
    slowest.sort_by_key(|call| std::cmp::Reverse(call.took));
    slowest.truncate(SLOWEST);
    let mut users = newer.users.clone();
    for (user_id, count) in &older.users {
        *users.entry(user_id.clone()).or_default() += count;
    }
    let mut hottest: Vec<_> =
        users.into_iter().map(|(user_id, count)| (user_id.into(), count)).collect();
    hottest.sort_by(|a: &(String, u64), b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    hottest.truncate(HOTTEST);
    Load {
        period: if older.calls > 0 { elapsed + HALF } else { elapsed },
        calls,
        errors: newer.errors + older.errors,
        percentiles: [50, 90, 99].map(|percent| percentile(&buckets, calls, percent)),
        slowest,
        hottest,
    }
}

fn bucket(took: Duration) -> usize {
    BOUNDS[..BUCKETS - 1].partition_point(|longest| *longest < took)
}

fn percentile(buckets: &[u64; BUCKETS], calls: u64, percent: u64) -> Duration {
    let wanted = (calls * percent).div_ceil(100);
    let mut seen = 0;
    let found = buckets.iter().position(|count| {
        seen += count;
        seen >= wanted && seen > 0
    });
    found.map_or(Duration::ZERO, |bucket| BOUNDS[bucket])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_a_tenth_off_at_most() {
        let mut buckets = [0; BUCKETS];
        for ms in 1..=100 {
            buckets[bucket(Duration::from_millis(ms))] += 1;
        }
        for percent in [50, 90, 99] {
            let told = percentile(&buckets, 100, percent).as_secs_f64() * 1000.0;
            let exact = f64::from(u32::try_from(percent).unwrap());
            assert!(told >= exact && told <= exact * STEP, "{percent}: {told} ms");
        }
        assert_eq!(percentile(&[0; BUCKETS], 0, 99), Duration::ZERO);
    }

    #[test]
    fn who_calls_most_is_not_pushed_out() {
        let mut half = Half::new();
        for n in 0..5000 {
            half.count_user("busy");
            half.count_user(&format!("user{n}"));
        }
        assert_eq!(half.users.len(), COUNTED);
        assert_eq!(half.users["busy"], 5000);
    }
}
