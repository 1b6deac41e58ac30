//! The policy hook: what it is asked for, and what becomes of what it does not answer for.

use serde::{Deserialize, Serialize};

/// What becomes of a message that the policy hook does not answer for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", rename_all = "lowercase")]
pub enum PolicyOnFailure {
    /// It is stored.
    Allow,
    /// It is refused: its sender may try again.
    Refuse,
}

impl TryFrom<String> for PolicyOnFailure {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        match name.as_str() {
            "allow" => Ok(Self::Allow),
            "refuse" => Ok(Self::Refuse),
            _ => Err("expected `allow` or `refuse`"),
        }
    }
}

/// What the policy hook can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyKind {
    /// Messages to users.
    User,
    /// Messages to groups.
    Group,
    /// Edits.
    Edit,
}

impl PolicyKind {
    /// Those that a list names, with commas between them.
    pub fn parse_list(names: &str) -> Result<Vec<Self>, &'static str> {
        let kind = |name: &str| match name.trim() {
            "user" => Ok(Self::User),
            "group" => Ok(Self::Group),
            "edit" => Ok(Self::Edit),
            _ => Err("expected some of `user`, `group` and `edit` with commas between them"),
        };
        names.split(',').map(kind).collect()
    }
}
