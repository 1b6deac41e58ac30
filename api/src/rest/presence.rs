//! Who is there.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    document::Refusal,
    extract::{Bearer, Json, Query},
    problem::Problem,
    types::{PresenceList, SetIdleRequest},
};
use crate::service::Service;

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default().routes(routes!(get_presence, set_idle))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct PresenceQuery {
    /// Up to 500 ids with commas between them.
    #[serde(default)]
    #[param(
        required = true,
        pattern = "^[A-Za-z0-9._@+=-]{1,64}(,[A-Za-z0-9._@+=-]{1,64}){0,499}$",
        example = "bob,carl"
    )]
    user_ids: String,
}

/// Ids with commas between them; none of an empty text.
pub(super) fn split(user_ids: &str) -> Vec<String> {
    let ids = user_ids.split(',').map(str::to_owned);
    if user_ids.is_empty() { Vec::new() } else { ids.collect() }
}

/// Get who is there.
///
/// How users are at this moment, in the order of the request. A stream that watches users is told of changes:
/// `watch` of `GET /v1/events` and of a WebSocket. Nothing of it stands in a timeline.
///
/// Errors: `user_not_found`.
#[utoipa::path(
    get, path = "/v1/presence", tag = "Presence", security(("access_token" = [])),
    params(PresenceQuery),
    responses(
        (status = 200, description = "How they are, as far as the caller may see.", body = PresenceList),
        Refusal<400>, Refusal<401>, Refusal<404>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn get_presence(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Query(query): Query<PresenceQuery>,
) -> Result<Json<PresenceList>, Problem> {
    let user_ids = split(&query.user_ids);
    if user_ids.is_empty() {
        // The session goes before the arguments.
        service.session_of(bearer.token()).await?;
        return Err(Problem::invalid("user_ids", &"is needed"));
    }
    Ok(Json(service.presence(bearer.token(), &user_ids).await?.as_slice().into()))
}

/// Say whether nobody is at one's terminal.
///
/// Holds for the streams that the session has open. A user is idle when nobody is at any of its terminals.
#[utoipa::path(
    put, path = "/v1/presence", tag = "Presence", security(("access_token" = [])),
    responses(
        (status = 204, description = "It is noted."),
        Refusal<400>, Refusal<401>, Refusal<413>, Refusal<415>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn set_idle(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Json(request): Json<SetIdleRequest>,
) -> Result<StatusCode, Problem> {
    service.set_idle(bearer.token(), request.idle).await?;
    Ok(StatusCode::NO_CONTENT)
}
