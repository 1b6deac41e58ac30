//! Logging in and out, and the sessions of one's own account.

use std::sync::Arc;

use axum::{Extension, extract::State, http::StatusCode};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    document::Refusal,
    extract::{Bearer, Json, Path},
    problem::Problem,
    types::{LoginRequest, LoginResponse, RefreshRequest, SessionList, Tokens},
};
use crate::{
    model::ClientAddress,
    service::{Login, Service},
};

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default()
        .routes(routes!(login))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(list_my_sessions))
        .routes(routes!(end_my_session))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct SessionPath {
    /// The session to end.
    #[param(format = Uuid)]
    session_id: String,
}

/// Log in.
///
/// Opens a session. When the terminal type is at its limit of live sessions, the oldest ones end in the
/// same transaction (reason `REPLACED`) and are listed in `replaced`, and so are all those of types that it
/// excludes (`GET /v1/info` tells which); an earlier session of the same device ends too (reason
/// `SUPERSEDED`). Every other terminal of the user finds a `session_changed` entry in its timeline.
///
/// The user is known by a password or by an assertion of an issuer that the deployment trusts. A login
/// that is refused does not use an assertion up.
///
/// Errors: `invalid_credentials`, the same answer for an unknown user and a wrong password;
/// `invalid_assertion`; `terminal_occupied` with `if_occupied = REFUSE`; `import_unfinished` while the
/// user's messages are being imported from elsewhere; `rate_limited` after failures from the same
/// address, or too many logins of the same user; `overloaded` when too many passwords wait to be checked.
#[utoipa::path(
    post, path = "/v1/login", tag = "Sessions",
    responses(
        (status = 200, description = "The session is open.", body = LoginResponse),
        Refusal<400>, Refusal<401>, Refusal<409>, Refusal<413>, Refusal<415>, Refusal<429>,
        Refusal<500>, Refusal<503>,
    ),
)]
async fn login(
    State(service): State<Arc<Service>>,
    address: Option<Extension<ClientAddress>>,
    Json(request): Json<LoginRequest>,
) -> Result<Json<LoginResponse>, Problem> {
    let address = address.map(|Extension(address)| address);
    let login = Login { address, ..request.try_into()? };
    Ok(Json(service.login(login).await?.into()))
}

/// Exchange a refresh token for a new pair of tokens.
///
/// The presented token stays good until its successor is first used, 60 s at most, so that a lost answer
/// logs nobody out; a use after that ends the session (reason `TOKEN_REUSED`). A refresh never wins back
/// a place that a newer login took.
///
/// Errors: `invalid_token`, `session_ended`.
#[utoipa::path(
    post, path = "/v1/refresh", tag = "Sessions",
    responses(
        (status = 200, description = "The successors of both tokens.", body = Tokens),
        Refusal<400>, Refusal<401>, Refusal<413>, Refusal<415>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn refresh(
    State(service): State<Arc<Service>>,
    Json(request): Json<RefreshRequest>,
) -> Result<Json<Tokens>, Problem> {
    Ok(Json(service.refresh(&request.refresh_token).await?.into()))
}

/// Log out.
///
/// Ends the session that the access token belongs to (reason `LOGGED_OUT`).
#[utoipa::path(
    post, path = "/v1/logout", tag = "Sessions", security(("access_token" = [])),
    responses(
        (status = 204, description = "The session has ended."),
        Refusal<401>, Refusal<500>, Refusal<503>,
    ),
)]
async fn logout(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
) -> Result<StatusCode, Problem> {
    service.logout(bearer.token()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List one's own live sessions.
///
/// Those of the caller's user, the newest first.
#[utoipa::path(
    get, path = "/v1/sessions", tag = "Sessions", security(("access_token" = [])),
    responses(
        (status = 200, description = "The live sessions.", body = SessionList),
        Refusal<401>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_my_sessions(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
) -> Result<Json<SessionList>, Problem> {
    let (sessions, current) = service.list_my_sessions(bearer.token()).await?;
    Ok(Json(SessionList::new(&sessions, current)))
}

/// End one of one's own sessions.
///
/// On whatever terminal it is (reason `LOGGED_OUT`). Ending a session that has ended already succeeds
/// and changes nothing.
///
/// Errors: `session_not_found` when the caller's user never had such a session.
#[utoipa::path(
    delete, path = "/v1/sessions/{session_id}", tag = "Sessions", security(("access_token" = [])),
    params(SessionPath),
    responses(
        (status = 204, description = "The session has ended."),
        Refusal<400>, Refusal<401>, Refusal<404>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn end_my_session(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<SessionPath>,
) -> Result<StatusCode, Problem> {
    service.end_my_session(bearer.token(), &path.session_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
