//! What there is of everything, for whoever watches over it.

use time::OffsetDateTime;
use tokio_postgres::Row;

use super::{Store, nodes::ALIVE, reading};
use crate::model::Result;

/// What there is at one moment, on all nodes.
#[derive(Debug)]
pub struct Census {
    /// By terminal type: the live sessions, and those of them with a stream open.
    pub sessions: Vec<(String, i64, i64)>,
    /// The events that webhooks are still to be told of, counted as far as [`Webhook::waiting`] of each is.
    pub webhook_events: i64,
    /// When the oldest of them was; `None` when there is none.
    pub oldest_webhook_event: Option<OffsetDateTime>,
    /// The jobs by name, with when each last succeeded.
    pub jobs: Vec<(String, Option<OffsetDateTime>)>,
}

impl Store {
    /// Counts.
    pub async fn census(&self) -> Result<Census> {
        let sessions = reading!(self, async |client| {
            let statement = client
                .prepare_cached(&format!(
                    "SELECT t.name, coalesce(s.live, 0) AS live, coalesce(s.online, 0) AS online
                     FROM terminal_types t LEFT JOIN (
                         SELECT s.terminal_type, count(*) AS live, count(o.session_id) AS online
                         FROM sessions s LEFT JOIN (
                             SELECT DISTINCT p.session_id
                             FROM login_points p JOIN nodes n USING (node_no) WHERE {ALIVE}
                         ) o ON o.session_id = s.session_id
                         WHERE s.ended_at IS NULL GROUP BY s.terminal_type
                     ) s ON s.terminal_type = t.name"
                ))
                .await?;
            Ok(client.query(&statement, &[]).await?)
        })?;
        let webhooks = self.webhooks().await?;
        let client = self.client().await?;
        let statement = client.prepare_cached("SELECT name, finished_at FROM jobs").await?;
        let jobs = client.query(&statement, &[]).await?;
        let session = |row: &Row| (row.get("name"), row.get("live"), row.get("online"));
        Ok(Census {
            sessions: sessions.iter().map(session).collect(),
            webhook_events: webhooks.iter().map(|webhook| webhook.waiting).sum(),
            oldest_webhook_event: webhooks.iter().filter_map(|webhook| webhook.oldest_at).min(),
            jobs: jobs.iter().map(|row| (row.get("name"), row.get("finished_at"))).collect(),
        })
    }
}
