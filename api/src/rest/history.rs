//! Roaming: the conversations, the history of each, and how far it has been read.

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
    types::{ConversationList, HistoryPage, MarkReadRequest, MarkReadResponse},
};
use crate::service::Service;

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default()
        .routes(routes!(list_conversations))
        .routes(routes!(list_history))
        .routes(routes!(mark_read))
        .routes(routes!(delete_message))
}

/// List one's conversations.
///
/// The one with the newest message first. Paged. Those that get a message while the pages are read move
/// to the front; they follow behind the others, so that each is met at least once. A page can hold fewer
/// than asked, or none, and not be the last.
#[utoipa::path(
    get, path = "/v1/conversations", tag = "History", security(("access_token" = [])),
    params(PageQuery),
    responses(
        (status = 200, description = "A page of conversations.", body = ConversationList),
        Refusal<400>, Refusal<401>, Refusal<429>, Refusal<500>, Refusal<503>,
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
    /// `user:<peer id>` or `group:<group id>`.
    #[param(pattern = "^(user|group):[A-Za-z0-9._@+=-]{1,64}$", example = "user:bob")]
    conversation_id: String,
}

/// List the messages of a conversation.
///
/// Newest first. Paged; messages that arrive meanwhile neither repeat nor hide any on the pages after.
///
/// Errors: `invalid_argument` for a page token that is not from this conversation's listing by this user;
/// `user_not_found` when the peer does not exist; `group_not_found`.
#[utoipa::path(
    get, path = "/v1/conversations/{conversation_id}/messages", tag = "History",
    security(("access_token" = [])), params(ConversationPath, PageQuery),
    responses(
        (status = 200, description = "A page of messages.", body = HistoryPage),
        Refusal<400>, Refusal<401>, Refusal<404>, Refusal<429>, Refusal<500>, Refusal<503>,
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

/// Mark a conversation as read.
///
/// Up to a place of one's own timeline. The mark is an entry of that timeline (`read_mark`), so all
/// terminals of the caller agree. It stands at the newest message up to the place, and it only moves
/// forward: one that is not ahead changes nothing and is answered with where the mark stands. Safe to
/// repeat.
///
/// Where the deployment has read receipts (`GET /v1/info`), the peer is told in its own timeline
/// (`read_receipt`), unless one of the two blocks the other.
///
/// Errors: `invalid_argument` for a `seq` that the timeline does not have; `user_not_found` when the peer
/// does not exist.
#[utoipa::path(
    post, path = "/v1/conversations/{conversation_id}/read", tag = "History",
    security(("access_token" = [])), params(ConversationPath),
    responses(
        (status = 200, description = "Where the mark stands.", body = MarkReadResponse),
        Refusal<400>, Refusal<401>, Refusal<404>, Refusal<413>, Refusal<415>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn mark_read(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<ConversationPath>,
    Json(request): Json<MarkReadRequest>,
) -> Result<Json<MarkReadResponse>, Problem> {
    let marked = service.mark_read(bearer.token(), &path.conversation_id, request.seq).await;
    Ok(Json(MarkReadResponse { read_seq: marked? }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct MessagePath {
    /// `user:<peer id>` or `group:<group id>`.
    #[param(pattern = "^(user|group):[A-Za-z0-9._@+=-]{1,64}$", example = "user:bob")]
    conversation_id: String,
    /// The message's place in the caller's timeline.
    #[param(minimum = 1, example = 42)]
    seq: i64,
}

/// Delete a message for oneself.
///
/// The caller's own copy, sent or received, becomes a tombstone, leaves the conversation and its history,
/// and every terminal of the caller is told (`message_deleted`). The other participants keep theirs and
/// learn nothing. Safe to repeat.
///
/// Errors: `user_not_found` when the peer does not exist; `group_not_found`; `message_not_found` when no message of the
/// conversation stands at the place.
#[utoipa::path(
    delete, path = "/v1/conversations/{conversation_id}/messages/{seq}", tag = "History",
    security(("access_token" = [])), params(MessagePath),
    responses(
        (status = 204, description = "The caller's copy is deleted."),
        Refusal<400>, Refusal<401>, Refusal<404>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn delete_message(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<MessagePath>,
) -> Result<StatusCode, Problem> {
    service.delete_message(bearer.token(), &path.conversation_id, path.seq).await?;
    Ok(StatusCode::NO_CONTENT)
}
