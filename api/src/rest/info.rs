//! Facts about the server, and whether it is well.

use std::sync::Arc;

use axum::extract::State;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    document::Refusal,
    extract::Json,
    problem::Problem,
    types::{Health, Info},
};
use crate::service::Service;

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default().routes(routes!(get_info)).merge(health())
}

/// What a load balancer asks for, on either listener.
pub(super) fn health() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default().routes(routes!(healthz)).routes(routes!(readyz))
}

/// Ask for the version, the limits and the terminal types.
///
/// Needs no token.
#[utoipa::path(
    get, path = "/v1/info", tag = "Server",
    responses(
        (status = 200, description = "Facts about the server.", body = Info),
        Refusal<500>, Refusal<503>,
    ),
)]
async fn get_info(State(service): State<Arc<Service>>) -> Result<Json<Info>, Problem> {
    Ok(Json(service.info().await?.into()))
}

/// Ask whether the process is up.
#[utoipa::path(
    get, path = "/healthz", tag = "Server",
    responses((status = 200, description = "It is.", body = Health)),
)]
async fn healthz() -> Json<Health> {
    Json(Health::OK)
}

/// Ask whether the server can do its work.
///
/// It can while its tasks work and the database answers; otherwise `detail` says what does not.
#[utoipa::path(
    get, path = "/readyz", tag = "Server",
    responses(
        (status = 200, description = "It can.", body = Health),
        Refusal<500>, Refusal<503>,
    ),
)]
async fn readyz(State(service): State<Arc<Service>>) -> Result<Json<Health>, Problem> {
    service.ready().await?;
    Ok(Json(Health::OK))
}
