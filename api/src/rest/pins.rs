//! Pinning messages.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    document::Refusal,
    extract::{Bearer, Json, Path},
    problem::Problem,
    types::PinnedMessageList,
};
use crate::service::Service;

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default()
        .routes(routes!(pin_message, unpin_message))
        .routes(routes!(list_pinned_messages))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct MessagePath {
    /// A message that the caller has.
    #[param(pattern = "^[A-Za-z0-9_-]{21}[AQgw]$", example = "AAAAAAAAAAEAAAAAAAAAKg")]
    message_id: String,
}

/// Pin a message.
///
/// In its conversation, for all participants: up to 50 in each. In a group its owner and admins may. Every terminal of
/// all participants is told (`message_pinned`). Safe to repeat: what is pinned stays so, and nobody is told again. What
/// holds for a message that is sent holds here between two users.
///
/// Errors: `message_not_found` when the caller has no such message, or it is gone; `too_many_pins`;
/// `group_role_needed`; those of `POST /v1/messages` that say that the recipient takes nothing from the caller.
#[utoipa::path(
    put, path = "/v1/messages/{message_id}/pin", tag = "Messages", security(("access_token" = [])),
    params(MessagePath),
    responses(
        (status = 204, description = "It is pinned."),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<429>, Refusal<500>,
        Refusal<503>,
    ),
)]
async fn pin_message(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<MessagePath>,
) -> Result<StatusCode, Problem> {
    service.pin(bearer.token(), &path.message_id, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Pin a message no longer.
///
/// For all participants. In a group its owner and admins may. Safe to repeat.
///
/// Errors: `message_not_found` when the caller has no such message, or it is gone; `group_role_needed`.
#[utoipa::path(
    delete, path = "/v1/messages/{message_id}/pin", tag = "Messages", security(("access_token" = [])),
    params(MessagePath),
    responses(
        (status = 204, description = "It is not pinned."),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn unpin_message(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<MessagePath>,
) -> Result<StatusCode, Problem> {
    service.pin(bearer.token(), &path.message_id, false).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct ConversationPath {
    /// `user:<peer id>`, or `group:<group id>`.
    #[param(pattern = "^(user|group):[A-Za-z0-9._@+=-]{1,64}$", example = "user:bob")]
    conversation_id: String,
}

/// List the pinned messages of a conversation.
///
/// Those that the caller may see, the one pinned last first; all of them.
///
/// Errors: `user_not_found` when the peer does not exist; `group_not_found`.
#[utoipa::path(
    get, path = "/v1/conversations/{conversation_id}/pins", tag = "History", security(("access_token" = [])),
    params(ConversationPath),
    responses(
        (status = 200, description = "The messages.", body = PinnedMessageList),
        Refusal<400>, Refusal<401>, Refusal<404>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_pinned_messages(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<ConversationPath>,
) -> Result<Json<PinnedMessageList>, Problem> {
    Ok(Json(service.list_pins(bearer.token(), &path.conversation_id).await?.into()))
}
