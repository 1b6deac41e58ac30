//! What one client may take. Each node counts by itself: no limit here costs a look into the database.

mod failures;
mod logins;
mod rate;
mod reads;

use std::time::Duration;

use tokio::time::Instant;

use self::{
    logins::Logins,
    rate::Rate,
    reads::{Reading, Reads},
};
use super::{Service, access::Identity};
use crate::model::{Error, GroupNo, Limit, Result, SessionId, UserNo};

/// How many seconds' worth may come at once.
const BURST: u32 = 10;

/// How many signals that somebody types a group gets in a second. Nobody can read the names of more, and each
/// of them goes to all members.
const TYPING_IN_GROUP: u32 = 10;

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
    /// Signals of one session in a second.
    pub signals_per_session: u32,
    /// Successful logins of one user in a minute.
    pub logins_per_user: u32,
    /// Reads of one user in a second.
    pub reads_per_user: u32,
    /// Reads of one user that run at a time.
    pub reads_at_once: usize,
    /// Changes of one user in a second, other than messages.
    pub changes_per_user: u32,
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
    signals_of_session: Rate<SessionId>,
    typing_in_group: Rate<GroupNo>,
    reads_of_user: Rate<UserNo>,
    changes_of_user: Rate<UserNo>,
    reads: Reads,
}

impl Counts {
    pub(super) fn new(limits: &ClientLimits) -> Self {
        let in_a_second = |count: u32| (count, Duration::from_secs(1), BURST);
        Self {
            logins: Logins::new(limits),
            sends_of_session: Rate::new(in_a_second(limits.sends_per_session)),
            sends_of_user: Rate::new(in_a_second(limits.sends_per_user)),
            signals_of_session: Rate::new(in_a_second(limits.signals_per_session)),
            typing_in_group: Rate::new((TYPING_IN_GROUP, Duration::from_secs(1), 1)),
            reads_of_user: Rate::new(in_a_second(limits.reads_per_user)),
            changes_of_user: Rate::new(in_a_second(limits.changes_per_user)),
            reads: Reads::new(limits.reads_at_once),
        }
    }
}

impl Service {
    /// Counts a message that the caller sends.
    ///
    /// Errors: [`Error::RateLimited`].
    pub(super) fn count_send(&self, caller: &Identity) -> Result<()> {
        let (counts, now) = (&self.counts, Instant::now());
        counts
            .sends_of_session
            .take(caller.session_id, now)
            .map_err(limited(Limit::SendsPerSession))?;
        counts.sends_of_user.take(caller.user_no, now).map_err(limited(Limit::SendsPerUser))
    }

    /// Counts a message of a user's that was scheduled, and is due.
    ///
    /// Errors: [`Error::RateLimited`].
    pub(super) fn count_scheduled(&self, user_no: UserNo) -> Result<()> {
        let taken = self.counts.sends_of_user.take(user_no, Instant::now());
        taken.map_err(limited(Limit::SendsPerUser))
    }

    /// Counts a signal that the caller sends.
    ///
    /// Errors: [`Error::RateLimited`].
    pub(super) fn count_signal(&self, caller: &Identity) -> Result<()> {
        let taken = self.counts.signals_of_session.take(caller.session_id, Instant::now());
        taken.map_err(limited(Limit::SignalsPerSession))
    }

    /// Counts a signal that somebody types in a group; whether the group gets it.
    pub(super) fn count_typing(&self, group_no: GroupNo) -> bool {
        self.counts.typing_in_group.take(group_no, Instant::now()).is_ok()
    }

    /// How many pings may come over one WebSocket in a second; 0 for no limit.
    #[must_use]
    pub fn most_pings(&self) -> u32 {
        self.limits.clients.pings_per_second
    }

    /// Counts a read of a user's.
    ///
    /// Errors: [`Error::RateLimited`].
    pub(super) fn count_read(&self, user_no: UserNo) -> Result<()> {
        let taken = self.counts.reads_of_user.take(user_no, Instant::now());
        taken.map_err(limited(Limit::ReadsPerUser))
    }

    /// Counts a change of a user's that is no message: a read mark, a recall, a block …
    ///
    /// Errors: [`Error::RateLimited`].
    pub(super) fn count_change(&self, user_no: UserNo) -> Result<()> {
        let taken = self.counts.changes_of_user.take(user_no, Instant::now());
        taken.map_err(limited(Limit::ChangesPerUser))
    }

    /// Lets a read of a user's begin that has been counted, as soon as it is its turn.
    ///
    /// Errors: [`Error::RateLimited`] when too many of the user's wait.
    pub(super) async fn begin_read(&self, user_no: UserNo) -> Result<Reading> {
        self.counts.reads.begin(user_no).await
    }

    /// How many streams a session may have open here.
    pub(super) fn most_streams(&self) -> usize {
        match self.limits.clients.streams_per_session {
            0 => usize::MAX,
            most => most,
        }
    }
}

fn limited(limit: Limit) -> impl Fn(Duration) -> Error {
    move |retry_after| Error::RateLimited { limit, retry_after }
}
