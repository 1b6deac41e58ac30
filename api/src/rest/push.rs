//! Telling terminals of messages that come while they have no stream.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    document::Refusal,
    extract::{Bearer, Json},
    problem::Problem,
    types::{PushState, QuietHours, SetPushRequest},
};
use crate::service::Service;

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default()
        .routes(routes!(get_push, set_push, remove_push))
        .routes(routes!(set_quiet_hours, remove_quiet_hours))
}

/// Get how one's terminal is told of messages.
///
/// And how it could be: the providers that there are, and the key that a browser subscribes with.
#[utoipa::path(
    get, path = "/v1/push", tag = "Push", security(("access_token" = [])),
    responses(
        (status = 200, description = "How it is told.", body = PushState),
        Refusal<401>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn get_push(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
) -> Result<Json<PushState>, Problem> {
    Ok(Json(service.push(bearer.token()).await?.into()))
}

/// Have one's terminal told of messages while it has no stream.
///
/// Some seconds after a message has come, and only if the terminal's cursor shows that it does not have it. It takes
/// the place of what the terminal was told by before, and ends with the session, and when the provider says that
/// the token is none any more. What is told is a hint, and may be told twice.
///
/// Errors: `invalid_argument`, which for an unknown provider says which there are.
#[utoipa::path(
    post, path = "/v1/push", tag = "Push", security(("access_token" = [])),
    responses(
        (status = 204, description = "It is told from now on."),
        Refusal<400>, Refusal<401>, Refusal<413>, Refusal<415>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn set_push(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Json(request): Json<SetPushRequest>,
) -> Result<StatusCode, Problem> {
    service.set_push(bearer.token(), request.into()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Have one's terminal told no more.
///
/// Safe to repeat.
#[utoipa::path(
    delete, path = "/v1/push", tag = "Push", security(("access_token" = [])),
    responses(
        (status = 204, description = "It is told no more."),
        Refusal<401>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn remove_push(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
) -> Result<StatusCode, Problem> {
    service.remove_push(bearer.token()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Set the hours of the day in which no terminal of one is told.
///
/// Of what has come by then and is still unread it is told when they are over.
#[utoipa::path(
    put, path = "/v1/push/quiet_hours", tag = "Push", security(("access_token" = [])),
    responses(
        (status = 204, description = "They are set."),
        Refusal<400>, Refusal<401>, Refusal<413>, Refusal<415>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn set_quiet_hours(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Json(hours): Json<QuietHours>,
) -> Result<StatusCode, Problem> {
    service.set_quiet_hours(bearer.token(), hours.into()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Be told at all hours.
///
/// Safe to repeat.
#[utoipa::path(
    delete, path = "/v1/push/quiet_hours", tag = "Push", security(("access_token" = [])),
    responses(
        (status = 204, description = "There are none."),
        Refusal<401>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn remove_quiet_hours(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
) -> Result<StatusCode, Problem> {
    service.remove_quiet_hours(bearer.token()).await?;
    Ok(StatusCode::NO_CONTENT)
}
