//! Bringing the schema up to date.

use super::{Store, inbox::make_functions};
use crate::model::{Error, Result};

mod embedded {
    refinery::embed_migrations!("../migrations");
}

/// Held while migrating, so that nodes that start at the same time migrate once. Any fixed number.
const MIGRATION_LOCK: i64 = 0x696d_6401;

impl Store {
    /// Applies the migrations that the database lacks, each in a transaction.
    pub async fn migrate(&self) -> Result<()> {
        // A connection of its own: refinery takes no lock, and this one dies with the connection.
        let mut link = self.0.connector.open(&[("statement_timeout", "0")]).await?;
        let client = &mut link.client;
        client.execute("SELECT pg_advisory_lock($1)", &[&MIGRATION_LOCK]).await?;
        let report =
            embedded::migrations::runner().run_async(client).await.map_err(Error::internal)?;
        for migration in report.applied_migrations() {
            tracing::info!(%migration, "migrated");
        }
        if !make_functions(client).await? {
            tracing::warn!(
                "there is no schema for sending in SQL, because the role may not make one: run `CREATE SCHEMA imd AUTHORIZATION` with the role's name as an administrator of the database, and restart a node"
            );
        }
        Ok(())
    }
}
