//! Accounts.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use futures::TryStreamExt;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Caller, lines};
use crate::{
    rest::{
        contacts::ContactQuery,
        document::Refusal,
        extract::{Json, Path, Query, time},
        paging::PageQuery,
        problem::Problem,
        types::{
            ContactList,
            admin::{
                CreateUserRequest, DeletionProgress, EndedSessions, NoteRequest,
                SetPasswordRequest, User, UserDescription, UserLimitsEffect, UserLimitsRequest,
                UserList,
            },
        },
    },
    service::Service,
};

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default()
        .routes(routes!(list_users, create_user))
        .routes(routes!(get_user, delete_user))
        .routes(routes!(describe_user))
        .routes(routes!(list_contacts_of_user))
        .routes(routes!(set_password))
        .routes(routes!(disable_user))
        .routes(routes!(enable_user))
        .routes(routes!(set_user_limits))
        .routes(routes!(preview_user_limits))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct UserPath {
    /// Which user.
    #[param(pattern = "^[A-Za-z0-9._@+=-]{1,64}$", example = "ann")]
    pub(super) user_id: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct UsersQuery {
    /// Only users whose ids begin so; absent or empty for all.
    #[serde(default)]
    #[param(max_length = 64, example = "an")]
    prefix: String,
    /// Those created at this time or later alone; absent for all.
    #[param(format = DateTime, example = "2026-11-23T07:30:00Z")]
    since: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct DeleteQuery {
    /// Whether the copies that others have of what the user sent become tombstones.
    #[serde(default)]
    erase_sent: bool,
    /// For the user's terminals: up to 256 characters on one line.
    #[serde(default)]
    note: String,
}

/// Create a user.
///
/// Errors: `user_exists`, also for the id of a deleted user; `tier_not_found`. Needs the role `backend`.
#[utoipa::path(
    post, path = "/admin/v1/users", tag = "Users", security(("admin_key" = [])),
    responses(
        (status = 201, description = "The new user.", body = User),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<413>, Refusal<415>,
        Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn create_user(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Json(request): Json<CreateUserRequest>,
) -> Result<(StatusCode, Json<User>), Problem> {
    let admin = caller.admin(&service).await?;
    let password = request.password.clone();
    let created = admin.create_user(request.user_id(), password, &request.tier).await?;
    Ok((StatusCode::CREATED, Json((&created).into())))
}

/// List the users.
///
/// By id, deleted ones left out. Paged. Needs the role `viewer`.
#[utoipa::path(
    get, path = "/admin/v1/users", tag = "Users", security(("admin_key" = [])), params(UsersQuery, PageQuery),
    responses(
        (status = 200, description = "A page of users.", body = UserList),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_users(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Query(query): Query<UsersQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Json<UserList>, Problem> {
    let admin = caller.admin(&service).await?;
    let since = time("since", query.since)?;
    let users = admin.list_users(&query.prefix, since, page.page_size, &page.page_token).await?;
    Ok(Json(users.into()))
}

/// Get a user.
///
/// Or what is left of a deleted one. Errors: `user_not_found`. Needs the role `viewer`.
#[utoipa::path(
    get, path = "/admin/v1/users/{user_id}", tag = "Users", security(("admin_key" = [])), params(UserPath),
    responses(
        (status = 200, description = "The user.", body = User),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<500>, Refusal<503>,
    ),
)]
async fn get_user(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<UserPath>,
) -> Result<Json<User>, Problem> {
    let found = caller.admin(&service).await?.get_user(&path.user_id).await?;
    Ok(Json((&found).into()))
}

/// Describe a user.
///
/// With its profile, its live sessions, and how much there is of it. Reads all of its timeline.
///
/// Errors: `user_not_found`. Needs the role `viewer`.
#[utoipa::path(
    get, path = "/admin/v1/users/{user_id}/description", tag = "Users", security(("admin_key" = [])),
    params(UserPath),
    responses(
        (status = 200, description = "What there is of it.", body = UserDescription),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<500>, Refusal<503>,
    ),
)]
async fn describe_user(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<UserPath>,
) -> Result<Json<UserDescription>, Problem> {
    let described = caller.admin(&service).await?.describe_user(&path.user_id).await?;
    Ok(Json(described.into()))
}

/// List the contacts of a user.
///
/// And those whom the user has asked, and those who ask, told apart by `state`. What the user calls them is left out:
/// it is for nobody else to see. Paged. Errors: `user_not_found`. Needs the role `viewer`.
#[utoipa::path(
    get, path = "/admin/v1/users/{user_id}/contacts", tag = "Users", security(("admin_key" = [])),
    params(UserPath, ContactQuery),
    responses(
        (status = 200, description = "A page of contacts.", body = ContactList),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_contacts_of_user(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<UserPath>,
    Query(query): Query<ContactQuery>,
) -> Result<Json<ContactList>, Problem> {
    let admin = caller.admin(&service).await?;
    let state = query.state.map(Into::into);
    let contacts =
        admin.list_contacts(&path.user_id, state, query.page_size, &query.page_token).await?;
    Ok(Json(contacts.into()))
}

/// Delete a user.
///
/// With the first line the account is gone: its sessions have ended (reason `USER_DELETED`), nobody can log in or send
/// to it, and its id is not given out again. Then all that is its own goes, with the progress after each step. A
/// call that breaks off is finished by some node within minutes. Safe to repeat.
///
/// Errors: `user_not_found`. Needs the role `backend`.
#[utoipa::path(
    delete, path = "/admin/v1/users/{user_id}", tag = "Users", security(("admin_key" = [])),
    params(UserPath, DeleteQuery),
    responses(
        (status = 200, description = "The progress, a line each.", body = DeletionProgress,
            content_type = "application/x-ndjson"),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<500>, Refusal<503>,
    ),
)]
async fn delete_user(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<UserPath>,
    Query(query): Query<DeleteQuery>,
) -> Result<Response, Problem> {
    let DeleteQuery { erase_sent, note } = query;
    let deleting = service.delete_user(caller.call(), &path.user_id, erase_sent, &note).await?;
    Ok(lines::answer(deleting.map_ok(DeletionProgress::from)))
}

/// Set a password.
///
/// Ends every live session of the user (reason `PASSWORD_CHANGED`).
///
/// Errors: `user_not_found`. Needs the role `backend`.
#[utoipa::path(
    put, path = "/admin/v1/users/{user_id}/password", tag = "Users", security(("admin_key" = [])),
    params(UserPath),
    responses(
        (status = 200, description = "The sessions that ended.", body = EndedSessions),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<413>, Refusal<415>, Refusal<429>,
        Refusal<500>, Refusal<503>,
    ),
)]
async fn set_password(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<UserPath>,
    Json(request): Json<SetPasswordRequest>,
) -> Result<Json<EndedSessions>, Problem> {
    let admin = caller.admin(&service).await?;
    Ok(Json(admin.set_password(&path.user_id, request.password).await?.into()))
}

/// Disable a user.
///
/// No login any more, and every live session ends (reason `USER_DISABLED`). Messages to the user are still stored.
///
/// Errors: `user_not_found`. Needs the role `support`.
#[utoipa::path(
    post, path = "/admin/v1/users/{user_id}/disable", tag = "Users", security(("admin_key" = [])),
    params(UserPath),
    responses(
        (status = 200, description = "The sessions that ended.", body = EndedSessions),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<413>, Refusal<415>, Refusal<500>,
        Refusal<503>,
    ),
)]
async fn disable_user(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<UserPath>,
    Json(request): Json<NoteRequest>,
) -> Result<Json<EndedSessions>, Problem> {
    let admin = caller.admin(&service).await?;
    Ok(Json(admin.disable_user(&path.user_id, &request.note).await?.into()))
}

/// Let a disabled user log in again.
///
/// Errors: `user_not_found`. Needs the role `support`.
#[utoipa::path(
    post, path = "/admin/v1/users/{user_id}/enable", tag = "Users", security(("admin_key" = [])),
    params(UserPath),
    responses(
        (status = 200, description = "The user.", body = User),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<500>, Refusal<503>,
    ),
)]
async fn enable_user(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<UserPath>,
) -> Result<Json<User>, Problem> {
    let enabled = caller.admin(&service).await?.enable_user(&path.user_id).await?;
    Ok(Json((&enabled).into()))
}

/// Give a user a tier, or limits of its own.
///
/// Holds from the next read on, on every node.
///
/// Errors: `user_not_found`, `tier_not_found`. Needs the role `admin`.
#[utoipa::path(
    put, path = "/admin/v1/users/{user_id}/limits", tag = "Users", security(("admin_key" = [])),
    params(UserPath),
    responses(
        (status = 200, description = "The user.", body = User),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<413>, Refusal<415>, Refusal<500>,
        Refusal<503>,
    ),
)]
async fn set_user_limits(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<UserPath>,
    Json(request): Json<UserLimitsRequest>,
) -> Result<Json<User>, Problem> {
    let admin = caller.admin(&service).await?;
    let changed = admin.set_user_limits(&path.user_id, Some(request.try_into()?)).await?;
    Ok(Json((&changed).into()))
}

/// Say what limits would hide from a user.
///
/// And show again. Changes nothing.
///
/// Errors: `user_not_found`, `tier_not_found`. Needs the role `viewer`.
#[utoipa::path(
    post, path = "/admin/v1/users/{user_id}/limits/preview", tag = "Users", security(("admin_key" = [])),
    params(UserPath),
    responses(
        (status = 200, description = "The effect.", body = UserLimitsEffect),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<413>, Refusal<415>, Refusal<500>,
        Refusal<503>,
    ),
)]
async fn preview_user_limits(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<UserPath>,
    Json(request): Json<UserLimitsRequest>,
) -> Result<Json<UserLimitsEffect>, Problem> {
    let admin = caller.admin(&service).await?;
    let effect = admin.preview_user_limits(&path.user_id, Some(request.try_into()?)).await?;
    Ok(Json(effect.into()))
}
