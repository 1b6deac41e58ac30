//! Webhooks: servers of the customer's that are told of events.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use futures::TryStreamExt;
use secrecy::ExposeSecret;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Caller, lines};
use crate::{
    rest::{
        document::Refusal,
        extract::{Json, Path, Query},
        problem::Problem,
        types::admin::{
            CreateWebhookRequest, ReplayWebhookRequest, ReplayedWebhook,
            RotateWebhookSecretRequest, TailedRequest, UpdateWebhookRequest, Webhook, WebhookList,
            WebhookTest, WebhookWithSecret,
        },
    },
    service::Service,
};

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default()
        .routes(routes!(list_webhooks, create_webhook))
        .routes(routes!(get_webhook, update_webhook, delete_webhook))
        .routes(routes!(test_webhook))
        .routes(routes!(pause_webhook))
        .routes(routes!(resume_webhook))
        .routes(routes!(replay_webhook))
        .routes(routes!(tail_webhook))
        .routes(routes!(rotate_webhook_secret))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct WebhookPath {
    /// The webhook's id.
    #[param(example = "0199e0a4-5b1c-7c3e-9d2f-3a1b5c7d9e0f")]
    webhook_id: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct TailQuery {
    /// For how many seconds; for as long as the caller stays when absent or 0.
    #[serde(default)]
    #[param(minimum = 0, maximum = 2_147_483_647)]
    seconds: i32,
}

/// List the webhooks.
///
/// In the order in which they were made. Not paged: there are 20 at most. Needs the role `viewer`.
#[utoipa::path(
    get, path = "/admin/v1/webhooks", tag = "Webhooks", security(("admin_key" = [])),
    responses(
        (status = 200, description = "The webhooks.", body = WebhookList),
        Refusal<401>, Refusal<403>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_webhooks(
    State(service): State<Arc<Service>>,
    caller: Caller,
) -> Result<Json<WebhookList>, Problem> {
    Ok(Json(caller.admin(&service).await?.list_webhooks().await?.into()))
}

/// Make a webhook.
///
/// It is told of what happens after the answer, on any node: at least once, and in the order of each user's and group's
/// timeline. Requests are signed as the Standard Webhooks specification has it.
///
/// Errors: `too_many_webhooks`. Needs the role `backend`.
#[utoipa::path(
    post, path = "/admin/v1/webhooks", tag = "Webhooks", security(("admin_key" = [])),
    responses(
        (status = 201, description = "The webhook, and its secret, shown this once.", body = WebhookWithSecret),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<409>, Refusal<413>, Refusal<415>, Refusal<500>,
        Refusal<503>,
    ),
)]
async fn create_webhook(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Json(asked): Json<CreateWebhookRequest>,
) -> Result<(StatusCode, Json<WebhookWithSecret>), Problem> {
    let admin = caller.admin(&service).await?;
    let CreateWebhookRequest { url, kinds, description, filter, secret } = asked;
    let filter = filter.unwrap_or_default().try_into()?;
    let (made, secret) = admin.create_webhook(&url, &description, &kinds, filter, &secret).await?;
    let made = WebhookWithSecret::new(made, secret.expose_secret());
    Ok((StatusCode::CREATED, Json(made)))
}

/// Show a webhook.
///
/// Errors: `webhook_not_found`. Needs the role `viewer`.
#[utoipa::path(
    get, path = "/admin/v1/webhooks/{webhook_id}", tag = "Webhooks", security(("admin_key" = [])),
    params(WebhookPath),
    responses(
        (status = 200, description = "The webhook.", body = Webhook),
        Refusal<401>, Refusal<403>, Refusal<404>, Refusal<500>, Refusal<503>,
    ),
)]
async fn get_webhook(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<WebhookPath>,
) -> Result<Json<Webhook>, Problem> {
    Ok(Json(caller.admin(&service).await?.get_webhook(&path.webhook_id).await?.into()))
}

/// Change a webhook.
///
/// What waits for it goes to its new URL.
///
/// Errors: `webhook_not_found`. Needs the role `backend`.
#[utoipa::path(
    patch, path = "/admin/v1/webhooks/{webhook_id}", tag = "Webhooks", security(("admin_key" = [])),
    params(WebhookPath),
    responses(
        (status = 200, description = "The webhook as it is now.", body = Webhook),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<413>, Refusal<415>, Refusal<500>,
        Refusal<503>,
    ),
)]
async fn update_webhook(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<WebhookPath>,
    Json(asked): Json<UpdateWebhookRequest>,
) -> Result<Json<Webhook>, Problem> {
    let admin = caller.admin(&service).await?;
    let UpdateWebhookRequest { url, kinds, description, filter } = asked;
    let filter = filter.map(TryInto::try_into).transpose()?;
    let changed = admin
        .update_webhook(&path.webhook_id, url.as_deref(), description, kinds.as_deref(), filter)
        .await?;
    Ok(Json(changed.into()))
}

/// Delete a webhook.
///
/// And what waits for it.
///
/// Errors: `webhook_not_found`. Needs the role `backend`.
#[utoipa::path(
    delete, path = "/admin/v1/webhooks/{webhook_id}", tag = "Webhooks", security(("admin_key" = [])),
    params(WebhookPath),
    responses(
        (status = 204, description = "It is told of nothing any more."),
        Refusal<401>, Refusal<403>, Refusal<404>, Refusal<500>, Refusal<503>,
    ),
)]
async fn delete_webhook(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<WebhookPath>,
) -> Result<StatusCode, Problem> {
    caller.admin(&service).await?.delete_webhook(&path.webhook_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tell a webhook that this is a test.
///
/// Whatever its state; answers with what it said.
///
/// Errors: `webhook_not_found`. Needs the role `backend`.
#[utoipa::path(
    post, path = "/admin/v1/webhooks/{webhook_id}/test", tag = "Webhooks", security(("admin_key" = [])),
    params(WebhookPath),
    responses(
        (status = 200, description = "What came of it.", body = WebhookTest),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<500>, Refusal<503>,
    ),
)]
async fn test_webhook(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<WebhookPath>,
) -> Result<Json<WebhookTest>, Problem> {
    Ok(Json(caller.admin(&service).await?.test_webhook(&path.webhook_id).await?.into()))
}

/// Watch the requests to a webhook.
///
/// As they are made, on whichever node: a line of JSON for each. None that was made before. Nothing of what events say is
/// shown.
///
/// Errors: `webhook_not_found`. Needs the role `backend`.
#[utoipa::path(
    get, path = "/admin/v1/webhooks/{webhook_id}/tail", tag = "Webhooks", security(("admin_key" = [])),
    params(WebhookPath, TailQuery),
    responses(
        (status = 200, description = "The requests.", body = TailedRequest, content_type = "application/x-ndjson"),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<500>, Refusal<503>,
    ),
)]
async fn tail_webhook(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<WebhookPath>,
    Query(asked): Query<TailQuery>,
) -> Result<Response, Problem> {
    let admin = caller.admin(&service).await?;
    let tail = admin.tail_webhook(&path.webhook_id, asked.seconds).await?;
    Ok(lines::answer(tail.into_stream().map_ok(TailedRequest::from)))
}

/// Have a webhook told of nothing for a while.
///
/// Its events wait, as long as they are kept.
///
/// Errors: `webhook_not_found`. Needs the role `backend`.
#[utoipa::path(
    post, path = "/admin/v1/webhooks/{webhook_id}/pause", tag = "Webhooks", security(("admin_key" = [])),
    params(WebhookPath),
    responses(
        (status = 200, description = "The webhook as it is now.", body = Webhook),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<500>, Refusal<503>,
    ),
)]
async fn pause_webhook(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<WebhookPath>,
) -> Result<Json<Webhook>, Problem> {
    Ok(Json(caller.admin(&service).await?.pause_webhook(&path.webhook_id).await?.into()))
}

/// Have a webhook told again.
///
/// At once, beginning with what waits. One that is gone is told of what happens from now on.
///
/// Errors: `webhook_not_found`. Needs the role `backend`.
#[utoipa::path(
    post, path = "/admin/v1/webhooks/{webhook_id}/resume", tag = "Webhooks", security(("admin_key" = [])),
    params(WebhookPath),
    responses(
        (status = 200, description = "The webhook as it is now.", body = Webhook),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<500>, Refusal<503>,
    ),
)]
async fn resume_webhook(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<WebhookPath>,
) -> Result<Json<Webhook>, Problem> {
    Ok(Json(caller.admin(&service).await?.resume_webhook(&path.webhook_id).await?.into()))
}

/// Have a webhook told once more.
///
/// Of what is kept of the kinds that it wants, and happened from a time on.
///
/// Errors: `webhook_not_found`. Needs the role `backend`.
#[utoipa::path(
    post, path = "/admin/v1/webhooks/{webhook_id}/replay", tag = "Webhooks", security(("admin_key" = [])),
    params(WebhookPath),
    responses(
        (status = 200, description = "How much that is.", body = ReplayedWebhook),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<413>, Refusal<415>, Refusal<500>,
        Refusal<503>,
    ),
)]
async fn replay_webhook(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<WebhookPath>,
    Json(asked): Json<ReplayWebhookRequest>,
) -> Result<Json<ReplayedWebhook>, Problem> {
    let admin = caller.admin(&service).await?;
    let events = admin.replay_webhook(&path.webhook_id, asked.from).await?;
    Ok(Json(ReplayedWebhook { events }))
}

/// Give a webhook another secret.
///
/// For a day requests are signed with the one before, too: with two signatures, of which one that is right is enough.
///
/// Errors: `webhook_not_found`. Needs the role `backend`.
#[utoipa::path(
    post, path = "/admin/v1/webhooks/{webhook_id}/secret/rotate", tag = "Webhooks", security(("admin_key" = [])),
    params(WebhookPath),
    responses(
        (status = 200, description = "The webhook, and its new secret, shown this once.", body = WebhookWithSecret),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<413>, Refusal<415>, Refusal<500>,
        Refusal<503>,
    ),
)]
async fn rotate_webhook_secret(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<WebhookPath>,
    Json(asked): Json<RotateWebhookSecretRequest>,
) -> Result<Json<WebhookWithSecret>, Problem> {
    let admin = caller.admin(&service).await?;
    let (webhook, secret) = admin.rotate_webhook_secret(&path.webhook_id, &asked.secret).await?;
    Ok(Json(WebhookWithSecret::new(webhook, secret.expose_secret())))
}
