//! Terminal types: how many sessions of each, and which exclude each other.

use tokio_postgres::{Row, Transaction};

use super::{Audit, Store};
use crate::model::{Error, Result, TerminalType};

/// A type as all nodes see it, `t` being its row.
const COLUMNS: &str = "t.name, t.session_limit,
     ARRAY(SELECT o.name FROM terminal_types o
           WHERE o.exclusive_group = t.exclusive_group AND o.name <> t.name
           ORDER BY o.name) AS excludes";

/// What is to become of some terminal types; what is `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct TerminalTypeChange {
    /// Which, each once.
    pub names: Vec<String>,
    /// How many live sessions a user may have of each. Makes the types that do not exist.
    pub session_limit: Option<i32>,
    /// Whether these, and no others, exclude each other; otherwise they exclude nobody.
    pub exclusive: Option<bool>,
}

impl Store {
    /// Adds the terminal types that do not exist yet; those that do stay as they are. Where there were
    /// none at all, types exclude each other as `excludes` says; later that is the administrators'.
    pub async fn seed_terminal_types(&self, types: &[TerminalType]) -> Result<()> {
        let mut client = self.client().await?;
        let tx = client.transaction().await?;
        lock(&tx).await?;
        let first = tx.query_opt("SELECT FROM terminal_types LIMIT 1", &[]).await?.is_none();
        for terminal_type in types {
            // A group goes by the first of its names.
            let group = terminal_type.excludes.iter().min();
            let group = group.filter(|_| first).map(|other| other.min(&terminal_type.name));
            tx.execute(
                "INSERT INTO terminal_types (name, session_limit, exclusive_group)
                 VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
                &[&terminal_type.name, &terminal_type.session_limit, &group],
            )
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// The terminal types, by name.
    pub async fn terminal_types(&self) -> Result<Vec<TerminalType>> {
        let client = self.client().await?;
        let statement = client.prepare_cached(&all()).await?;
        Ok(client.query(&statement, &[]).await?.iter().map(read).collect())
    }

    /// Changes terminal types, all or none. Holds from the next login on, on every node; live sessions
    /// stay.
    ///
    /// Errors: [`Error::InvalidArgument`] for a type that does not exist and has no limit given.
    pub async fn set_terminal_types(
        &self,
        change: &TerminalTypeChange,
        audit: Audit<'_>,
    ) -> Result<()> {
        let mut client = self.client().await?;
        let tx = client.transaction().await?;
        lock(&tx).await?;
        if let Some(limit) = change.session_limit {
            tx.execute(
                "INSERT INTO terminal_types (name, session_limit)
                 SELECT name, $2 FROM unnest($1::text[]) name
                 ON CONFLICT (name) DO UPDATE SET session_limit = excluded.session_limit",
                &[&change.names, &limit],
            )
            .await?;
        }
        let known = tx
            .query_one("SELECT count(*) FROM terminal_types WHERE name = ANY($1)", &[&change.names])
            .await?
            .get::<_, i64>(0);
        if usize::try_from(known) != Ok(change.names.len()) {
            return Err(Error::invalid("names", "has one that is not a terminal type"));
        }
        if let Some(exclusive) = change.exclusive {
            regroup(&tx, &change.names, exclusive).await?;
        }
        audit.record(&tx, None).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Takes the types out of the groups they are in, and makes a group of them where wished.
async fn regroup(tx: &Transaction<'_>, names: &[String], exclusive: bool) -> Result<()> {
    let out = "UPDATE terminal_types SET exclusive_group = NULL WHERE name = ANY($1)";
    tx.execute(out, &[&names]).await?;
    // What is left of a group may go by a name that is to be another's, and one alone excludes nobody.
    tx.execute(
        "UPDATE terminal_types t
         SET exclusive_group = (SELECT CASE WHEN count(*) > 1 THEN min(o.name) END
                                FROM terminal_types o WHERE o.exclusive_group = t.exclusive_group)
         WHERE exclusive_group IS NOT NULL",
        &[],
    )
    .await?;
    if exclusive {
        let together = "UPDATE terminal_types SET exclusive_group = $2 WHERE name = ANY($1)";
        tx.execute(together, &[&names, &names.iter().min()]).await?;
    }
    Ok(())
}

/// One change at a time; logins only read.
async fn lock(tx: &Transaction<'_>) -> Result<()> {
    Ok(tx.batch_execute("LOCK TABLE terminal_types IN SHARE ROW EXCLUSIVE MODE").await?)
}

/// The terminal type of this name. Errors: [`Error::InvalidArgument`] when there is none.
pub(super) async fn terminal_type(tx: &Transaction<'_>, name: &str) -> Result<TerminalType> {
    let one = format!("SELECT {COLUMNS} FROM terminal_types t WHERE t.name = $1");
    if let Some(row) = tx.query_opt(&one, &[&name]).await? {
        return Ok(read(&row));
    }
    let known: Vec<TerminalType> = tx.query(&all(), &[]).await?.iter().map(read).collect();
    Err(TerminalType::none_of("terminal.type", &known))
}

fn all() -> String {
    format!("SELECT {COLUMNS} FROM terminal_types t ORDER BY t.name")
}

fn read(row: &Row) -> TerminalType {
    TerminalType {
        name: row.get("name"),
        session_limit: row.get("session_limit"),
        excludes: row.get("excludes"),
    }
}
