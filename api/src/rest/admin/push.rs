//! Which terminals are told of messages, and whether that works.

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
        types::admin::{PushTestList, PushTokenList, TestPushRequest},
    },
    service::{PushQuery, Service},
};

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default().routes(routes!(list_push_tokens)).routes(routes!(test_push))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Those of this user alone; absent or empty for all.
    #[serde(default)]
    user_id: String,
    /// Those that this provider tells alone: `webhook`, `web_push`, `apns` or `fcm`; absent or empty for all.
    #[serde(default)]
    #[param(example = "apns")]
    provider: String,
    /// Those that were bound at this time or later alone; absent for all.
    #[param(format = DateTime, example = "2026-11-23T07:30:00Z")]
    since: Option<String>,
    /// The most terminals to return: 100 when absent or 0; more than 1,000 counts as so many.
    #[serde(default)]
    #[param(minimum = 0, maximum = 2_147_483_647)]
    page_size: i32,
    /// `next_page_token` of the page before; absent or empty for the first page.
    #[serde(default)]
    page_token: String,
}

/// List which terminals are told of messages.
///
/// While they have no stream, of all users or of one, in the order of users. Paged. What their providers know them by is
/// not shown.
///
/// Errors: `user_not_found`. Needs the role `viewer`.
#[utoipa::path(
    get, path = "/admin/v1/push", tag = "Push", security(("admin_key" = [])), params(ListQuery),
    responses(
        (status = 200, description = "A page of terminals.", body = PushTokenList),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_push_tokens(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Query(asked): Query<ListQuery>,
) -> Result<Json<PushTokenList>, Problem> {
    let admin = caller.admin(&service).await?;
    let ListQuery { user_id, provider, since, page_size, page_token } = asked;
    let query = PushQuery { user_id, provider, since: time("since", since)? };
    Ok(Json(admin.list_push_tokens(&query, page_size, &page_token).await?.into()))
}

/// Tell a user's terminals that this is a test.
///
/// By whatever tells them of messages. Answers with what their providers say; a token that is none any more is dropped.
///
/// Errors: `user_not_found`. Needs the role `support`.
#[utoipa::path(
    post, path = "/admin/v1/users/{user_id}/push/test", tag = "Push", security(("admin_key" = [])),
    params(UserPath),
    responses(
        (status = 200, description = "What came of it.", body = PushTestList),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<413>, Refusal<415>, Refusal<500>,
        Refusal<503>,
    ),
)]
async fn test_push(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<UserPath>,
    Json(asked): Json<TestPushRequest>,
) -> Result<Json<PushTestList>, Problem> {
    let admin = caller.admin(&service).await?;
    Ok(Json(admin.test_push(&path.user_id, asked.terminal_type()).await?.into()))
}
