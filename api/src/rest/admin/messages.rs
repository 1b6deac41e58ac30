//! Sending as a user or as the system, and where messages have got to.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Caller, users::UserPath};
use crate::{
    model::Error,
    rest::{
        document::Refusal,
        extract::{Json, Path, Query},
        problem::Problem,
        search::SearchQuery,
        types::{
            FoundMessageList, SendResponse,
            admin::MessageTrace,
            send_as::{SendAsBatch, SendAsRequest, SendAsResults},
        },
    },
    service::{Service, TracedMessage},
};

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default()
        .routes(routes!(send))
        .routes(routes!(trace_message))
        .routes(routes!(search_messages))
}

/// What takes a body of many messages.
pub(super) fn batches() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default().routes(routes!(send_batch))
}

/// Send a message as a user or as the system.
///
/// From no terminal, stored like any other, and answered after the commit. Repeated with the same `client_message_id`, it
/// returns the first result. No limit of users' rates holds. Leaves no audit record, but where it bypasses what the
/// recipient wants.
///
/// Errors: those of `POST /v1/messages`, and `user_not_found` for the sender, too. Needs the role `backend`.
#[utoipa::path(
    post, path = "/admin/v1/messages", tag = "Messages", security(("admin_key" = [])),
    responses(
        (status = 200, description = "The message is stored.", body = SendResponse),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<413>, Refusal<415>,
        Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn send(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Json(request): Json<SendAsRequest>,
) -> Result<Json<SendResponse>, Problem> {
    let admin = caller.admin(&service).await?;
    Ok(Json(admin.send(request.try_into()?).await?.into()))
}

/// Send up to 500 messages.
///
/// A result for each, in their order. Messages of one sender are stored in their order: where one cannot be stored for
/// now (`overloaded`, `unavailable`), those of the same sender behind it are not tried, and have the same problem. A
/// wrong message holds up none of the others. The body may have 16 MiB.
///
/// Errors: `invalid_argument` for the number of messages; those of a message are its result. Needs the role `backend`.
#[utoipa::path(
    post, path = "/admin/v1/messages/batch", tag = "Messages", security(("admin_key" = [])),
    responses(
        (status = 200, description = "What became of each message.", body = SendAsResults),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<413>, Refusal<415>, Refusal<500>, Refusal<503>,
    ),
)]
async fn send_batch(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Json(request): Json<SendAsBatch>,
) -> Result<Json<SendAsResults>, Problem> {
    let admin = caller.admin(&service).await?;
    Ok(Json(admin.send_batch(request.into_messages()).await?.into()))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct TraceQuery {
    /// The message; or else the other two.
    message_id: Option<String>,
    /// Who sent it.
    sender_id: Option<String>,
    /// The id that its sender gave it.
    client_message_id: Option<String>,
}

/// Find out where a message has got to.
///
/// Each timeline that it is in, and for each terminal whether its cursor has passed it. Shows nothing of what it says, and
/// leaves an audit record all the same.
///
/// Errors: `message_not_found`; `user_not_found` for an unknown sender. Needs the role `support`.
#[utoipa::path(
    get, path = "/admin/v1/messages/trace", tag = "Messages", security(("admin_key" = [])),
    params(TraceQuery),
    responses(
        (status = 200, description = "Where it has got to.", body = MessageTrace),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<500>, Refusal<503>,
    ),
)]
async fn trace_message(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Query(query): Query<TraceQuery>,
) -> Result<Json<MessageTrace>, Problem> {
    let admin = caller.admin(&service).await?;
    let message = match (query.message_id, query.sender_id, query.client_message_id) {
        (Some(id), None, None) => TracedMessage::Id(id),
        (None, Some(sender_id), Some(client_message_id)) => {
            TracedMessage::ByClient { sender_id, client_message_id }
        }
        _ => {
            let wrong = "give it, or sender_id and client_message_id";
            return Err(Error::invalid("message_id", wrong).into());
        }
    };
    Ok(Json(admin.trace_message(Some(message)).await?.into()))
}

/// Search a user's messages.
///
/// Those that the user itself would find (`GET /v1/messages/search`), the newest first. Paged. Leaves an audit record with
/// what was looked for.
///
/// Errors: `user_not_found`; those of `GET /v1/messages/search`. Needs the role `admin`.
#[utoipa::path(
    get, path = "/admin/v1/users/{user_id}/messages/search", tag = "Messages", security(("admin_key" = [])),
    params(UserPath, SearchQuery),
    responses(
        (status = 200, description = "A page of messages.", body = FoundMessageList),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn search_messages(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<UserPath>,
    Query(query): Query<SearchQuery>,
) -> Result<Json<FoundMessageList>, Problem> {
    let admin = caller.admin(&service).await?;
    let found = admin.search_messages(&path.user_id, query.try_into()?).await?;
    Ok(Json(found.into()))
}
