//! Logins. Who guesses passwords has to wait longer and longer; whose account it is does not, because
//! the wait is for the account and the address together.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    ClientLimits,
    failures::{Failures, Key},
    limited,
    rate::Rate,
};
use crate::model::{AddressPrefix, ClientAddress, Limit, Result};

/// How many times as much as one address a site of IPv6 may take: it is the home of many, or of one
/// who has 65,536 networks to come from.
const SITE_SHARE: u32 = 4;

/// What stands for an account: a keyed hash of its id, so that a long id costs no more than a short one
/// and nobody can find two that collide.
pub(super) type Account = u64;

pub(in crate::service) struct Logins {
    /// How many failures have no wait behind them; zero for no waits.
    free: u32,
    from_prefix: Rate<AddressPrefix>,
    from_site: Rate<AddressPrefix>,
    of_account: Rate<Account>,
    failures: Mutex<Failures>,
    hasher: RandomState,
}

/// A login that is under way. It counts as failed until it is known not to have.
pub(in crate::service) struct Attempt<'a> {
    logins: &'a Logins,
    address: Option<ClientAddress>,
    /// And until when this attempt makes the next one wait.
    counted: Vec<(Key, Instant)>,
}

impl Logins {
    pub(super) fn new(limits: &ClientLimits) -> Self {
        let (minute, failed) = (Duration::from_mins(1), limits.failed_logins_per_address);
        Self {
            free: limits.failed_logins,
            from_prefix: Rate::new((failed, minute, 1)),
            from_site: Rate::new((failed.saturating_mul(SITE_SHARE), minute, 1)),
            of_account: Rate::new((limits.logins_per_user, minute, 1)),
            failures: Mutex::default(),
            hasher: RandomState::new(),
        }
    }

    /// Begins a login from an address; `user_id` is the account whose password is tried.
    ///
    /// The address is looked at before the account: one that is limited leaves nothing behind, whatever
    /// accounts it names.
    ///
    /// Errors: [`crate::model::Error::RateLimited`].
    pub(in crate::service) fn begin(
        &self,
        user_id: Option<&str>,
        address: Option<ClientAddress>,
    ) -> Result<Attempt<'_>> {
        let now = Instant::now();
        let account = user_id.map(|user_id| self.hasher.hash_one(user_id));
        self.check_address(address, now)?;
        if let Some(account) = account {
            self.of_account.check(&account, now).map_err(limited(Limit::LoginsPerUser))?;
        }
        let counted = match (account, address) {
            (Some(account), Some(address)) if self.free > 0 => {
                let begun = self.failures.lock().begin(&self.keys(account, address), now);
                begun.map_err(limited(Limit::FailedLogins))?
            }
            _ => Vec::new(),
        };
        let attempt = Attempt { logins: self, address, counted };
        if let Some(address) = address
            && let Err(refusal) = self.take_address(address, now)
        {
            attempt.take_account_back();
            return Err(refusal);
        }
        Ok(attempt)
    }

    /// Counts a login of a user that is about to succeed.
    ///
    /// Errors: [`crate::model::Error::RateLimited`].
    pub(in crate::service) fn count_success(&self, user_id: &str) -> Result<()> {
        let account = self.hasher.hash_one(user_id);
        self.of_account.take(account, Instant::now()).map_err(limited(Limit::LoginsPerUser))
    }

    /// What the failures of an account from an address are counted under, each with how many are free.
    fn keys(&self, account: Account, address: ClientAddress) -> Vec<(Key, u32)> {
        let (prefix, site) = (address.prefix(), address.site());
        let mut keys = vec![(Key { account, prefix }, self.free)];
        if site != prefix {
            keys.push((Key { account, prefix: site }, self.free.saturating_mul(SITE_SHARE)));
        }
        keys
    }

    fn check_address(&self, address: Option<ClientAddress>, now: Instant) -> Result<()> {
        let Some(address) = address else { return Ok(()) };
        let checked = self.from_site.check(&address.site(), now);
        let checked = checked.and_then(|()| self.from_prefix.check(&address.prefix(), now));
        checked.map_err(limited(Limit::FailedLoginsPerAddress))
    }

    fn take_address(&self, address: ClientAddress, now: Instant) -> Result<()> {
        let limited = limited(Limit::FailedLoginsPerAddress);
        self.from_site.take(address.site(), now).map_err(&limited)?;
        self.from_prefix.take(address.prefix(), now).map_err(|retry_after| {
            self.from_site.give_back(&address.site());
            limited(retry_after)
        })
    }
}

impl Attempt<'_> {
    /// The password, or whatever it was, is right.
    pub(in crate::service) fn succeeded(self) {
        let mut failures = self.logins.failures.lock();
        for (key, _) in &self.counted {
            failures.forget(key);
        }
        drop(failures);
        self.take_address_back();
    }

    /// The password, or whatever it was, is wrong. What the next one has to wait begins now: checking a
    /// password takes its time, too.
    pub(in crate::service) fn failed(self) {
        let (mut failures, now) = (self.logins.failures.lock(), Instant::now());
        for (key, wait_until) in &self.counted {
            failures.wait_from(key, *wait_until, now);
        }
    }

    /// It failed for a reason that tells nothing of the password.
    pub(in crate::service) fn was_none(self) {
        self.take_account_back();
        self.take_address_back();
    }

    fn take_account_back(&self) {
        let mut failures = self.logins.failures.lock();
        for (key, wait_until) in &self.counted {
            failures.take_back(key, *wait_until);
        }
    }

    fn take_address_back(&self) {
        if let Some(address) = self.address {
            self.logins.from_prefix.give_back(&address.prefix());
            self.logins.from_site.give_back(&address.site());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Error;

    fn begin<'a>(logins: &'a Logins, user_id: &str, address: &str) -> Result<Attempt<'a>> {
        let address = ClientAddress::new(address.parse().unwrap());
        logins.begin(Some(user_id), Some(address))
    }

    #[test]
    fn an_attempt_that_was_none_ends_no_wait_of_another() {
        let limits = ClientLimits { failed_logins: 2, ..ClientLimits::default() };
        let logins = Logins::new(&limits);
        let begin = || begin(&logins, "ann", "192.0.2.1");
        let was_none = begin().expect("the first");
        let _guess = begin().expect("the second, which brings a wait");
        was_none.was_none();
        assert!(begin().is_err());
    }

    #[test]
    fn an_address_that_is_limited_leaves_nothing_behind() {
        let limits = ClientLimits {
            failed_logins: 5,
            failed_logins_per_address: 10,
            ..ClientLimits::default()
        };
        let logins = Logins::new(&limits);
        for n in 0..100_000 {
            drop(begin(&logins, &format!("user-{n}"), "192.0.2.1"));
        }
        assert_eq!(logins.failures.lock().len(), 10);
    }

    #[test]
    fn a_site_of_ipv6_guesses_four_times_as_often_as_one_network() {
        let limits = ClientLimits { failed_logins: 3, ..ClientLimits::default() };
        let logins = Logins::new(&limits);
        let guess = |n: usize| {
            drop(begin(&logins, "ann", &format!("2001:db8:1:{n:x}::1"))?);
            Ok::<_, Error>(())
        };
        assert!((0..12).all(|n| guess(n).is_ok()));
        assert!(guess(12).is_err(), "from a network that has not guessed yet");
        begin(&logins, "ann", "2001:db8:2::1").expect("another site");
    }

    #[test]
    fn an_account_logs_in_so_often_wherever_from() {
        let limits = ClientLimits { logins_per_user: 3, ..ClientLimits::default() };
        let logins = Logins::new(&limits);
        for n in 0..3 {
            let attempt = begin(&logins, "ann", &format!("192.0.2.{n}")).expect("a login");
            logins.count_success("ann").expect("one of three");
            attempt.succeeded();
        }
        assert!(begin(&logins, "ann", "192.0.2.9").is_err());
        assert!(logins.count_success("ann").is_err(), "an assertion's, too");
        begin(&logins, "ben", "192.0.2.9").expect("another account");
    }
}
