//! The keys that all nodes share: one for sealing, and those of access tokens, which are rotated.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::rand;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Audit, Store, transaction};
use crate::model::{Error, MessageIdCipher, Result};

/// How long a retired key outlives the longest token made with it, in seconds: for a node that signs
/// while the key is being retired, and for clocks that differ.
const SLACK_SECONDS: f64 = 60.0;

/// Until when a retired key is good; null for the current one.
const GOOD_UNTIL: &str = "retired_at + make_interval(secs => longest_ttl + $1::float8)";

/// A key and its id.
#[derive(Debug, Clone)]
pub struct Key {
    /// Names the key in what was made with it.
    pub key_id: String,
    /// The key.
    pub secret: Vec<u8>,
}

/// A key of access tokens as administrators see it.
#[derive(Debug)]
pub struct AccessKey {
    /// The `kid` of the tokens signed with it.
    pub key_id: String,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// From when on nothing more was signed with it; `None` for the current one.
    pub retired_at: Option<OffsetDateTime>,
    /// Until when tokens signed with it are taken; `None` for the current one.
    pub good_until: Option<OffsetDateTime>,
}

impl Store {
    /// The current key for `purpose`: `candidate` when there is none yet, so that nodes that start at the
    /// same time end up with the same one.
    pub async fn key(&self, purpose: &str, candidate: Key) -> Result<Key> {
        let client = self.client().await?;
        client
            .execute(
                "INSERT INTO keys (key_id, purpose, secret) VALUES ($1, $2, $3)
                 ON CONFLICT (purpose) WHERE retired_at IS NULL DO NOTHING",
                &[&candidate.key_id, &purpose, &candidate.secret],
            )
            .await?;
        let current = "SELECT key_id, secret FROM keys WHERE purpose = $1 AND retired_at IS NULL";
        Ok(read(&client.query_one(current, &[&purpose]).await?))
    }

    /// The cipher that all nodes seal message ids with. Its key is made at its first use, and never
    /// rotated: clients keep message ids.
    pub async fn message_id_cipher(&self) -> Result<Arc<MessageIdCipher>> {
        let load = async || {
            let mut secret = vec![0; MessageIdCipher::KEY_LENGTH];
            rand::fill(&mut secret).map_err(|_| Error::internal("no random bytes to be had"))?;
            let candidate = Key { key_id: Uuid::now_v7().simple().to_string(), secret };
            let key = self.key("message_id", candidate).await?;
            Ok::<_, Error>(Arc::new(MessageIdCipher::new(&key.secret)?))
        };
        Ok(self.0.message_ids.get_or_try_init(load).await?.clone())
    }

    /// The key to sign access tokens with that last `ttl`.
    pub async fn signing_key(&self, ttl: Duration) -> Result<Key> {
        let client = self.client().await?;
        let row = client
            .query_opt(
                "UPDATE keys SET longest_ttl = greatest(longest_ttl, $1)
                 WHERE purpose = 'access_token' AND retired_at IS NULL RETURNING key_id, secret",
                &[&i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX)],
            )
            .await?;
        // Retired at this very moment.
        row.as_ref().map(read).ok_or_else(|| Error::unavailable("the signing key is being rotated"))
    }

    /// The id of the key to sign access tokens with.
    pub async fn signing_key_id(&self) -> Result<String> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT key_id FROM keys WHERE purpose = 'access_token' AND retired_at IS NULL",
            )
            .await?;
        Ok(client.query_one(&statement, &[]).await?.get(0))
    }

    /// The keys of access tokens that are still good.
    pub async fn verifying_keys(&self) -> Result<Vec<Key>> {
        let client = self.client().await?;
        let good = format!(
            "SELECT key_id, secret FROM keys
             WHERE purpose = 'access_token' AND coalesce({GOOD_UNTIL} > now(), true)"
        );
        let statement = client.prepare_cached(&good).await?;
        Ok(client.query(&statement, &[&SLACK_SECONDS]).await?.iter().map(read).collect())
    }

    /// The keys of access tokens that are still good, the newest first.
    pub async fn access_keys(&self) -> Result<Vec<AccessKey>> {
        let client = self.client().await?;
        let all = format!(
            "SELECT key_id, created_at, retired_at, {GOOD_UNTIL} AS good_until FROM keys
             WHERE purpose = 'access_token' AND coalesce({GOOD_UNTIL} > now(), true)
             ORDER BY retired_at DESC NULLS FIRST"
        );
        let rows = client.query(&all, &[&SLACK_SECONDS]).await?;
        let key = |row: &Row| AccessKey {
            key_id: row.get("key_id"),
            created_at: row.get("created_at"),
            retired_at: row.get("retired_at"),
            good_until: row.get("good_until"),
        };
        Ok(rows.iter().map(key).collect())
    }

    /// Puts `next` in the place of the key that signs access tokens. A login that starts after this has
    /// returned is signed with it, on every node.
    pub async fn rotate_access_key(&self, next: &Key, audit: Audit<'_>) -> Result<()> {
        transaction!(self, async |tx| {
            // One rotation at a time; nodes that read or sign do not wait.
            tx.batch_execute("LOCK TABLE keys IN SHARE ROW EXCLUSIVE MODE").await?;
            let retire = "UPDATE keys SET retired_at = now()
                      WHERE purpose = 'access_token' AND retired_at IS NULL";
            tx.execute(retire, &[]).await?;
            let add = "INSERT INTO keys (key_id, purpose, secret) VALUES ($1, 'access_token', $2)";
            tx.execute(add, &[&next.key_id, &next.secret]).await?;
            audit.record(&tx, None).await?;
            tx.commit().await?;
            Ok(())
        })
    }

    /// Deletes the keys of access tokens that are no longer good.
    pub async fn delete_old_access_keys(&self) -> Result<()> {
        let client = self.client().await?;
        let delete =
            format!("DELETE FROM keys WHERE purpose = 'access_token' AND {GOOD_UNTIL} <= now()");
        client.execute(&delete, &[&SLACK_SECONDS]).await?;
        Ok(())
    }
}

fn read(row: &Row) -> Key {
    Key { key_id: row.get("key_id"), secret: row.get("secret") }
}
