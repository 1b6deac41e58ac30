//! The purge: in small batches, one node at a time, at a pace that leaves the database to the sends.
//! After the timelines it goes through the sessions that ended long ago and the old records of the audit.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures::{Stream, stream};
use metrics::counter;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{AdminCall, Service};
use crate::{
    model::{Error, GroupNo, Result, Role, TimelineNo, UserNo},
    store::{PurgeLook, PurgeTurn, PurgedBatch},
    telemetry,
};

/// The most rows deleted in one transaction.
const BATCH: i64 = 500;

/// How many timelines are looked at in one statement.
const LOOK: i64 = 200;

/// The purge rests this many times as long as it works, so that it takes a fifth of one connection.
const REST: u32 = 4;

/// How far a purge has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PurgeProgress {
    /// Timelines there were when the purge began.
    pub timelines: i64,
    /// Timelines looked at.
    pub timelines_seen: i64,
    /// Timelines that are rid of all that was to go.
    pub timelines_purged: i64,
    /// Entries deleted.
    pub entries: i64,
    /// Ended sessions forgotten.
    pub sessions: i64,
    /// Records of the audit forgotten.
    pub audit_records: i64,
}

impl Service {
    /// Purges, unless somebody does already.
    pub(super) async fn purge_unasked(self: Arc<Self>) -> Result<()> {
        let Some(mut purge) = Purge::begin(self).await? else { return Ok(()) };
        while purge.step().await? {}
        let PurgeProgress { entries, sessions, audit_records, .. } = purge.progress;
        if entries + sessions + audit_records > 0 {
            tracing::info!(progress = ?purge.progress, "purged");
        }
        Ok(())
    }

    /// Purges now, for an administrator; says after each step how far it has come. To be given up at
    /// any time: what is done is done, and the next purge goes on from there.
    ///
    /// Errors: [`Error::PurgeRunning`] while a node purges.
    pub async fn purge(
        self: Arc<Self>,
        call: AdminCall<'_>,
    ) -> Result<impl Stream<Item = Result<PurgeProgress>> + Send + 'static> {
        let admin = self.admin(call).await?;
        admin.require(Role::Admin)?;
        self.store.record(admin.audit("purge", json!({}))).await?;
        let purge = Purge::begin(self.clone()).await?.ok_or(Error::PurgeRunning)?;
        Ok(stream::try_unfold(purge, |mut purge| async move {
            let more = purge.step().await?;
            Ok(more.then_some((purge.progress, purge)))
        }))
    }
}

struct Purge {
    service: Arc<Service>,
    _turn: PurgeTurn,
    looked_to: LookedTo,
    /// Which timeline is being purged, and which come next.
    purging: Option<TimelineNo>,
    purgeable: VecDeque<TimelineNo>,
    progress: PurgeProgress,
}

/// How far the purge has looked: at the timelines of users, and then at those of groups, which lose what
/// no user's refers to any more.
#[derive(Clone, Copy)]
enum LookedTo {
    User(UserNo),
    Group(GroupNo),
}

impl Purge {
    /// Takes the turn; `None` when another node has it.
    async fn begin(service: Arc<Service>) -> Result<Option<Self>> {
        let Some(turn) = service.store.take_purge_turn().await? else { return Ok(None) };
        let timelines = service.store.count_timelines().await?;
        Ok(Some(Self {
            service,
            _turn: turn,
            looked_to: LookedTo::User(UserNo(0)),
            purging: None,
            purgeable: VecDeque::new(),
            progress: PurgeProgress { timelines, ..PurgeProgress::default() },
        }))
    }

    /// Deletes the next batch, or looks for the next timelines; whether there were any.
    async fn step(&mut self) -> Result<bool> {
        if let Some(timeline) = self.purging {
            let batch = paced(self.purge_batch(timeline)).await?;
            self.progress.entries += batch.entries;
            counter!(telemetry::PURGED).increment(batch.entries.unsigned_abs());
            if !batch.more {
                self.progress.timelines_purged += 1;
                self.purging = self.purgeable.pop_front();
            }
            return Ok(true);
        }
        let look = paced(self.look()).await?;
        while self.forget_purged_ids(&look).await? == BATCH {}
        self.progress.timelines_seen += look.timelines;
        self.looked_to = match (look.last, self.looked_to) {
            (Some(last), _) => match (last.user(), last.group()) {
                (Some(user_no), _) => LookedTo::User(user_no),
                (None, Some(group_no)) => LookedTo::Group(group_no),
                (None, None) => return Err(Error::internal("a timeline has no number")),
            },
            (None, LookedTo::User(_)) => LookedTo::Group(GroupNo(0)),
            (None, LookedTo::Group(_)) => return self.forget().await,
        };
        self.purgeable = look.purgeable.into();
        self.purging = self.purgeable.pop_front();
        Ok(true)
    }

    /// Forgets the next batch of sessions and of records of the audit; whether there may be more.
    async fn forget(&mut self) -> Result<bool> {
        let (store, limits) = (&self.service.store, &self.service.limits);
        let sessions = paced(store.forget_sessions(limits.keep_ended, BATCH)).await?;
        let records = paced(store.forget_audit_records(limits.keep_audit, BATCH)).await?;
        self.progress.sessions += sessions;
        self.progress.audit_records += records;
        Ok(sessions.max(records) >= BATCH)
    }

    async fn purge_batch(&self, timeline: TimelineNo) -> Result<PurgedBatch> {
        let (store, hidden_for) = (&self.service.store, self.service.limits.purge_after);
        if let Some(group_no) = timeline.group() {
            return store.purge_group_batch(group_no, BATCH).await;
        }
        store.purge_batch(UserNo(timeline.0), hidden_for, self.dedupe_for(), BATCH).await
    }

    /// For how long a sender may send again, or recall: what may still be recalled is found by the same
    /// rows.
    fn dedupe_for(&self) -> Duration {
        let limits = &self.service.limits;
        limits.dedupe_for.max(limits.recall_window)
    }

    /// Looks at the next timelines.
    async fn look(&self) -> Result<PurgeLook> {
        let store = &self.service.store;
        match self.looked_to {
            LookedTo::User(after) => {
                store.purgeable(after, self.service.limits.purge_after, LOOK).await
            }
            LookedTo::Group(after) => store.purgeable_groups(after, LOOK).await,
        }
    }

    /// Forgets the next batch of what was kept of the messages purged from the users' timelines that were
    /// just looked at; how many.
    async fn forget_purged_ids(&self, look: &PurgeLook) -> Result<i64> {
        let LookedTo::User(after) = self.looked_to else { return Ok(0) };
        let Some(to) = look.last.and_then(TimelineNo::user) else { return Ok(0) };
        let store = &self.service.store;
        paced(store.forget_purged_ids(after, to, self.dedupe_for(), BATCH)).await
    }
}

/// Does a piece of work and rests after it.
async fn paced<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let began = Instant::now();
    let done = work.await?;
    sleep(began.elapsed() * REST).await;
    Ok(done)
}
