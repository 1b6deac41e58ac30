//! Blocks.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::id::UserId;
use crate::model::{self, Page};

/// A page of the users that the caller blocks, the one blocked last first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "blocked_users": [{ "user_id": "mallory", "blocked_at": "2026-11-23T07:30:00.123456Z" }],
    "next_page_token": "",
})))]
pub(crate) struct BlockedUserList {
    blocked_users: Vec<BlockedUser>,
    /// For the next page; empty on the last one.
    next_page_token: String,
}

/// A user that the caller blocks.
#[derive(Debug, Serialize, ToSchema)]
struct BlockedUser {
    user_id: UserId,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    blocked_at: OffsetDateTime,
}

impl From<Page<model::BlockedUser>> for BlockedUserList {
    fn from(page: Page<model::BlockedUser>) -> Self {
        let blocked_user = |user: &model::BlockedUser| BlockedUser {
            user_id: (&user.user_id).into(),
            blocked_at: user.blocked_at,
        };
        Self {
            blocked_users: page.items.iter().map(blocked_user).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }
    }
}
