//! Ids, with what they may look like.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The customer's own id of a user.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(pattern = "^[A-Za-z0-9._@+=-]{1,64}$", examples("ann"))]
pub(crate) struct UserId(pub(in crate::rest) String);

/// The customer's own id of a group, or one that the server made.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(pattern = "^[A-Za-z0-9._@+=-]{1,64}$", examples("oslo"))]
pub(crate) struct GroupId(pub(in crate::rest) String);

/// The id of an installation: made by the client at first start and kept for good.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(pattern = "^[A-Za-z0-9._@+=-]{1,64}$", examples("pixel-7f3a"))]
pub(crate) struct DeviceId(pub(super) String);

/// A conversation as its owner sees it: `user:<peer id>`, where `user:<own id>` is a note to oneself, or
/// `group:<group id>`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(pattern = "^(user|group):[A-Za-z0-9._@+=-]{1,64}$", examples("user:bob"))]
pub(crate) struct ConversationId(pub(super) String);

/// A place in a timeline, to be given as `after` next time: `<epoch>.<seq>`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(pattern = "^[0-9]+\\.[0-9]+$", examples("1763880000.42"))]
pub(crate) struct Cursor(pub(super) String);

impl From<crate::model::Cursor> for Cursor {
    fn from(cursor: crate::model::Cursor) -> Self {
        Self(cursor.to_string())
    }
}

impl From<&crate::model::ConversationId> for ConversationId {
    fn from(id: &crate::model::ConversationId) -> Self {
        Self(id.to_string())
    }
}

impl From<&crate::model::GroupId> for GroupId {
    fn from(id: &crate::model::GroupId) -> Self {
        Self(id.to_string())
    }
}

impl From<&crate::model::UserId> for UserId {
    fn from(id: &crate::model::UserId) -> Self {
        Self(id.to_string())
    }
}
