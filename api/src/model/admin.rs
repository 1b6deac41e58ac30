//! Administrators.

use std::fmt;

/// What an administrator, or a backend of the customer's, may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// See users, sessions, status and audit; nothing of what users say.
    Viewer = 1,
    /// Help users: end sessions, disable and enable, change groups and their members.
    Support = 2,
    /// Everything.
    Admin = 3,
    /// What support may, and send messages, make and delete users and groups, and set passwords.
    Backend = 4,
}

impl Role {
    /// The role with this number in the contract and in the database.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        let roles = [Self::Viewer, Self::Support, Self::Admin, Self::Backend];
        roles.into_iter().find(|role| *role as i32 == number)
    }

    /// Whether this role may do what `needed` may. Support may what viewers may, a backend what support
    /// may, an administrator everything.
    #[must_use]
    pub fn covers(self, needed: Self) -> bool {
        let rank = |role| match role {
            Self::Viewer => 1,
            Self::Support => 2,
            Self::Backend => 3,
            Self::Admin => 4,
        };
        rank(self) >= rank(needed)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Viewer => "viewer",
            Self::Support => "support",
            Self::Admin => "admin",
            Self::Backend => "backend",
        })
    }
}
