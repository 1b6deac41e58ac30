//! Keys of administrators, and those that sign access tokens.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use secrecy::ExposeSecret;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::Caller;
use crate::{
    rest::{
        document::Refusal,
        extract::{Json, Path},
        problem::Problem,
        types::admin::{
            AccessTokenKeyList, AdminKey, AdminKeyList, CreateAdminKeyRequest, CreatedAdminKey,
        },
    },
    service::Service,
};

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default()
        .routes(routes!(list_admin_keys, create_admin_key))
        .routes(routes!(revoke_admin_key))
        .routes(routes!(list_access_token_keys))
        .routes(routes!(rotate_access_token_key))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct KeyPath {
    /// The key's name.
    #[param(pattern = "^[A-Za-z0-9._@+=-]{1,64}$", example = "shop")]
    name: String,
}

/// Make an admin key.
///
/// Errors: `admin_key_exists`, also for the name of a revoked one. Needs the role `admin`.
#[utoipa::path(
    post, path = "/admin/v1/admin_keys", tag = "Keys", security(("admin_key" = [])),
    responses(
        (status = 201, description = "The key, shown this once.", body = CreatedAdminKey),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<409>, Refusal<413>, Refusal<415>, Refusal<500>,
        Refusal<503>,
    ),
)]
async fn create_admin_key(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Json(request): Json<CreateAdminKeyRequest>,
) -> Result<(StatusCode, Json<CreatedAdminKey>), Problem> {
    let admin = caller.admin(&service).await?;
    let (key, secret) = admin.create_admin_key(&request.name, request.role()).await?;
    Ok((StatusCode::CREATED, Json(CreatedAdminKey::new(key, secret.expose_secret()))))
}

/// List the admin keys.
///
/// All there ever were, but not that of the data folder. Needs the role `admin`.
#[utoipa::path(
    get, path = "/admin/v1/admin_keys", tag = "Keys", security(("admin_key" = [])),
    responses(
        (status = 200, description = "The keys, by name.", body = AdminKeyList),
        Refusal<401>, Refusal<403>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_admin_keys(
    State(service): State<Arc<Service>>,
    caller: Caller,
) -> Result<Json<AdminKeyList>, Problem> {
    Ok(Json(caller.admin(&service).await?.list_admin_keys().await?.into()))
}

/// Revoke an admin key.
///
/// No call that starts afterwards succeeds with it, on any node.
///
/// Errors: `admin_key_not_found`, also when it is revoked already. Needs the role `admin`.
#[utoipa::path(
    delete, path = "/admin/v1/admin_keys/{name}", tag = "Keys", security(("admin_key" = [])),
    params(KeyPath),
    responses(
        (status = 200, description = "The key, which is good for nothing.", body = AdminKey),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<500>, Refusal<503>,
    ),
)]
async fn revoke_admin_key(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<KeyPath>,
) -> Result<Json<AdminKey>, Problem> {
    Ok(Json(caller.admin(&service).await?.revoke_admin_key(&path.name).await?.into()))
}

/// List the keys that sign access tokens.
///
/// And those whose tokens are still taken. Needs the role `viewer`.
#[utoipa::path(
    get, path = "/admin/v1/access_token_keys", tag = "Keys", security(("admin_key" = [])),
    responses(
        (status = 200, description = "The keys, the newest first.", body = AccessTokenKeyList),
        Refusal<401>, Refusal<403>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_access_token_keys(
    State(service): State<Arc<Service>>,
    caller: Caller,
) -> Result<Json<AccessTokenKeyList>, Problem> {
    Ok(Json(caller.admin(&service).await?.list_access_keys().await?.into()))
}

/// Make a new key for access tokens.
///
/// A login or refresh that starts after the answer is signed with it, on every node. Tokens signed with an older key are
/// good until they expire; then the key is deleted. Needs the role `admin`.
#[utoipa::path(
    post, path = "/admin/v1/access_token_keys/rotate", tag = "Keys", security(("admin_key" = [])),
    responses(
        (status = 200, description = "The keys, the newest first.", body = AccessTokenKeyList),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<500>, Refusal<503>,
    ),
)]
async fn rotate_access_token_key(
    State(service): State<Arc<Service>>,
    caller: Caller,
) -> Result<Json<AccessTokenKeyList>, Problem> {
    Ok(Json(caller.admin(&service).await?.rotate_access_key().await?.into()))
}
