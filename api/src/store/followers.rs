//! Reading on standbys, which take that load off the primary: only on one that has everything that the
//! primary had when the read began, so that no reader sees less than it has seen before, and what ended
//! a session or narrowed a tier a moment ago holds there, too.

use std::time::{Duration, Instant};

use metrics::counter;
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};

use super::{Store, client::Client};
use crate::{model::Result, telemetry};

/// How far the primary's log is on its disk, and which server it is.
const NOW: &str = "SELECT pg_current_wal_flush_lsn()::text AS flushed, g.generation, g.wal_timeline
     FROM generations g WHERE g.generation = current_generation()";

/// Whether a server has all of that. One that follows another primary than this does not have the row
/// of its generation.
const HAS_ALL: &str = "SELECT g.generation = $2 AND g.wal_timeline = $3 AND CASE
         WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn()
     END >= $1::text::pg_lsn AS has_all, current_generation() = $2 AS same_generation
     FROM generations g ORDER BY g.generation DESC LIMIT 1";

/// How long a read waits for a connection to a standby.
const CONNECTION: Duration = Duration::from_millis(100);

/// How often a standby that is behind is asked again, and how soon.
const LOOKS: usize = 8;
const PAUSE: Duration = Duration::from_millis(5);

/// How long the standbys are left alone after one could not be used.
const REST: Duration = Duration::from_secs(1);

/// The servers that follow the primary.
pub(super) struct Followers {
    store: Store,
    resting: Mutex<Option<Instant>>,
}

impl Followers {
    pub(super) fn new(store: Store) -> Self {
        Self { store, resting: Mutex::default() }
    }

    /// A connection to a server that has all that the primary has now; `None` when there is none at this
    /// moment. The connection to the primary is given back before a standby is waited for.
    async fn with_all(&self, primary: &Store) -> Result<Option<Client>> {
        if self.resting.lock().is_some_and(|until| Instant::now() < until) {
            return Ok(None);
        }
        let primary = primary.client().await?;
        let statement = primary.prepare_cached(NOW).await?;
        let now = primary.query_one(&statement, &[]).await?;
        let (flushed, generation): (String, i16) = (now.get("flushed"), now.get("generation"));
        let wal_timeline: Option<i64> = now.get("wal_timeline");
        drop(primary);
        let Ok(Ok(follower)) = timeout(CONNECTION, self.store.client()).await else {
            self.rest();
            return Ok(None);
        };
        for _ in 0..LOOKS {
            let asked = async {
                let statement = follower.prepare_cached(HAS_ALL).await?;
                follower.query_one(&statement, &[&flushed, &generation, &wal_timeline]).await
            };
            let Ok(row) = asked.await else { break };
            if !row.get::<_, bool>("same_generation") {
                // It was opened in another, and stamps what it reads so.
                follower.close();
                return Ok(None);
            }
            if row.get::<_, Option<bool>>("has_all") == Some(true) {
                return Ok(Some(follower));
            }
            sleep(PAUSE).await;
        }
        self.rest();
        Ok(None)
    }

    /// Leaves the standbys alone for a while: what is behind, or gone, is so for longer than a read.
    fn rest(&self) {
        *self.resting.lock() = Some(Instant::now() + REST);
    }
}

impl Store {
    /// A connection to a standby that has everything there is now; `None` when the primary is to be
    /// read. Used by [`reading`].
    pub(super) async fn follower(&self) -> Result<Option<Client>> {
        let Some(followers) = &self.0.followers else { return Ok(None) };
        let follower = followers.with_all(self).await?;
        let server = if follower.is_some() { "standby" } else { "primary" };
        counter!(telemetry::READS, "server" => server).increment(1);
        Ok(follower)
    }
}

/// Runs statements that only read, on a standby where one has everything, else on the primary:
/// `reading!(store, async |client| …)`. What fails on a standby is run again on the primary.
macro_rules! reading {
    ($store:expr, async |$client:ident| $body:block) => {{
        let follower = $store.follower().await?;
        let read: Option<$crate::model::Result<_>> = match follower {
            Some($client) => match async { $body }.await {
                Err($crate::model::Error::Unavailable(_) | $crate::model::Error::Internal(_)) => {
                    None
                }
                read => Some(read),
            },
            None => None,
        };
        match read {
            Some(read) => read,
            None => {
                let $client = $store.client().await?;
                async { $body }.await
            }
        }
    }};
}

pub(super) use reading;
