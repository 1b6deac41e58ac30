//! Messages that are to be sent later.

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
        ScheduleRequest, ScheduleResponse, ScheduledMessage, ScheduledMessageList,
        UpdateScheduledRequest,
    },
};
use crate::{
    model::ClientAddress,
    service::{Send as SendMessage, Service, UpdateScheduled},
};

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default()
        .routes(routes!(schedule_message, list_scheduled_messages))
        .routes(routes!(update_scheduled_message, cancel_scheduled_message))
}

/// Schedule a message.
///
/// It is sent once, within a few seconds of its time, whether the caller is logged in or not. What is asked of a
/// message when it is sent, such as blocks, mutes and limits, is asked when it is due: one that is refused then stays
/// in the list and says why, until it is changed or taken back. Every terminal of the caller is told of what becomes of
/// it (`scheduled_changed`).
///
/// Safe to repeat: the same `client_message_id` with the same recipient, content and time is scheduled once. The
/// message is sent with that id.
///
/// Errors: `user_not_found`, `group_not_found`, `message_not_found` as with `POST /v1/messages`;
/// `client_message_id_conflict` when the id is that of another scheduled message; `too_many_scheduled` when 100 of the
/// caller's are there.
#[utoipa::path(
    post, path = "/v1/scheduled_messages", tag = "Messages", security(("access_token" = [])),
    responses(
        (status = 200, description = "The message is scheduled.", body = ScheduleResponse),
        Refusal<400>, Refusal<401>, Refusal<404>, Refusal<409>, Refusal<413>, Refusal<415>, Refusal<429>,
        Refusal<500>, Refusal<503>,
    ),
)]
async fn schedule_message(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    address: Option<Extension<ClientAddress>>,
    Json(request): Json<ScheduleRequest>,
) -> Result<Json<ScheduleResponse>, Problem> {
    let ScheduleRequest { message, send_at } = request;
    let address = address.map(|Extension(address)| address);
    let message = SendMessage { address, ..message.try_into()? };
    let scheduled = service.schedule(bearer.token(), message, send_at).await?;
    Ok(Json(scheduled.into()))
}

/// List one's scheduled messages.
///
/// Those that wait to be sent or were refused, in the order of their times. Paged.
#[utoipa::path(
    get, path = "/v1/scheduled_messages", tag = "Messages", security(("access_token" = [])), params(PageQuery),
    responses(
        (status = 200, description = "A page of messages.", body = ScheduledMessageList),
        Refusal<400>, Refusal<401>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_scheduled_messages(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Query(page): Query<PageQuery>,
) -> Result<Json<ScheduledMessageList>, Problem> {
    let messages = service.list_scheduled(bearer.token(), page.page_size, &page.page_token).await?;
    Ok(Json(messages.into()))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct ScheduledPath {
    /// The id that the client gave the message.
    #[param(format = Uuid, example = "0199e0a4-5b1c-7c3e-9d2f-3a1b5c7d9e12")]
    client_message_id: String,
}

/// Change a scheduled message.
///
/// What it says, or when it is sent; one that was refused is tried once more.
///
/// Errors: `scheduled_not_found` when the caller has no such message, or it is on its way.
#[utoipa::path(
    patch, path = "/v1/scheduled_messages/{client_message_id}", tag = "Messages",
    security(("access_token" = [])), params(ScheduledPath),
    responses(
        (status = 200, description = "What it is now.", body = ScheduledMessage),
        Refusal<400>, Refusal<401>, Refusal<404>, Refusal<413>, Refusal<415>, Refusal<429>, Refusal<500>,
        Refusal<503>,
    ),
)]
async fn update_scheduled_message(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    address: Option<Extension<ClientAddress>>,
    Path(path): Path<ScheduledPath>,
    Json(request): Json<UpdateScheduledRequest>,
) -> Result<Json<ScheduledMessage>, Problem> {
    let (token, id) = (bearer.token(), &path.client_message_id);
    let address = address.map(|Extension(address)| address);
    let update = UpdateScheduled { address, ..request.try_into()? };
    let changed = service.change_scheduled(token, id, update).await?;
    Ok(Json((&changed).into()))
}

/// Take a scheduled message back.
///
/// Once this has returned it is not sent.
///
/// Errors: `scheduled_not_found` when the caller has no such message, or it is on its way.
#[utoipa::path(
    delete, path = "/v1/scheduled_messages/{client_message_id}", tag = "Messages",
    security(("access_token" = [])), params(ScheduledPath),
    responses(
        (status = 204, description = "It is not sent."),
        Refusal<400>, Refusal<401>, Refusal<404>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn cancel_scheduled_message(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<ScheduledPath>,
) -> Result<StatusCode, Problem> {
    service.cancel_scheduled(bearer.token(), &path.client_message_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
