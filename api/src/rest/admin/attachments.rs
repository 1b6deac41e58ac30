//! Attachments.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::Caller;
use crate::{
    rest::{
        document::Refusal,
        extract::{Json, Query, time},
        problem::Problem,
        types::admin::{AttachmentState, PurgedAttachments, StoredAttachmentList},
    },
    service::{AttachmentQuery, Service},
};

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default().routes(routes!(list_attachments)).routes(routes!(purge_attachments))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Who created them; absent or empty for everyone.
    #[serde(default)]
    #[param(example = "ann")]
    user_id: String,
    /// Those in this state alone; absent for all.
    #[param(inline)]
    state: Option<AttachmentState>,
    /// Those created at this time or later alone; absent for all.
    #[param(format = DateTime, example = "2026-11-23T07:30:00Z")]
    since: Option<String>,
    /// The most attachments to return: 100 when absent or 0; more than 1,000 counts as 1,000.
    #[serde(default)]
    #[param(minimum = 0, maximum = 2_147_483_647)]
    page_size: i32,
    /// `next_page_token` of the page before; absent or empty for the first page.
    #[serde(default)]
    page_token: String,
}

/// List attachments.
///
/// Those that a user created, or all, the newest first. Paged.
///
/// Errors: `user_not_found`. Needs the role `support`.
#[utoipa::path(
    get, path = "/admin/v1/attachments", tag = "Messages", security(("admin_key" = [])),
    params(ListQuery),
    responses(
        (status = 200, description = "A page of attachments.", body = StoredAttachmentList),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_attachments(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Query(asked): Query<ListQuery>,
) -> Result<Json<StoredAttachmentList>, Problem> {
    let admin = caller.admin(&service).await?;
    let ListQuery { user_id, state, since, page_size, page_token } = asked;
    let (state, since) = (state.map(Into::into), time("since", since)?);
    let query = AttachmentQuery { user_id, state, since };
    Ok(Json(admin.list_attachments(&query, page_size, &page_token).await?.into()))
}

/// Delete attachments that no message has.
///
/// imd does so by itself every minute, and leaves those that no message ever had alone for a day; this does not wait for
/// that day. Attachments that were created, or lost their last message, in the last ten minutes stay.
///
/// Needs the role `admin`.
#[utoipa::path(
    post, path = "/admin/v1/attachments/purge", tag = "Messages", security(("admin_key" = [])),
    responses(
        (status = 200, description = "What was deleted.", body = PurgedAttachments),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<500>, Refusal<503>,
    ),
)]
async fn purge_attachments(
    State(service): State<Arc<Service>>,
    caller: Caller,
) -> Result<Json<PurgedAttachments>, Problem> {
    let admin = caller.admin(&service).await?;
    Ok(Json(admin.purge_attachments().await?.into()))
}
