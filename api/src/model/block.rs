//! Blocks: whom a user takes no messages from.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::UserId;

/// How many users one may block: what has to be looked through for a page of them.
pub const MOST_BLOCKS: i64 = 1000;

/// A user that another blocks.
#[derive(Debug, Clone)]
pub struct BlockedUser {
    /// Which user.
    pub user_id: UserId,
    /// Since when.
    pub blocked_at: OffsetDateTime,
    /// The place of the entry that says so, in the timeline of the one who blocks: it orders the list.
    pub seq: i64,
}

/// What becomes of a message whose recipient blocks its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", rename_all = "lowercase")]
pub enum IfBlocked {
    /// It is refused: the sender learns that it is blocked.
    Refuse,
    /// It is stored for the sender and its terminals alone, who cannot tell it from one that arrived.
    Drop,
}

impl TryFrom<String> for IfBlocked {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        match name.as_str() {
            "refuse" => Ok(Self::Refuse),
            "drop" => Ok(Self::Drop),
            _ => Err("expected `refuse` or `drop`"),
        }
    }
}
