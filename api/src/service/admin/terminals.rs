//! Terminal types.

use std::collections::BTreeSet;

use serde_json::json;

use super::Admin;
use crate::{
    model::{Error, Expect, MAX_SESSION_LIMIT, Result, Role, TerminalType},
    store::TerminalTypeChange,
};

/// The most terminal types in one call.
const MAX_NAMES: usize = 32;

impl Admin<'_> {
    /// The terminal types, by name.
    pub async fn list_terminal_types(&self) -> Result<Vec<TerminalType>> {
        self.require(Role::Viewer)?;
        self.service.store.terminal_types().await
    }

    /// Makes or changes terminal types, all or none. Holds from the next login on, on every node.
    pub async fn set_terminal_types(
        &self,
        change: TerminalTypeChange,
    ) -> Result<Vec<TerminalType>> {
        self.require(Role::Admin)?;
        let change = check(change)?;
        let mut details = json!({ "names": change.names });
        if let Some(limit) = change.session_limit {
            details["session_limit"] = limit.into();
        }
        if let Some(exclusive) = change.exclusive {
            details["exclusive"] = exclusive.into();
        }
        let audit = self.audit("set_terminal_types", details);
        self.service.store.set_terminal_types(&change, audit).await?;
        self.service.store.terminal_types().await
    }

    /// Deletes terminal types without live sessions, all or none; those that are left. Nobody can log
    /// in as one of them from the next login on, on every node.
    ///
    /// Errors: [`Error::InvalidArgument`] for a type that does not exist;
    /// [`Error::TerminalTypeInUse`].
    pub async fn delete_terminal_types(&self, names: Vec<String>) -> Result<Vec<TerminalType>> {
        self.require(Role::Admin)?;
        let names = check_names(names)?;
        let audit = self.audit("delete_terminal_types", json!({ "names": names }));
        self.service.store.delete_terminal_types(&names, audit).await?;
        self.service.store.terminal_types().await
    }
}

/// The names, each once.
fn check_names(names: Vec<String>) -> Result<Vec<String>> {
    let names: BTreeSet<String> = names.into_iter().collect();
    if names.is_empty() || names.len() > MAX_NAMES {
        return Err(Error::invalid("names", format!("must have 1–{MAX_NAMES} terminal types")));
    }
    if let Some(name) = names.iter().find(|name| !TerminalType::is_name(name)) {
        return Err(Error::invalid("names", format!("{name:?} {}", TerminalType::NAME_RULE)));
    }
    Ok(names.into_iter().collect())
}

fn check(change: TerminalTypeChange) -> Result<TerminalTypeChange> {
    let names = check_names(change.names)?;
    if change.session_limit.is_some_and(|limit| !(1..=MAX_SESSION_LIMIT).contains(&limit)) {
        return Err(Error::invalid("session_limit", format!("must be 1–{MAX_SESSION_LIMIT}")));
    }
    match change.exclusive {
        Some(true) if names.len() < 2 => {
            return Err(Error::invalid("names", "must have two or more that exclude each other"));
        }
        None if change.session_limit.is_none() => {
            return Err(Error::invalid("session_limit", "there is nothing to change"));
        }
        _ if change.expect == Expect::New && change.session_limit.is_none() => {
            return Err(Error::invalid("session_limit", "is needed for a new terminal type"));
        }
        _ => {}
    }
    Ok(TerminalTypeChange { names, ..change })
}
