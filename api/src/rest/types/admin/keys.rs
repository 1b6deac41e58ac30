//! Keys of administrators, and those that sign access tokens.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{model, service};

/// What a key may do.
///
/// `VIEWER`: see users, sessions, groups, status, jobs and audit. `SUPPORT`: the same, and end sessions, disable and
/// enable users, change groups and their members. `BACKEND`: the same, and send messages, make and delete users
/// and groups, set passwords. `ADMIN`: everything.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Role {
    Viewer,
    Support,
    Backend,
    Admin,
}

/// A key of the admin listener.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminKey {
    /// What the audit calls it.
    name: String,
    role: Role,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    created_by: String,
    /// Null while it is good.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true)]
    revoked_at: Option<OffsetDateTime>,
}

/// All keys there ever were but that of the data folder, by name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminKeyList {
    keys: Vec<AdminKey>,
}

/// A key to make.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "name": "shop", "role": "BACKEND" })))]
pub(crate) struct CreateAdminKeyRequest {
    /// 1–64 characters of `[A-Za-z0-9._@+=-]`.
    #[serde(default)]
    #[schema(required = true)]
    pub(in crate::rest) name: String,
    #[schema(required = true, nullable = false)]
    role: Option<Role>,
}

/// A key as it was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedAdminKey {
    key: AdminKey,
    /// The key itself, shown this once.
    secret: String,
}

/// A key that signs access tokens.
#[derive(Debug, Serialize, ToSchema)]
struct AccessTokenKey {
    key_id: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// Null for the current one.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true)]
    retired_at: Option<OffsetDateTime>,
    /// Null for the current one.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true)]
    good_until: Option<OffsetDateTime>,
}

/// The keys whose tokens are taken, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccessTokenKeyList {
    keys: Vec<AccessTokenKey>,
}

impl From<service::AdminKey> for AdminKey {
    fn from(key: service::AdminKey) -> Self {
        Self {
            name: key.name,
            role: match key.role {
                model::Role::Viewer => Role::Viewer,
                model::Role::Support => Role::Support,
                model::Role::Backend => Role::Backend,
                model::Role::Admin => Role::Admin,
            },
            created_at: key.created_at,
            created_by: key.created_by,
            revoked_at: key.revoked_at,
        }
    }
}

impl From<Vec<service::AdminKey>> for AdminKeyList {
    fn from(keys: Vec<service::AdminKey>) -> Self {
        Self { keys: keys.into_iter().map(Into::into).collect() }
    }
}

impl CreateAdminKeyRequest {
    pub(in crate::rest) fn role(&self) -> Option<model::Role> {
        self.role.map(|role| match role {
            Role::Viewer => model::Role::Viewer,
            Role::Support => model::Role::Support,
            Role::Backend => model::Role::Backend,
            Role::Admin => model::Role::Admin,
        })
    }
}

impl CreatedAdminKey {
    pub(in crate::rest) fn new(key: service::AdminKey, secret: &str) -> Self {
        Self { key: key.into(), secret: secret.to_owned() }
    }
}

impl From<Vec<service::AccessKey>> for AccessTokenKeyList {
    fn from(keys: Vec<service::AccessKey>) -> Self {
        let key = |key: service::AccessKey| AccessTokenKey {
            key_id: key.key_id,
            created_at: key.created_at,
            retired_at: key.retired_at,
            good_until: key.good_until,
        };
        Self { keys: keys.into_iter().map(key).collect() }
    }
}
