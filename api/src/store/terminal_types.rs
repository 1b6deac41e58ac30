//! Terminal types: how many sessions of each, and which exclude each other.

use tokio_postgres::Row;

use super::{Audit, Store, Transaction, transaction};
use crate::model::{Error, Expect, Result, TerminalType};

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
    /// How many live sessions a user may have of each. A type that does not exist is made with it.
    pub session_limit: Option<i32>,
    /// Whether these, and no others, exclude each other; otherwise they exclude nobody.
    pub exclusive: Option<bool>,
    /// Whether the types must exist already.
    pub expect: Expect,
}

impl Store {
    /// Adds the terminal types that do not exist yet; those that do stay as they are. Where there were
    /// none at all, types exclude each other as `excludes` says; later that is the administrators'.
    pub async fn seed_terminal_types(&self, types: &[TerminalType]) -> Result<()> {
        transaction!(self, async |tx| {
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
        })
    }

    /// The terminal types, by name.
    pub async fn terminal_types(&self) -> Result<Vec<TerminalType>> {
        let client = self.client().await?;
        let statement = client.prepare_cached(&all()).await?;
        Ok(client.query(&statement, &[]).await?.iter().map(read).collect())
    }

    /// Whether there is a terminal type of this name. Errors: [`Error::InvalidArgument`] when there is none.
    pub async fn check_terminal_type(&self, name: &str) -> Result<()> {
        let client = self.client().await?;
        let one = client.prepare_cached("SELECT FROM terminal_types WHERE name = $1").await?;
        if client.query_opt(&one, &[&name]).await?.is_some() {
            return Ok(());
        }
        drop(client);
        Err(TerminalType::none_of("terminal.type", &self.terminal_types().await?))
    }

    /// Changes terminal types, all or none. Holds from the next login on, on every node; live sessions
    /// stay.
    ///
    /// Errors: [`Error::InvalidArgument`] for a type that does not exist and has no limit given, or had
    /// to exist; [`Error::TerminalTypeExists`] for one that must not.
    pub async fn set_terminal_types(
        &self,
        change: &TerminalTypeChange,
        audit: Audit<'_>,
    ) -> Result<()> {
        transaction!(self, async |tx| {
            lock(&tx).await?;
            check_expected(&tx, change).await?;
            if let Some(limit) = change.session_limit {
                tx.execute(
                    "INSERT INTO terminal_types (name, session_limit)
                 SELECT name, $2 FROM unnest($1::text[]) name
                 ON CONFLICT (name) DO UPDATE SET session_limit = excluded.session_limit",
                    &[&change.names, &limit],
                )
                .await?;
            }
            if let Some(exclusive) = change.exclusive {
                regroup(&tx, &change.names, exclusive).await?;
            }
            audit.record(&tx, None).await?;
            tx.commit().await?;
            Ok(())
        })
    }

    /// Deletes terminal types, all or none.
    ///
    /// Errors: [`Error::InvalidArgument`] for a type that does not exist;
    /// [`Error::TerminalTypeInUse`] for one with live sessions.
    pub async fn delete_terminal_types(&self, names: &[String], audit: Audit<'_>) -> Result<()> {
        transaction!(self, async |tx| {
            // A login has read the type before or does so after this, so that none is behind the check.
            tx.batch_execute("LOCK TABLE terminal_types IN ACCESS EXCLUSIVE MODE").await?;
            let all = TerminalTypeChange { names: names.to_vec(), ..TerminalTypeChange::default() };
            check_expected(&tx, &all).await?;
            let live = "SELECT terminal_type, count(*) FROM sessions
                    WHERE ended_at IS NULL AND terminal_type = ANY($1)
                    GROUP BY terminal_type ORDER BY terminal_type";
            if let Some(row) = tx.query(live, &[&names]).await?.first() {
                return Err(Error::TerminalTypeInUse { name: row.get(0), sessions: row.get(1) });
            }
            regroup(&tx, names, false).await?;
            tx.execute("DELETE FROM terminal_types WHERE name = ANY($1)", &[&names]).await?;
            audit.record(&tx, None).await?;
            tx.commit().await?;
            Ok(())
        })
    }
}

/// Errors: [`Error::InvalidArgument`] for a type that is not known and cannot be made;
/// [`Error::TerminalTypeExists`].
async fn check_expected(tx: &Transaction<'_>, change: &TerminalTypeChange) -> Result<()> {
    let known = names(tx).await?;
    let may_be_made = change.session_limit.is_some() && change.expect != Expect::Existing;
    for name in &change.names {
        match known.contains(name) {
            false if !may_be_made => {
                return Err(TerminalType::unknown(name, known.iter().map(String::as_str)));
            }
            true if change.expect == Expect::New => {
                return Err(Error::TerminalTypeExists(name.clone()));
            }
            _ => {}
        }
    }
    Ok(())
}

async fn names(tx: &Transaction<'_>) -> Result<Vec<String>> {
    let rows = tx.query("SELECT name FROM terminal_types ORDER BY name", &[]).await?;
    Ok(rows.iter().map(|row| row.get("name")).collect())
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
