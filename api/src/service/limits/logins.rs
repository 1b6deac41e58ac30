//! Failed logins. Who guesses passwords has to wait longer and longer; whose account it is does not,
//! because the wait is for the account and the address together.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{ClientLimits, rate::Rate};
use crate::model::{AddressPrefix, ClientAddress, Error, Limit, Result};

/// The first wait; each further failure doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait, and how long after it all is forgotten.
const LONGEST_WAIT: Duration = Duration::from_mins(15);

/// How many accounts there are when they are first looked through for those to forget.
const FIRST_SWEEP: usize = 10_000;

/// No id of a user is longer, in bytes.
const LONGEST_USER_ID: usize = 64;

/// An account as somebody at an address calls it.
type Key = (String, AddressPrefix);

pub(in crate::service) struct Logins {
    /// How many failures have no wait behind them.
    free: u32,
    loopback: bool,
    from_address: Rate<AddressPrefix>,
    failures: Mutex<Failures>,
}

#[derive(Default)]
struct Failures {
    of: HashMap<Key, Failed>,
    sweep_at: usize,
}

#[derive(Clone, Copy)]
struct Failed {
    times: u32,
    wait_until: Instant,
}

/// A login that is under way. It counts as failed until it is known not to have.
pub(in crate::service) struct Attempt<'a> {
    logins: &'a Logins,
    prefix: Option<AddressPrefix>,
    /// And until when this attempt makes the next one wait.
    account: Option<(Key, Instant)>,
}

impl Logins {
    pub(super) fn new(limits: &ClientLimits) -> Self {
        Self {
            free: limits.failed_logins,
            loopback: limits.loopback,
            from_address: Rate::new((limits.failed_logins_per_address, Duration::from_mins(1), 1)),
            failures: Mutex::default(),
        }
    }

    /// Begins a login from an address; `user_id` is the account whose password is tried.
    ///
    /// Errors: [`Error::RateLimited`].
    pub(in crate::service) fn begin(
        &self,
        user_id: Option<&str>,
        address: Option<ClientAddress>,
    ) -> Result<Attempt<'_>> {
        let counted = address.filter(|address| self.loopback || !address.0.is_loopback());
        let Some(prefix) = counted.map(ClientAddress::prefix) else {
            return Ok(Attempt { logins: self, prefix: None, account: None });
        };
        let now = Instant::now();
        let user_id = user_id.filter(|id| self.free > 0 && id.len() <= LONGEST_USER_ID);
        let begin = |user_id: &str| {
            let key = (user_id.to_owned(), prefix);
            let wait_until = self.failures.lock().begin(&key, self.free, now);
            let limited =
                |retry_after| Error::RateLimited { limit: Limit::FailedLogins, retry_after };
            wait_until.map(|wait_until| (key, wait_until)).map_err(limited)
        };
        let account = user_id.map(begin).transpose()?;
        let attempt = Attempt { logins: self, prefix: Some(prefix), account };
        if let Err(retry_after) = self.from_address.take(prefix, now) {
            attempt.take_account_back();
            return Err(Error::RateLimited { limit: Limit::FailedLoginsPerAddress, retry_after });
        }
        Ok(attempt)
    }
}

impl Attempt<'_> {
    /// The password, or whatever it was, is right.
    pub(in crate::service) fn succeeded(self) {
        if let Some((key, _)) = &self.account {
            self.logins.failures.lock().of.remove(key);
        }
        self.take_address_back();
    }

    /// It failed for a reason that tells nothing of the password.
    pub(in crate::service) fn was_none(self) {
        self.take_account_back();
        self.take_address_back();
    }

    fn take_account_back(&self) {
        let Some((key, wait_until)) = &self.account else { return };
        if let Some(failed) = self.logins.failures.lock().of.get_mut(key) {
            failed.times = failed.times.saturating_sub(1);
            // Another attempt may have begun since: its wait stands.
            if failed.wait_until == *wait_until {
                failed.wait_until = Instant::now();
            }
        }
    }

    fn take_address_back(&self) {
        if let Some(prefix) = &self.prefix {
            self.logins.from_address.give_back(prefix);
        }
    }
}

impl Failures {
    /// Counts a failure; until when the next one has to wait. Errors: how long this one has to.
    fn begin(&mut self, account: &Key, free: u32, now: Instant) -> Result<Instant, Duration> {
        if self.of.len() >= self.sweep_at.max(FIRST_SWEEP) {
            self.of.retain(|_, failed| !failed.is_forgotten(now));
            self.sweep_at = self.of.len() * 2;
        }
        let fresh = Failed { times: 0, wait_until: now };
        let failed = self.of.entry(account.clone()).or_insert(fresh);
        if failed.is_forgotten(now) {
            *failed = fresh;
        }
        let wait = failed.wait_until.saturating_duration_since(now);
        if !wait.is_zero() {
            return Err(wait);
        }
        failed.times = failed.times.saturating_add(1);
        if let Some(beyond) = failed.times.checked_sub(free) {
            let wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(beyond));
            failed.wait_until = now + wait.min(LONGEST_WAIT);
        }
        Ok(failed.wait_until)
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

    fn key() -> Key {
        ("ann".to_owned(), ClientAddress::new([192, 0, 2, 1].into()).prefix())
    }

    #[test]
    fn each_failure_doubles_the_wait() {
        let (mut failures, mut now) = (Failures::default(), Instant::now());
        for _ in 0..2 {
            assert_eq!(failures.begin(&key(), 3, now), Ok(now));
        }
        let mut waits = Vec::new();
        for _ in 0..12 {
            assert!(failures.begin(&key(), 3, now).is_ok());
            let wait = failures.begin(&key(), 3, now).expect_err("a wait");
            waits.push(wait.as_secs());
            now += wait;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
        now += LONGEST_WAIT + FIRST_WAIT;
        for _ in 0..2 {
            assert_eq!(failures.begin(&key(), 3, now), Ok(now), "all is forgotten");
        }
    }

    #[test]
    fn an_attempt_that_was_none_ends_no_wait_of_another() {
        let limits = ClientLimits { failed_logins: 2, loopback: true, ..ClientLimits::default() };
        let (logins, address) = (Logins::new(&limits), ClientAddress::new([192, 0, 2, 1].into()));
        let begin = || logins.begin(Some("ann"), Some(address));
        let was_none = begin().expect("the first");
        let _guess = begin().expect("the second, which brings a wait");
        was_none.was_none();
        assert!(begin().is_err());
    }
}
