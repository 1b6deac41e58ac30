//! The failed logins that a node remembers: a table that is bounded, whoever tries.

use std::{cmp::Reverse, collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::logins::Account;
use crate::model::AddressPrefix;

/// The first wait; each further failure doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait, and how long after it all is forgotten.
const LONGEST_WAIT: Duration = Duration::from_mins(15);

/// How many rows the table has at most: about 5 MB.
const MOST: usize = 65_536;

/// How many of them remain when it has been full.
const KEPT: usize = MOST / 8 * 7;

/// An account as somebody at an address tries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) account: Account,
    pub(super) prefix: AddressPrefix,
}

#[derive(Default)]
pub(super) struct Failures(HashMap<Key, Failed>);

#[derive(Clone, Copy)]
struct Failed {
    times: u32,
    /// How long the next one has to wait after the last.
    wait: Duration,
    wait_until: Instant,
}

impl Failures {
    /// Counts a failure under each of the keys, which come with how many failures have no wait behind
    /// them; for each, until when the next one has to wait. Errors: how long this one has to; then
    /// nothing is counted.
    pub(super) fn begin(
        &mut self,
        keys: &[(Key, u32)],
        now: Instant,
    ) -> Result<Vec<(Key, Instant)>, Duration> {
        let waits = keys.iter().filter_map(|(key, _)| self.0.get(key));
        let wait = waits.map(|failed| failed.wait_until.saturating_duration_since(now)).max();
        if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
            return Err(wait);
        }
        if self.0.len() + keys.len() > MOST {
            self.evict(now);
        }
        Ok(keys.iter().map(|(key, free)| (*key, self.count(*key, *free, now))).collect())
    }

    fn count(&mut self, key: Key, free: u32, now: Instant) -> Instant {
        let fresh = Failed { times: 0, wait: Duration::ZERO, wait_until: now };
        let failed = self.0.entry(key).or_insert(fresh);
        if failed.is_forgotten(now) {
            *failed = fresh;
        }
        failed.times = failed.times.saturating_add(1);
        if let Some(beyond) = failed.times.checked_sub(free) {
            failed.wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(beyond)).min(LONGEST_WAIT);
            failed.wait_until = now + failed.wait;
        }
        failed.wait_until
    }

    /// Lets the wait that is to last until `wait_until` begin only now.
    pub(super) fn wait_from(&mut self, key: &Key, wait_until: Instant, now: Instant) {
        if let Some(failed) = self.0.get_mut(key).filter(|failed| failed.wait_until == wait_until) {
            failed.wait_until = now + failed.wait;
        }
    }

    /// Takes a failure back that made the next one wait until `wait_until`.
    pub(super) fn take_back(&mut self, key: &Key, wait_until: Instant) {
        let Some(failed) = self.0.get_mut(key) else { return };
        failed.times = failed.times.saturating_sub(1);
        if failed.times == 0 {
            self.0.remove(key);
        } else if failed.wait_until == wait_until {
            // Where another attempt has begun since, its wait stands.
            failed.wait_until = Instant::now();
        }
    }

    pub(super) fn forget(&mut self, key: &Key) {
        self.0.remove(key);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Makes room: forgets what is old, then what an address has beyond what the others have. An address
    /// that tries many accounts pushes out its own failures, those of the fewest guesses first, and not
    /// those of an address that tries one account often.
    fn evict(&mut self, now: Instant) {
        self.0.retain(|_, failed| !failed.is_forgotten(now));
        if self.0.len() <= KEPT {
            return;
        }
        let mut by_prefix: HashMap<AddressPrefix, Vec<(Key, Failed)>> = HashMap::new();
        for (key, failed) in self.0.drain() {
            by_prefix.entry(key.prefix).or_default().push((key, failed));
        }
        let mut ranked = Vec::new();
        for mut rows in by_prefix.into_values() {
            rows.sort_unstable_by_key(|(_, failed)| Reverse((failed.times, failed.wait_until)));
            ranked.extend(rows.into_iter().enumerate());
        }
        let last_kept = |&(rank, (_, failed)): &(usize, (Key, Failed))| {
            (rank, Reverse((failed.times, failed.wait_until)))
        };
        ranked.select_nth_unstable_by_key(KEPT, last_kept);
        self.0.extend(ranked.into_iter().take(KEPT).map(|(_, row)| row));
    }
}

impl Failed {
    fn is_forgotten(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.wait_until) > LONGEST_WAIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ClientAddress;

    fn key(account: Account, address: u32) -> Key {
        let address = ClientAddress::new(std::net::Ipv4Addr::from_bits(address).into());
        Key { account, prefix: address.prefix() }
    }

    #[test]
    fn each_failure_doubles_the_wait() {
        let (mut failures, mut now) = (Failures::default(), Instant::now());
        let ann = [(key(1, 1), 3)];
        let counted = Ok(vec![(ann[0].0, now)]);
        for _ in 0..2 {
            assert_eq!(failures.begin(&ann, now), counted);
        }
        let mut waits = Vec::new();
        for _ in 0..12 {
            assert!(failures.begin(&ann, now).is_ok());
            let wait = failures.begin(&ann, now).expect_err("a wait");
            waits.push(wait.as_secs());
            now += wait;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
        now += LONGEST_WAIT + FIRST_WAIT;
        for _ in 0..2 {
            assert_eq!(failures.begin(&ann, now), Ok(vec![(ann[0].0, now)]), "all is forgotten");
        }
    }

    #[test]
    fn the_table_is_bounded_and_keeps_who_guesses_one_account() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        let guessed = [(key(1, 1), 2)];
        for _ in 0..2 {
            failures.begin(&guessed, now).expect("a guess");
        }
        for n in 0..4 * MOST {
            let account = Account::try_from(n).expect("a small number");
            failures.begin(&[(key(account, 2), 2)], now).expect("one guess each");
            assert!(failures.len() <= MOST);
        }
        failures.begin(&guessed, now).expect_err("its wait was not pushed out");
    }

    #[test]
    fn many_addresses_are_bounded_too() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        for n in 0..2 * u32::try_from(MOST).expect("a small number") {
            failures.begin(&[(key(1, n), 2)], now).expect("one guess each");
        }
        assert!(failures.len() <= MOST);
    }
}
