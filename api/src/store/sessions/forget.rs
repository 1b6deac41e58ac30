//! Forgetting sessions that ended long ago.

use std::time::Duration;

use crate::{model::Result, store::Store};

impl Store {
    /// Deletes at most `limit` of the sessions that ended at least `kept` ago; how many. From then on
    /// their tokens are those of unknown sessions. One that somebody holds at this moment is left for
    /// the next time.
    pub async fn forget_sessions(&self, kept: Duration, limit: i64) -> Result<i64> {
        let client = self.client().await?;
        let deleted = client
            .execute(
                "WITH old AS (
                     SELECT user_no, session_id FROM sessions
                     WHERE ended_at < now() - make_interval(secs => $1)
                     ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED
                 )
                 DELETE FROM sessions s USING old
                 WHERE s.user_no = old.user_no AND s.session_id = old.session_id",
                &[&kept.as_secs_f64(), &limit],
            )
            .await?;
        Ok(i64::try_from(deleted).unwrap_or(limit))
    }
}
