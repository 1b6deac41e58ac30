//! Rates: so many in a while for each key, and some at once.

use std::{
    array,
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

/// Spreads the keys over locks.
const SHARDS: usize = 64;

/// How many keys a shard has when it is first looked through for those that have rested long enough.
const FIRST_SWEEP: usize = 256;

/// A rate that each key has for itself (a generic cell rate algorithm). A key that rests costs nothing.
pub(super) struct Rate<K> {
    /// How long one takes to come back; zero for no limit.
    interval: Duration,
    /// How long all of them take.
    window: Duration,
    shards: [Mutex<Shard<K>>; SHARDS],
    hasher: RandomState,
}

struct Shard<K> {
    /// When each key has all of its burst again.
    full_at: HashMap<K, Instant>,
    sweep_at: usize,
}

impl<K: Eq + Hash> Rate<K> {
    /// `count` every `period`, and as many as come in `burst` periods at once.
    pub(super) fn new((count, period, burst): (u32, Duration, u32)) -> Self {
        let shard = |_| Mutex::new(Shard { full_at: HashMap::new(), sweep_at: FIRST_SWEEP });
        Self {
            interval: period.checked_div(count).unwrap_or_default(),
            window: period * burst,
            shards: array::from_fn(shard),
            hasher: RandomState::new(),
        }
    }

    fn shard(&self, key: &K) -> &Mutex<Shard<K>> {
        let hash = self.hasher.hash_one(key) % SHARDS as u64;
        &self.shards[usize::try_from(hash).unwrap_or_default()]
    }

    /// Whether there is one to take now. Errors: how long it is until there is.
    pub(super) fn check(&self, key: &K, now: Instant) -> Result<(), Duration> {
        if self.interval.is_zero() {
            return Ok(());
        }
        self.next(&self.shard(key).lock(), key, now).map(drop)
    }

    /// Takes one. Errors: how long it is until there is one.
    pub(super) fn take(&self, key: K, now: Instant) -> Result<(), Duration> {
        if self.interval.is_zero() {
            return Ok(());
        }
        let mut shard = self.shard(&key).lock();
        let full_at = self.next(&shard, &key, now)?;
        if shard.full_at.len() >= shard.sweep_at {
            shard.full_at.retain(|_, full_at| *full_at > now);
            shard.sweep_at = FIRST_SWEEP.max(shard.full_at.len() * 2);
        }
        shard.full_at.insert(key, full_at);
        Ok(())
    }

    /// When the key has all of its burst again once one more is taken. Errors: how long it is until one
    /// can be.
    fn next(&self, shard: &Shard<K>, key: &K, now: Instant) -> Result<Instant, Duration> {
        let full_at = shard.full_at.get(key).map_or(now, |full_at| now.max(*full_at));
        let full_at = full_at + self.interval;
        let wait = full_at.saturating_duration_since(now + self.window);
        if wait.is_zero() { Ok(full_at) } else { Err(wait) }
    }

    /// Gives one back that did not count after all.
    pub(super) fn give_back(&self, key: &K) {
        if let Some(full_at) = self.shard(key).lock().full_at.get_mut(key) {
            *full_at = full_at.checked_sub(self.interval).unwrap_or(*full_at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_burst_passes_and_then_one_an_interval() {
        let (rate, start) = (Rate::new((10, Duration::from_secs(1), 2)), Instant::now());
        for _ in 0..20 {
            assert_eq!(rate.take("ann", start), Ok(()));
        }
        assert_eq!(rate.take("ann", start), Err(100 * MS));
        assert_eq!(rate.check(&"ann", start), Err(100 * MS));
        assert_eq!(rate.check(&"bob", start), Ok(()), "looking takes none");
        assert_eq!(rate.take("bob", start), Ok(()), "each key has its own");
        assert_eq!(rate.take("ann", start + 99 * MS), Err(MS));
        assert_eq!(rate.take("ann", start + 100 * MS), Ok(()));
        assert_eq!(rate.take("ann", start + 100 * MS), Err(100 * MS));
        rate.give_back(&"ann");
        assert_eq!(rate.take("ann", start + 100 * MS), Ok(()));
        let rested = start + Duration::from_mins(1);
        assert_eq!((0..30).filter(|_| rate.take("ann", rested).is_ok()).count(), 20);
    }

    #[test]
    fn zero_is_no_limit() {
        let (rate, now) = (Rate::new((0, Duration::from_secs(1), 10)), Instant::now());
        assert!((0..100_000).all(|_| rate.take((), now).is_ok()));
    }

    #[test]
    fn keys_that_rest_are_forgotten() {
        let (rate, start) = (Rate::new((1, MS, 1)), Instant::now());
        for n in 0..200_000_u64 {
            rate.take(n, start + Duration::from_micros(n)).expect("a key of its own");
        }
        let kept: usize = rate.shards.iter().map(|shard| shard.lock().full_at.len()).sum();
        assert!(kept <= SHARDS * (FIRST_SWEEP + 1), "{kept}");
    }
}
