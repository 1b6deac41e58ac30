//! The keys of administrators.

use time::OffsetDateTime;
use tokio_postgres::Row;

use super::{Audit, Store, transaction};
use crate::model::{Error, Result, Role};

/// A key as administrators see it.
#[derive(Debug)]
pub struct AdminKey {
    /// What the audit calls it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// The key that made it.
    pub created_by: String,
    /// From when on it was good for nothing.
    pub revoked_at: Option<OffsetDateTime>,
}

fn read(row: &Row) -> Result<AdminKey> {
    let role = Role::from_number(row.get::<_, i16>("role").into());
    Ok(AdminKey {
        name: row.get("name"),
        role: role.ok_or_else(|| Error::internal("an admin key has a role that is not known"))?,
        created_at: row.get("created_at"),
        created_by: row.get("created_by"),
        revoked_at: row.get("revoked_at"),
    })
}

impl Store {
    /// Name and role of the key with this digest, unless it is revoked.
    pub async fn find_admin_key(&self, digest: &[u8; 32]) -> Result<Option<AdminKey>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached("SELECT * FROM admin_keys WHERE digest = $1 AND revoked_at IS NULL")
            .await?;
        let row = client.query_opt(&statement, &[&digest.as_slice()]).await?;
        row.as_ref().map(read).transpose()
    }

    /// All keys there ever were, by name.
    pub async fn admin_keys(&self) -> Result<Vec<AdminKey>> {
        let client = self.client().await?;
        let rows = client.query("SELECT * FROM admin_keys ORDER BY name", &[]).await?;
        rows.iter().map(read).collect()
    }

    /// Adds a key. Errors: [`Error::AdminKeyExists`], also for the name of a revoked one.
    pub async fn create_admin_key(
        &self,
        name: &str,
        role: Role,
        digest: &[u8; 32],
        audit: Audit<'_>,
    ) -> Result<AdminKey> {
        transaction!(self, async |tx| {
            let row = tx
            .query_opt(
                "INSERT INTO admin_keys (name, role, digest, created_by) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (name) DO NOTHING RETURNING *",
                &[&name, &(role as i16), &digest.as_slice(), &audit.actor],
            )
            .await?
            .ok_or(Error::AdminKeyExists)?;
            audit.record(&tx, None).await?;
            tx.commit().await?;
            read(&row)
        })
    }

    /// Makes a key good for nothing, at once and on every node. Errors: [`Error::AdminKeyNotFound`],
    /// also when it is revoked already.
    pub async fn revoke_admin_key(&self, name: &str, audit: Audit<'_>) -> Result<AdminKey> {
        transaction!(self, async |tx| {
            let row = tx
            .query_opt(
                "UPDATE admin_keys SET revoked_at = now() WHERE name = $1 AND revoked_at IS NULL
                 RETURNING *",
                &[&name],
            )
            .await?
            .ok_or(Error::AdminKeyNotFound)?;
            audit.record(&tx, None).await?;
            tx.commit().await?;
            read(&row)
        })
    }
}
