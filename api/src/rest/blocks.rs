//! Blocking users, and who is blocked.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    document::Refusal,
    extract::{Bearer, Json, Path, Query},
    paging::PageQuery,
    problem::Problem,
    types::BlockedUserList,
};
use crate::service::Service;

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default()
        .routes(routes!(list_blocked_users))
        .routes(routes!(block_user, unblock_user))
}

/// List the users that one blocks.
///
/// The one blocked last first. Paged.
#[utoipa::path(
    get, path = "/v1/blocks", tag = "Blocks", security(("access_token" = [])), params(PageQuery),
    responses(
        (status = 200, description = "A page of users.", body = BlockedUserList),
        Refusal<400>, Refusal<401>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_blocked_users(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Query(page): Query<PageQuery>,
) -> Result<Json<BlockedUserList>, Problem> {
    let users =
        service.list_blocked_users(bearer.token(), page.page_size, &page.page_token).await?;
    Ok(Json(users.into()))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct UserPath {
    /// Another user.
    #[param(pattern = "^[A-Za-z0-9._@+=-]{1,64}$", example = "mallory")]
    user_id: String,
}

/// Block a user.
///
/// Once it has returned, nothing that is sent to the caller by that user arrives, and the caller sends
/// nothing to that user. Whether the user is told so or takes its messages for delivered is up to the
/// deployment. Every terminal of the caller is told (`block_changed`). Safe to repeat: a user that is
/// blocked stays so, and nobody is told again.
///
/// What was sent before stays where it is, and can still be recalled. Neither of the two gets read
/// receipts of the other.
///
/// A block does not reach into groups: members who block each other still see what the other one writes
/// to the group. A user is not added to a group by one whom it blocks.
///
/// Errors: `invalid_argument` for one's own id, too; `user_not_found`; `too_many_blocks` when the caller
/// blocks 1,000 users already.
#[utoipa::path(
    put, path = "/v1/blocks/{user_id}", tag = "Blocks", security(("access_token" = [])),
    params(UserPath),
    responses(
        (status = 204, description = "The user is blocked."),
        Refusal<400>, Refusal<401>, Refusal<404>, Refusal<409>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn block_user(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<UserPath>,
) -> Result<StatusCode, Problem> {
    service.block_user(bearer.token(), &path.user_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Block a user no longer.
///
/// Every terminal of the caller is told (`block_changed`). What the user sent meanwhile does not come
/// back. Safe to repeat. The user may be one that was deleted.
///
/// Errors: `user_not_found`.
#[utoipa::path(
    delete, path = "/v1/blocks/{user_id}", tag = "Blocks", security(("access_token" = [])),
    params(UserPath),
    responses(
        (status = 204, description = "The user is not blocked."),
        Refusal<400>, Refusal<401>, Refusal<404>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn unblock_user(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<UserPath>,
) -> Result<StatusCode, Problem> {
    service.unblock_user(bearer.token(), &path.user_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
