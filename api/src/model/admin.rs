//! Administrators.

use std::fmt;

/// What an administrator may do: each role all that those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// See users, sessions, status and audit; nothing of what users say.
    Viewer = 1,
    /// Help users: end sessions, disable and enable, change groups and their members.
    Support = 2,
    /// Everything.
    Admin = 3,
}

impl Role {
    /// The role with this number in the contract and in the database.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        [Self::Viewer, Self::Support, Self::Admin].into_iter().find(|role| *role as i32 == number)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Viewer => "viewer",
            Self::Support => "support",
            Self::Admin => "admin",
        })
    }
}
