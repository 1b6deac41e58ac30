//! Tiers, and the purge.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use futures::TryStreamExt;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Caller, lines};
use crate::{
    rest::{
        document::Refusal,
        extract::{Json, Path},
        problem::Problem,
        types::admin::{PurgeProgress, TierEffectList, TierList, TiersRequest},
    },
    service::Service,
};

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default()
        .routes(routes!(list_tiers, apply_tiers))
        .routes(routes!(preview_tiers))
        .routes(routes!(delete_tier))
        .routes(routes!(purge))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct TierPath {
    /// Which tier.
    #[param(example = "free")]
    name: String,
}

/// List the tiers.
///
/// Needs the role `viewer`.
#[utoipa::path(
    get, path = "/admin/v1/tiers", tag = "Retention", security(("admin_key" = [])),
    responses(
        (status = 200, description = "The tiers, by name.", body = TierList),
        Refusal<401>, Refusal<403>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_tiers(
    State(service): State<Arc<Service>>,
    caller: Caller,
) -> Result<Json<TierList>, Problem> {
    Ok(Json(caller.admin(&service).await?.list_tiers().await?.into()))
}

/// Make or change tiers.
///
/// All or none; others stay as they are. Holds from the next read on, on every node. Deletes nothing: what is hidden can be
/// shown again until it is purged.
///
/// Errors: `tier_not_found` and `tier_exists` where `expect` is not met. Needs the role `admin`.
#[utoipa::path(
    patch, path = "/admin/v1/tiers", tag = "Retention", security(("admin_key" = [])),
    responses(
        (status = 200, description = "The tiers, by name.", body = TierList),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<413>, Refusal<415>,
        Refusal<500>, Refusal<503>,
    ),
)]
async fn apply_tiers(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Json(request): Json<TiersRequest>,
) -> Result<Json<TierList>, Problem> {
    let (tiers, expect) = request.into();
    Ok(Json(caller.admin(&service).await?.apply_tiers(tiers, expect).await?.into()))
}

/// Say what a change of tiers would do to their users.
///
/// Changes nothing. Errors: as for the change. Needs the role `viewer`.
#[utoipa::path(
    post, path = "/admin/v1/tiers/preview", tag = "Retention", security(("admin_key" = [])),
    responses(
        (status = 200, description = "The effect, by tier.", body = TierEffectList),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<413>, Refusal<415>,
        Refusal<500>, Refusal<503>,
    ),
)]
async fn preview_tiers(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Json(request): Json<TiersRequest>,
) -> Result<Json<TierEffectList>, Problem> {
    let (tiers, expect) = request.into();
    Ok(Json(caller.admin(&service).await?.preview_tiers(tiers, expect).await?.into()))
}

/// Delete a tier that no user has.
///
/// Errors: `tier_not_found`; `tier_in_use`. Needs the role `admin`.
#[utoipa::path(
    delete, path = "/admin/v1/tiers/{name}", tag = "Retention", security(("admin_key" = [])),
    params(TierPath),
    responses(
        (status = 200, description = "The tiers that are left.", body = TierList),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<500>, Refusal<503>,
    ),
)]
async fn delete_tier(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<TierPath>,
) -> Result<Json<TierList>, Problem> {
    Ok(Json(caller.admin(&service).await?.delete_tier(&path.name).await?.into()))
}

/// Delete now what has been hidden for long enough.
///
/// For longer than the setting `retention.purge_after`. imd does so by itself every hour.
///
/// Errors: `purge_running`. Needs the role `admin`.
#[utoipa::path(
    post, path = "/admin/v1/purge", tag = "Retention", security(("admin_key" = [])),
    responses(
        (status = 200, description = "The progress, a line each.", body = PurgeProgress,
            content_type = "application/x-ndjson"),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<409>, Refusal<500>, Refusal<503>,
    ),
)]
async fn purge(State(service): State<Arc<Service>>, caller: Caller) -> Result<Response, Problem> {
    let purging = service.purge(caller.call()).await?;
    Ok(lines::answer(purging.map_ok(PurgeProgress::from)))
}
