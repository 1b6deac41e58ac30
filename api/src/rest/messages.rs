//! Sending and recalling, and reading one's timeline once.

use std::sync::Arc;

use axum::{Extension, extract::State, http::StatusCode};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    document::Refusal,
    extract::{Bearer, Json, Path, Query},
    paging::PageQuery,
    problem::Problem,
    types::{
        AcknowledgeRequest, EditList, EditMessageRequest, EditMessageResponse, SendRequest,
        SendResponse, SignalRequest, TimelinePage,
    },
};
use crate::{
    model::ClientAddress,
    service::{EditMessage, Send as SendMessage, Service},
};

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default()
        .routes(routes!(send))
        .routes(routes!(signal))
        .routes(routes!(recall))
        .routes(routes!(edit_message))
        .routes(routes!(list_edits))
        .routes(routes!(pull_timeline))
        .routes(routes!(acknowledge))
}

/// Send a message to a user or a group.
///
/// The answer comes after the commit: an acknowledged message is stored in every participant's timeline.
///
/// Safe to repeat: the same `client_message_id` with the same recipient and content returns the first
/// result with `duplicate = true`. So a client that does not know whether a send arrived sends it again.
///
/// Errors: `user_not_found`, for a deleted user too; `blocked` when the recipient blocks the caller, where
/// the deployment says so and does not drop the message unsaid; `recipient_blocked` when the caller blocks
/// the recipient; for a group `group_not_found`, `not_a_member`, `muted`, and `group_role_needed` for a
/// member who mentions everybody; `message_not_found` when `reply_to` is no message of the conversation that the
/// caller can see, or `forward_of` none that it can see; `client_message_id_conflict` when the id was used for another recipient or content;
/// `policy_refused` when the deployment's own rules do not allow it, for a reason that `policy_code` gives;
/// `rate_limited`; `overloaded` when the server is busy, and `import_unfinished` while the
/// recipient's messages are being imported from elsewhere: try again after the time given.
#[utoipa::path(
    post, path = "/v1/messages", tag = "Messages", security(("access_token" = [])),
    responses(
        (status = 200, description = "The message is stored.", body = SendResponse),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<413>, Refusal<415>,
        Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn send(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    address: Option<Extension<ClientAddress>>,
    Json(request): Json<SendRequest>,
) -> Result<Json<SendResponse>, Problem> {
    let address = address.map(|Extension(address)| address);
    let message = SendMessage { address, ..request.try_into()? };
    let sent = service.send(bearer.token(), message).await?;
    Ok(Json(sent.into()))
}

/// Say something that is stored nowhere.
///
/// That the caller is typing, or a content of the client's own of at most 1 KiB. It goes to the terminals of
/// the user or the group that have a stream open at this moment (`signal`), at once or never. The answer does
/// not say whether anybody has got it.
///
/// Who types calls this while the user types, as often as it likes: the server passes on one signal in 3 s for
/// each session and conversation, and at most 10 in a second for each group. The typing ends for those who see
/// it 6 s after the last signal, at `STOPPED`, or with a message of the sender's in the conversation, whichever
/// comes first.
///
/// Errors: those of `POST /v1/messages` that say that the recipient or the group takes nothing from the caller;
/// `rate_limited`; `overloaded`.
#[utoipa::path(
    post, path = "/v1/signals", tag = "Messages", security(("access_token" = [])),
    responses(
        (status = 204, description = "It is on its way, if it was not one too many."),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<413>, Refusal<415>,
        Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn signal(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Json(request): Json<SignalRequest>,
) -> Result<StatusCode, Problem> {
    service.signal(bearer.token(), request.try_into()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct MessagePath {
    /// The message, as it came with its entry or in the answer to the send.
    #[param(pattern = "^[A-Za-z0-9_-]{21}[AQgw]$", example = "AAAAAAAAAAEAAAAAAAAAKg")]
    message_id: String,
}

/// Recall a message.
///
/// Every participant's copy of what the caller has sent becomes a tombstone, and every terminal of all of
/// them is told (`message_recalled`). A participant who has deleted its copy keeps it so and is told
/// nothing; a sender who has can recall the message all the same. Safe to repeat: a message that is
/// recalled stays so, and nobody is told again.
///
/// Owner and admins of a group may recall any message of it.
///
/// Errors: `message_not_found` when the caller has sent no such message; `recall_window_over` when it was
/// sent too long ago (`recall_window` of `GET /v1/info`).
#[utoipa::path(
    post, path = "/v1/messages/{message_id}/recall", tag = "Messages", security(("access_token" = [])),
    params(MessagePath),
    responses(
        (status = 204, description = "The message is recalled."),
        Refusal<400>, Refusal<401>, Refusal<404>, Refusal<409>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn recall(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<MessagePath>,
) -> Result<StatusCode, Problem> {
    service.recall(bearer.token(), &path.message_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Edit a message.
///
/// Replaces what a message says that the caller has sent, its mentions included, for all its participants. Every
/// terminal of all of them is told (`message_edited`), and whoever reads the message later reads it as it is then,
/// with `edit_no` and `edited_at`. Its place, its ids and what counts as unread stay. A participant who has deleted
/// its copy keeps it so and is told nothing.
///
/// What holds for a message that is sent holds here: the size of the content, the mentions, who takes messages from
/// whom, the mutes of a group, and the limits of a client. A recipient whose block withholds messages keeps its copy
/// as it was.
///
/// Safe to repeat: the same `client_edit_id` with the same content returns the first result with
/// `duplicate = true`.
///
/// Errors: `message_not_found` when the caller has sent no such message, or it is gone; `edit_window_over` when it
/// was sent too long ago (`edit_window` of `GET /v1/info`); `client_edit_id_conflict` when the id was used for
/// another edit of the message; those of `POST /v1/messages` that say that the recipient or the group takes nothing
/// from the caller; `rate_limited`.
#[utoipa::path(
    patch, path = "/v1/messages/{message_id}", tag = "Messages", security(("access_token" = [])),
    params(MessagePath),
    responses(
        (status = 200, description = "The message is edited.", body = EditMessageResponse),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<413>, Refusal<415>,
        Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn edit_message(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    address: Option<Extension<ClientAddress>>,
    Path(path): Path<MessagePath>,
    Json(request): Json<EditMessageRequest>,
) -> Result<Json<EditMessageResponse>, Problem> {
    let address = address.map(|Extension(address)| address);
    let edit = EditMessage { address, ..request.of(path.message_id)? };
    let edited = service.edit_message(bearer.token(), edit).await?;
    Ok(Json(edited.into()))
}

/// List the edits of a message.
///
/// What a message said before its edits, newest first, where the deployment keeps that; to whoever has the message.
/// Paged.
///
/// Errors: `message_not_found` when the caller has no such message, or it is gone.
#[utoipa::path(
    get, path = "/v1/messages/{message_id}/edits", tag = "Messages", security(("access_token" = [])),
    params(MessagePath, PageQuery),
    responses(
        (status = 200, description = "A page of edits.", body = EditList),
        Refusal<400>, Refusal<401>, Refusal<404>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_edits(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<MessagePath>,
    Query(page): Query<PageQuery>,
) -> Result<Json<EditList>, Problem> {
    let edits = service
        .list_edits(bearer.token(), &path.message_id, page.page_size, &page.page_token)
        .await?;
    Ok(Json(edits.into()))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct TimelineQuery {
    /// Where to start: a cursor; absent or `0` for the floor; `now` for behind the newest entry.
    #[serde(default)]
    #[param(pattern = r"^(|0|now|[0-9]{1,18}\.[0-9]{1,18})$", example = "1763880000.42")]
    after: String,
    /// Instead of `after`: start before the newest so many entries.
    #[serde(default)]
    #[param(minimum = 0, maximum = 2_147_483_647)]
    last: i32,
    /// The most entries to return: 100 when absent or 0; more than 500 counts as 500. An answer may hold
    /// fewer: it ends before it has more than 512 KiB of bodies.
    #[serde(default)]
    #[param(minimum = 0, maximum = 2_147_483_647)]
    limit: i32,
}

/// Read one's timeline once.
///
/// The same read as that of `GET /v1/events`, for clients that poll: the entries after the cursor, oldest
/// first.
#[utoipa::path(
    get, path = "/v1/timeline", tag = "Messages", security(("access_token" = [])),
    params(TimelineQuery),
    responses(
        (status = 200, description = "The entries.", body = TimelinePage),
        Refusal<400>, Refusal<401>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn pull_timeline(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Query(query): Query<TimelineQuery>,
) -> Result<Json<TimelinePage>, Problem> {
    let read = service.pull_timeline(bearer.token(), &query.after, query.last, query.limit).await?;
    Ok(Json(read.into()))
}

/// Say how far one's terminal has got.
///
/// For a stream with `acknowledging`: at the latest some seconds after each entry that is stored, and when the terminal
/// takes leave of the stream. A cursor of before changes nothing. Nothing is delivered by it or kept back.
#[utoipa::path(
    put, path = "/v1/timeline/cursor", tag = "Messages", security(("access_token" = [])),
    responses(
        (status = 204, description = "It is noted."),
        Refusal<400>, Refusal<401>, Refusal<413>, Refusal<415>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn acknowledge(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Json(request): Json<AcknowledgeRequest>,
) -> Result<StatusCode, Problem> {
    service.acknowledge(bearer.token(), &request.cursor).await?;
    Ok(StatusCode::NO_CONTENT)
}
