//! The assertions that have opened a session.

use super::Store;
use crate::model::Result;

impl Store {
    /// Forgets those that would not be taken any more by their age.
    pub async fn forget_assertions(&self) -> Result<()> {
        let client = self.client().await?;
        client.execute("DELETE FROM used_assertions WHERE expires_at < now()", &[]).await?;
        Ok(())
    }
}
