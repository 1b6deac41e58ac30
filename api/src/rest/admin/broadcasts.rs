//! Messages to many users at a time.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::Caller;
use crate::{
    rest::{
        document::Refusal,
        extract::{Json, Path, Query, time},
        problem::Problem,
        types::broadcast::{
            Broadcast, BroadcastList, BroadcastState, CreateBroadcastRequest, CreatedBroadcast,
        },
    },
    service::Service,
};

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default()
        .routes(routes!(list_broadcasts))
        .routes(routes!(get_broadcast))
        .routes(routes!(pause_broadcast))
        .routes(routes!(resume_broadcast))
        .routes(routes!(abort_broadcast))
}

/// What takes a body with many users.
pub(super) fn lists() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default().routes(routes!(create_broadcast))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct BroadcastPath {
    /// The caller's id of it.
    #[param(example = "0199e0a4-5b1c-7c3e-9d2f-3a1b5c7d9e0f")]
    broadcast_id: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Those in this state alone; absent for all.
    #[param(inline)]
    state: Option<BroadcastState>,
    /// Those made at this time or later alone; absent for all.
    #[param(format = DateTime, example = "2026-11-23T07:30:00Z")]
    since: Option<String>,
    /// The most broadcasts to return: 100 when absent or 0; more than 1,000 counts as so many.
    #[serde(default)]
    #[param(minimum = 0, maximum = 2_147_483_647)]
    page_size: i32,
    /// `next_page_token` of the page before; absent or empty for the first page.
    #[serde(default)]
    page_token: String,
}

/// Make a broadcast.
///
/// A message to all users, to those of a tier, or to those of a list. It is sent from then on, by any node, to each of its
/// users once, however often nodes die. Repeated with the same `broadcast_id`, it returns the broadcast that was made
/// first, with status 200. The body may have 16 MiB.
///
/// Errors: `user_not_found` for the sender; `tier_not_found`; `broadcast_id_conflict`. Needs the role `backend`.
#[utoipa::path(
    post, path = "/admin/v1/broadcasts", tag = "Broadcasts", security(("admin_key" = [])),
    responses(
        (status = 201, description = "It is being sent.", body = CreatedBroadcast),
        (status = 200, description = "It was made before.", body = CreatedBroadcast),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<413>, Refusal<415>,
        Refusal<500>, Refusal<503>,
    ),
)]
async fn create_broadcast(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Json(request): Json<CreateBroadcastRequest>,
) -> Result<(StatusCode, Json<CreatedBroadcast>), Problem> {
    let admin = caller.admin(&service).await?;
    let made = admin.create_broadcast(request.try_into()?).await?;
    let status = if made.1 { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(made.into())))
}

/// List the broadcasts.
///
/// Those of the last 90 days, the newest first. Paged. Needs the role `viewer`.
#[utoipa::path(
    get, path = "/admin/v1/broadcasts", tag = "Broadcasts", security(("admin_key" = [])), params(ListQuery),
    responses(
        (status = 200, description = "A page of broadcasts.", body = BroadcastList),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_broadcasts(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Query(asked): Query<ListQuery>,
) -> Result<Json<BroadcastList>, Problem> {
    let admin = caller.admin(&service).await?;
    let ListQuery { state, since, page_size, page_token } = asked;
    let (state, since) = (state.map(Into::into), time("since", since)?);
    Ok(Json(admin.list_broadcasts(state, since, page_size, &page_token).await?.into()))
}

/// Show a broadcast.
///
/// And how far it is.
///
/// Errors: `broadcast_not_found`. Needs the role `viewer`.
#[utoipa::path(
    get, path = "/admin/v1/broadcasts/{broadcast_id}", tag = "Broadcasts", security(("admin_key" = [])),
    params(BroadcastPath),
    responses(
        (status = 200, description = "The broadcast.", body = Broadcast),
        Refusal<401>, Refusal<403>, Refusal<404>, Refusal<500>, Refusal<503>,
    ),
)]
async fn get_broadcast(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<BroadcastPath>,
) -> Result<Json<Broadcast>, Problem> {
    Ok(Json(caller.admin(&service).await?.get_broadcast(&path.broadcast_id).await?.into()))
}

/// Have a broadcast wait.
///
/// What is on its way is sent.
///
/// Errors: `broadcast_not_found`; `broadcast_ended`. Needs the role `backend`.
#[utoipa::path(
    post, path = "/admin/v1/broadcasts/{broadcast_id}/pause", tag = "Broadcasts", security(("admin_key" = [])),
    params(BroadcastPath),
    responses(
        (status = 200, description = "The broadcast as it is now.", body = Broadcast),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<500>, Refusal<503>,
    ),
)]
async fn pause_broadcast(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<BroadcastPath>,
) -> Result<Json<Broadcast>, Problem> {
    Ok(Json(caller.admin(&service).await?.pause_broadcast(&path.broadcast_id).await?.into()))
}

/// Have a broadcast go on that waits.
///
/// Where it was.
///
/// Errors: `broadcast_not_found`; `broadcast_ended`. Needs the role `backend`.
#[utoipa::path(
    post, path = "/admin/v1/broadcasts/{broadcast_id}/resume", tag = "Broadcasts", security(("admin_key" = [])),
    params(BroadcastPath),
    responses(
        (status = 200, description = "The broadcast as it is now.", body = Broadcast),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<500>, Refusal<503>,
    ),
)]
async fn resume_broadcast(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<BroadcastPath>,
) -> Result<Json<Broadcast>, Problem> {
    Ok(Json(caller.admin(&service).await?.resume_broadcast(&path.broadcast_id).await?.into()))
}

/// Have a broadcast be sent to nobody else.
///
/// What is on its way is sent.
///
/// Errors: `broadcast_not_found`; `broadcast_ended`. Needs the role `backend`.
#[utoipa::path(
    post, path = "/admin/v1/broadcasts/{broadcast_id}/abort", tag = "Broadcasts", security(("admin_key" = [])),
    params(BroadcastPath),
    responses(
        (status = 200, description = "The broadcast as it is now.", body = Broadcast),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<500>, Refusal<503>,
    ),
)]
async fn abort_broadcast(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<BroadcastPath>,
) -> Result<Json<Broadcast>, Problem> {
    Ok(Json(caller.admin(&service).await?.abort_broadcast(&path.broadcast_id).await?.into()))
}
