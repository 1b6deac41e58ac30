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
    types::{
        ConversationList, ConversationSettings, HistoryPage, MarkReadRequest, MarkReadResponse,
        SetDraftRequest, UpdateConversationRequest,
    },
};
use crate::{model::ConversationFilter, service::Service};

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default()
        .routes(routes!(list_conversations))
        .routes(routes!(update_conversation))
        .routes(routes!(set_draft))
        .routes(routes!(list_history))
        .routes(routes!(mark_read))
        .routes(routes!(delete_message))
}

/// List one's conversations.
///
/// The one with the newest message first. Paged. Those that get a message while the pages are read move
/// to the front; they follow behind the others, so that each is met at least once. A page can hold fewer
/// than asked, or none, and not be the last. Those that are hidden are not among them until their next
/// message.
///
/// Errors: `invalid_argument` for a page token of a listing with other filters, too.
#[utoipa::path(
    get, path = "/v1/conversations", tag = "History", security(("access_token" = [])),
    params(PageQuery, ConversationQuery),
    responses(
        (status = 200, description = "A page of conversations.", body = ConversationList),
        Refusal<400>, Refusal<401>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_conversations(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Query(page): Query<PageQuery>,
    Query(query): Query<ConversationQuery>,
) -> Result<Json<ConversationList>, Problem> {
    let ConversationQuery { unread, archived, pinned } = query;
    let filter = ConversationFilter { unread, archived, pinned };
    let conversations = service
        .list_conversations(bearer.token(), filter, page.page_size, &page.page_token)
        .await?;
    Ok(Json(conversations.into()))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ConversationQuery {
    /// Those with unread messages or marked as unread, or those without; absent for both.
    unread: Option<bool>,
    /// Those that are archived, or those that are not; absent for both.
    archived: Option<bool>,
    /// Those that are pinned, or those that are not; absent for both.
    pinned: Option<bool>,
}

/// Pin, archive, mute or hide a conversation, or mark it as unread.
///
/// For the caller alone. What holds then is an entry of the caller's timeline (`conversation_changed`), so all
/// its terminals agree. Safe to repeat: what is so already stays, and nobody is told again. A request that
/// changes nothing is answered with what holds.
///
/// Errors: `user_not_found` when the peer does not exist; `group_not_found`.
#[utoipa::path(
    patch, path = "/v1/conversations/{conversation_id}", tag = "History",
    security(("access_token" = [])), params(ConversationPath),
    responses(
        (status = 200, description = "All that is set now.", body = ConversationSettings),
        Refusal<400>, Refusal<401>, Refusal<404>, Refusal<413>, Refusal<415>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn update_conversation(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<ConversationPath>,
    Json(request): Json<UpdateConversationRequest>,
) -> Result<Json<ConversationSettings>, Problem> {
    let changed =
        service.change_conversation(bearer.token(), &path.conversation_id, request.into()).await;
    Ok(Json(changed?.into()))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct ConversationPath {
    /// `user:<peer id>` or `group:<group id>`.
    #[param(pattern = "^(user|group):[A-Za-z0-9._@+=-]{1,64}$", example = "user:bob")]
    conversation_id: String,
}

/// Set the draft of a conversation.
///
/// It takes the place of the one that the caller has there, and is an entry of the caller's timeline
/// (`draft_changed`), so all its terminals agree on the last one. Call it with each change of the draft, as often
/// as you like: of what one terminal sets within 2 s the last alone is written, and the calls return when it is.
/// A client that sends the message takes the draft away, with an empty text. Safe to repeat.
///
/// Errors: `user_not_found` when the peer does not exist; `group_not_found`.
#[utoipa::path(
    put, path = "/v1/conversations/{conversation_id}/draft", tag = "History",
    security(("access_token" = [])), params(ConversationPath),
    responses(
        (status = 204, description = "The draft is stored, or a later one of the same terminal."),
        Refusal<400>, Refusal<401>, Refusal<404>, Refusal<413>, Refusal<415>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn set_draft(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<ConversationPath>,
    Json(request): Json<SetDraftRequest>,
) -> Result<StatusCode, Problem> {
    service.set_draft(bearer.token(), &path.conversation_id, request.text).await?;
    Ok(StatusCode::NO_CONTENT)
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
/// forward: one that is not ahead changes nothing and is answered with where the mark stands. A conversation
/// that was marked as unread is so no longer. Safe to repeat.
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
