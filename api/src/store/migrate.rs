//! Bringing the schema up to date, and whether it goes together with this node.
//!
//! Migrations go forward only, and nodes of two versions run side by side while one replaces the other. So a migration
//! expands: it adds what the new version needs and leaves what the version before uses. What is not used any more goes
//! in a later version, together with a larger [`WORKS_WITH`].

use refinery::{Migration, Runner};
use tokio_postgres::Client;

use super::{Store, inbox::make_functions, server::UnusableDatabase};

mod embedded {
    refinery::embed_migrations!("../migrations");
}

/// Held while migrating, so that nodes that start at the same time migrate once. Any fixed number.
const MIGRATION_LOCK: i64 = 0x696d_6401;

/// Nodes work with the tables of this version that know the migrations up to this one.
const WORKS_WITH: i32 = 56;

impl Store {
    /// Applies the migrations that the database lacks, each in a transaction: which they were.
    ///
    /// Errors: [`UnusableDatabase`] also where the tables are of a version with which this one does not work.
    pub async fn migrate(&self) -> Result<Vec<String>, UnusableDatabase> {
        // A connection of its own: refinery takes no lock, and this one dies with the connection.
        let opened = self.0.connector.open(&[("statement_timeout", "0")]).await;
        let mut link = opened.map_err(UnusableDatabase::new)?;
        let client = &mut link.client;
        client.execute("SELECT pg_advisory_lock($1)", &[&MIGRATION_LOCK]).await?;
        require_known(client).await?;
        let report = runner().run_async(client).await;
        let report = report.map_err(|error| UnusableDatabase::because(&error))?;
        let applied: Vec<String> =
            report.applied_migrations().iter().map(ToString::to_string).collect();
        for migration in &applied {
            tracing::info!(%migration, "migrated");
        }
        let note = "UPDATE compatibility SET works_with = $1 WHERE works_with < $1";
        client.execute(note, &[&WORKS_WITH]).await?;
        if !make_functions(client).await? {
            tracing::warn!(
                "there is no schema for sending in SQL, because the role may not make one: run `CREATE SCHEMA imd AUTHORIZATION` with the role's name as an administrator of the database, and restart a node"
            );
        }
        Ok(applied)
    }

    /// The migrations that the database lacks, by name, in their order.
    ///
    /// Errors: as with [`Store::migrate`].
    pub async fn missing_migrations(&self) -> Result<Vec<String>, UnusableDatabase> {
        let mut link = self.0.connector.open(&[]).await.map_err(UnusableDatabase::new)?;
        require_known(&link.client).await?;
        let runner = runner();
        if !has_table(&link.client, "refinery_schema_history").await? {
            return Ok(names(runner.get_migrations().iter()));
        }
        let applied = runner.get_last_applied_migration_async(&mut link.client).await;
        let newest = applied.map_err(UnusableDatabase::new)?.map(|last| last.version());
        let missing = runner.get_migrations().iter();
        let missing = missing.filter(|migration| newest.is_none_or(|at| migration.version() > at));
        Ok(names(missing))
    }

    /// Whether the database has all migrations that this node knows.
    ///
    /// Errors: [`UnusableDatabase`] where it lacks some, and as with [`Store::migrate`].
    pub async fn require_migrated(&self) -> Result<(), UnusableDatabase> {
        match &self.missing_migrations().await?[..] {
            [] => Ok(()),
            [first, ..] => Err(UnusableDatabase::new(format!(
                "the database lacks the migration {first} and those behind it: run `imd migrate`, or set database.migrate = true"
            ))),
        }
    }
}

/// In their order.
fn names<'a>(migrations: impl Iterator<Item = &'a Migration>) -> Vec<String> {
    let mut migrations: Vec<_> = migrations.collect();
    migrations.sort_by_key(|migration| migration.version());
    migrations.into_iter().map(ToString::to_string).collect()
}

/// A newer version may have migrated the database further: that is checked before.
fn runner() -> Runner {
    embedded::migrations::runner().set_abort_missing(false)
}

/// Refuses a database whose tables are of a version with which this one does not work.
async fn require_known(client: &Client) -> Result<(), UnusableDatabase> {
    if !has_table(client, "compatibility").await? {
        return Ok(());
    }
    let works_with: i32 =
        client.query_one("SELECT works_with FROM compatibility", &[]).await?.get(0);
    let newest = runner().get_migrations().iter().map(Migration::version).max().unwrap_or_default();
    if i64::from(works_with) <= i64::from(newest) {
        return Ok(());
    }
    Err(UnusableDatabase::new(format!(
        "the database was migrated by a newer version of imd: it needs one that knows the migration V{works_with}, and this one knows them up to V{newest}"
    )))
}

async fn has_table(client: &Client, table: &str) -> Result<bool, UnusableDatabase> {
    let row = client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&table]).await?;
    Ok(row.get(0))
}
