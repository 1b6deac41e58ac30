//! LISTEN and NOTIFY.

use std::time::Duration;

use tokio::{sync::mpsc, time::timeout};
use tokio_postgres::Notification;

use super::{Store, connection::Link};
use crate::model::Result;

/// How long a connection may be silent before it is asked whether the server still answers: one that
/// hangs would say nothing for ever.
const SILENCE: Duration = Duration::from_secs(5);

/// How long that may take.
const ANSWER: Duration = Duration::from_secs(2);

/// A connection that listens on one channel. It ends with the connection: listen again, and take it
/// that notifications were missed meanwhile.
pub struct Listener {
    link: Link,
    /// What it began with, and is said again to ask whether the server answers: `pg_stat_activity`
    /// shows what each connection listens to.
    statement: String,
    notifications: mpsc::UnboundedReceiver<Notification>,
}

impl Listener {
    /// Holds an advisory lock, shared with others, for as long as the connection lasts.
    pub(super) async fn hold(&self, lock: i64) -> Result<()> {
        let Link { client, driver, .. } = &self.link;
        let statement = "SELECT pg_advisory_lock_shared($1)";
        driver.within(ANSWER, client.execute(statement, &[&lock])).await?;
        Ok(())
    }

    /// The next payload; `None` when the connection has ended.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            if let Ok(notification) = timeout(SILENCE, self.notifications.recv()).await {
                return notification.map(|notification| notification.payload().to_owned());
            }
            let Link { client, driver, .. } = &self.link;
            driver.within(ANSWER, client.batch_execute(&self.statement)).await.ok()?;
        }
    }
}

impl Store {
    /// Listens on `channel` from now on.
    pub async fn listen(&self, channel: &str) -> Result<Listener> {
        let (sender, notifications) = mpsc::unbounded_channel();
        let link = self.0.connector.open_listening(sender).await?;
        let statement = format!("LISTEN \"{channel}\"");
        link.driver.within(ANSWER, link.client.batch_execute(&statement)).await?;
        Ok(Listener { link, statement, notifications })
    }

    /// Sends payloads, each to its channel, in one transaction of their own, which does not wait for the
    /// disk: no notification outlives the server.
    pub async fn notify(&self, channels: &[String], payloads: &[&str]) -> Result<()> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT set_config('synchronous_commit', 'off', true), pg_notify(n.channel, n.payload)
                 FROM unnest($1::text[], $2::text[]) n (channel, payload)",
            )
            .await?;
        client.execute(&statement, &[&channels, &payloads]).await?;
        Ok(())
    }
}
