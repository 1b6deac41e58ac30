//! What one client may take. Each node counts by itself: no limit here costs a look into the database.

mod failures;
mod logins;
mod rate;

use tokio::time::Instant;

use self::{logins::Logins, rate::Rate};
use super::{Service, access::Identity};
use crate::model::{Error, Limit, Result, SessionId, UserNo};

/// How many seconds' worth may come at once.
const BURST: u32 = 10;

/// How much one client may take of a node. Zero stands for no limit.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClientLimits {
    /// Failed logins of one account from one address before the next has to wait.
    pub failed_logins: u32,
    /// Failed logins from one address in a minute.
    pub failed_logins_per_address: u32,
    /// Messages of one session in a second.
    pub sends_per_session: u32,
    /// Messages of one user in a second.
    pub sends_per_user: u32,
    /// Successful logins of one user in a minute.
    pub logins_per_user: u32,
    /// Open streams of one session.
    pub streams_per_session: usize,
    /// Pings over one WebSocket in a second.
    pub pings_per_second: u32,
}

/// The counts of a node.
pub(super) struct Counts {
    pub(super) logins: Logins,
    sends_of_session: Rate<SessionId>,
    sends_of_user: Rate<UserNo>,
}

impl Counts {
    pub(super) fn new(limits: &ClientLimits) -> Self {
        let sends = |per_second: u32| (per_second, std::time::Duration::from_secs(1), BURST);
        Self {
            logins: Logins::new(limits),
            sends_of_session: Rate::new(sends(limits.sends_per_session)),
            sends_of_user: Rate::new(sends(limits.sends_per_user)),
        }
    }
}

impl Service {
    /// Counts a message that the caller sends.
    ///
    /// Errors: [`Error::RateLimited`].
    pub(super) fn count_send(&self, caller: &Identity) -> Result<()> {
        let (counts, now) = (&self.counts, Instant::now());
        let limited = |limit| move |retry_after| Error::RateLimited { limit, retry_after };
        counts
            .sends_of_session
            .take(caller.session_id, now)
            .map_err(limited(Limit::SendsPerSession))?;
        counts.sends_of_user.take(caller.user_no, now).map_err(limited(Limit::SendsPerUser))
    }

    /// How many pings may come over one WebSocket in a second; 0 for no limit.
    #[must_use]
    pub fn most_pings(&self) -> u32 {
        self.limits.clients.pings_per_second
    }

    /// How many streams a session may have open here.
    pub(super) fn most_streams(&self) -> usize {
        match self.limits.clients.streams_per_session {
            0 => usize::MAX,
            most => most,
        }
    }
}
