//! Everybody's groups.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    model::{self, Page},
    rest::types::{
        group::{CreateGroupRequest, Group},
        id::UserId,
    },
    service,
};

/// A group as administrators see it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminGroup {
    group: Group,
    /// Null for a group that nobody is in.
    #[schema(required = true)]
    owner_id: Option<UserId>,
    dissolved: bool,
}

/// A page of groups, the one made first first, dissolved ones too.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminGroupList {
    groups: Vec<AdminGroup>,
    /// For the next page; empty on the last one.
    next_page_token: String,
}

/// A group to make for an owner.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "owner_id": "ann", "group": { "name": "Trip to Oslo", "member_ids": ["ben"] } })))]
pub(crate) struct CreateAdminGroupRequest {
    #[serde(default)]
    #[schema(required = true)]
    owner_id: UserId,
    pub(in crate::rest) group: CreateGroupRequest,
}

/// Users to make members.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "user_ids": ["ben", "cleo"] })))]
pub(crate) struct AddMembersRequest {
    /// 1–1,000 users, each once.
    #[serde(default)]
    #[schema(required = true, min_items = 1, max_items = 1000)]
    user_ids: Vec<UserId>,
}

/// Who became a member.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AddedMembers {
    added: Vec<UserId>,
}

impl From<service::AdminGroup> for AdminGroup {
    fn from(found: service::AdminGroup) -> Self {
        Self {
            dissolved: found.group.dissolved,
            owner_id: found.owner.as_ref().map(Into::into),
            group: found.group.into(),
        }
    }
}

impl From<Page<service::AdminGroup>> for AdminGroupList {
    fn from(page: Page<service::AdminGroup>) -> Self {
        Self {
            groups: page.items.into_iter().map(Into::into).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }
    }
}

impl CreateAdminGroupRequest {
    pub(in crate::rest) fn owner_id(&self) -> &str {
        &self.owner_id.0
    }
}

impl AddMembersRequest {
    pub(in crate::rest) fn into_ids(self) -> Vec<String> {
        self.user_ids.into_iter().map(|id| id.0).collect()
    }
}

impl From<Vec<model::UserId>> for AddedMembers {
    fn from(added: Vec<model::UserId>) -> Self {
        Self { added: added.iter().map(Into::into).collect() }
    }
}
