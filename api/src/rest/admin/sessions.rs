//! Everybody's sessions.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Caller, users::UserPath};
use crate::{
    rest::{
        document::Refusal,
        extract::{Json, Path, Query, time},
        problem::Problem,
        types::admin::{AdminSessionList, EndedSessions, KickSessionsRequest, SessionState},
    },
    service::{Service, SessionQuery},
};

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default().routes(routes!(list_sessions)).routes(routes!(kick_sessions))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Those of this user alone; absent or empty for all.
    #[serde(default)]
    user_id: String,
    /// Those of this terminal type alone; absent or empty for all.
    #[serde(default)]
    terminal_type: String,
    /// Those in this state alone; absent for every live one.
    #[param(inline)]
    state: Option<SessionState>,
    /// Those that started at this time or later alone; absent for all.
    #[param(format = DateTime, example = "2026-11-23T07:30:00Z")]
    since: Option<String>,
    /// The most sessions to return: 100 when absent or 0; more than 1,000 counts as so many.
    #[serde(default)]
    #[param(minimum = 0, maximum = 2_147_483_647)]
    page_size: i32,
    /// `next_page_token` of the page before; absent or empty for the first page.
    #[serde(default)]
    page_token: String,
}

/// List sessions.
///
/// Of all users or of one, the newest first. Paged.
///
/// Errors: `user_not_found`. Needs the role `viewer`.
#[utoipa::path(
    get, path = "/admin/v1/sessions", tag = "Sessions", security(("admin_key" = [])), params(ListQuery),
    responses(
        (status = 200, description = "A page of sessions.", body = AdminSessionList),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_sessions(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Query(asked): Query<ListQuery>,
) -> Result<Json<AdminSessionList>, Problem> {
    let admin = caller.admin(&service).await?;
    let ListQuery { user_id, terminal_type, state, since, page_size, page_token } = asked;
    let (state, since) = (state.map(Into::into), time("since", since)?);
    let query = SessionQuery { user_id, terminal_type, state, since };
    Ok(Json(admin.list_sessions(query, page_size, &page_token).await?.into()))
}

/// End sessions of a user.
///
/// Reason `KICKED`. No request that starts afterwards succeeds with their tokens, on any node.
///
/// Errors: `user_not_found`; `session_not_found`. Needs the role `support`.
#[utoipa::path(
    post, path = "/admin/v1/users/{user_id}/kick", tag = "Sessions", security(("admin_key" = [])),
    params(UserPath),
    responses(
        (status = 200, description = "The sessions that ended.", body = EndedSessions),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<413>, Refusal<415>, Refusal<500>,
        Refusal<503>,
    ),
)]
async fn kick_sessions(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<UserPath>,
    Json(mut request): Json<KickSessionsRequest>,
) -> Result<Json<EndedSessions>, Problem> {
    let admin = caller.admin(&service).await?;
    let which = request.which();
    Ok(Json(admin.kick_sessions(&path.user_id, which, request.note).await?.into()))
}
