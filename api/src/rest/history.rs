//! Roaming: the conversations, and the history of each.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    document::Refusal,
    extract::{Bearer, Json, Path, Query},
    problem::Problem,
    types::{ConversationList, HistoryPage},
};
use crate::service::Service;

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default().routes(routes!(list_conversations)).routes(routes!(list_history))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct PageQuery {
    /// The most items to return: 50 when absent or 0; more than 200 counts as 200.
    #[serde(default)]
    #[param(minimum = 0, maximum = 2_147_483_647)]
    page_size: i32,
    /// `next_page_token` of the page before; absent or empty for the first page.
    #[serde(default)]
    page_token: String,
}

/// List one's conversations.
///
/// The one with the newest message first. Paged.
#[utoipa::path(
    get, path = "/v1/conversations", tag = "History", security(("access_token" = [])),
    params(PageQuery),
    responses(
        (status = 200, description = "A page of conversations.", body = ConversationList),
        Refusal<400>, Refusal<401>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_conversations(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Query(page): Query<PageQuery>,
) -> Result<Json<ConversationList>, Problem> {
    let conversations =
        service.list_conversations(bearer.token(), page.page_size, &page.page_token).await?;
    Ok(Json(conversations.into()))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct ConversationPath {
    /// `user:<peer id>`.
    #[param(pattern = "^user:[A-Za-z0-9._@+=-]{1,64}$", example = "user:bob")]
    conversation_id: String,
}

/// List the messages of a conversation.
///
/// Newest first. Paged; messages that arrive meanwhile neither repeat nor hide any on the pages after.
///
/// Errors: `invalid_argument` for a page token that is not from this conversation's listing by this user;
/// `user_not_found` when the peer does not exist.
#[utoipa::path(
    get, path = "/v1/conversations/{conversation_id}/messages", tag = "History",
    security(("access_token" = [])), params(ConversationPath, PageQuery),
    responses(
        (status = 200, description = "A page of messages.", body = HistoryPage),
        Refusal<400>, Refusal<401>, Refusal<404>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_history(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<ConversationPath>,
    Query(page): Query<PageQuery>,
) -> Result<Json<HistoryPage>, Problem> {
    let history = service
        .list_history(bearer.token(), &path.conversation_id, page.page_size, &page.page_token)
        .await?;
    Ok(Json(history.into()))
}
