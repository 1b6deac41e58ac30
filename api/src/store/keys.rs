//! The keys that all nodes share.

use super::Store;
use crate::model::Result;

/// A key and its id.
#[derive(Debug, Clone)]
pub struct Key {
    /// Names the key in what was made with it.
    pub key_id: String,
    /// The key.
    pub secret: Vec<u8>,
}

impl Store {
    /// The key for `purpose`: `candidate` when there is none yet, so that nodes that start at the same
    /// time end up with the same one.
    pub async fn key(&self, purpose: &str, candidate: Key) -> Result<Key> {
        let client = self.client().await?;
        client
            .execute(
                "INSERT INTO keys (key_id, purpose, secret) VALUES ($1, $2, $3)
                 ON CONFLICT (purpose) DO NOTHING",
                &[&candidate.key_id, &purpose, &candidate.secret],
            )
            .await?;
        let row = client
            .query_one("SELECT key_id, secret FROM keys WHERE purpose = $1", &[&purpose])
            .await?;
        Ok(Key { key_id: row.get(0), secret: row.get(1) })
    }
}
