//! Telling who watches the deployment of what concerns its security, on whichever node: over NOTIFY, while somebody
//! listens. Nothing of it is stored.

use super::{Listener, Store};
use crate::model::Result;

const CHANNEL: &str = "imd_security";

/// Held, shared, by everyone who listens: who finds nobody to hold it tells nobody. Above what else imd locks.
const LOCK: i64 = 0x696d_645f_7365_6375;

impl Store {
    /// Listens to what the nodes tell from now on.
    pub async fn listen_to_security(&self) -> Result<Listener> {
        let listener = self.listen(CHANNEL).await?;
        listener.hold(LOCK).await?;
        Ok(listener)
    }

    /// Tells those who listen, if anybody does.
    pub async fn tell_of_security(&self, payloads: &[String]) -> Result<()> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, p.payload)
                 FROM unnest($2::text[]) p (payload)
                 WHERE NOT (SELECT pg_try_advisory_xact_lock($3))",
            )
            .await?;
        client.execute(&statement, &[&CHANNEL, &payloads, &LOCK]).await?;
        Ok(())
    }
}
