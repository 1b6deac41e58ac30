//! Searching messages.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    document::Refusal,
    extract::{Bearer, Json, Query, time},
    problem::Problem,
    types::FoundMessageList,
};
use crate::{
    model::{Error, Result as ServiceResult},
    service::{SearchMessages, Service},
};

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default().routes(routes!(search_messages))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SearchQuery {
    /// Words, at most 16 in 200 characters.
    #[serde(default)]
    #[param(required = true, max_length = 200, example = "holiday")]
    q: String,
    /// `user:<peer id>`, or `group:<group id>`: the only conversation to look in; absent for all.
    #[serde(default)]
    #[param(example = "user:bob")]
    conversation_id: String,
    /// The user who has to have sent the messages; absent for anybody.
    #[serde(default)]
    #[param(example = "bob")]
    from: String,
    /// Messages sent at this time or later.
    #[param(format = DateTime, example = "2026-11-23T07:30:00Z")]
    after: Option<String>,
    /// Messages sent before this time.
    #[param(format = DateTime, example = "2026-11-24T07:30:00Z")]
    before: Option<String>,
    /// The most messages to return: 20 when absent or 0; more than 50 counts as 50. A page may hold fewer, or none, and
    /// not be the last.
    #[serde(default)]
    #[param(minimum = 0, maximum = 2_147_483_647)]
    page_size: i32,
    /// `next_page_token` of the page before; absent or empty for the first page.
    #[serde(default)]
    page_token: String,
}

impl TryFrom<SearchQuery> for SearchMessages {
    type Error = Error;

    fn try_from(query: SearchQuery) -> ServiceResult<Self> {
        Ok(Self {
            q: query.q,
            conversation_id: query.conversation_id,
            from: query.from,
            after: time("after", query.after)?,
            before: time("before", query.before)?,
            page_size: query.page_size,
            page_token: query.page_token,
        })
    }
}

/// Search one's messages.
///
/// Those with all the words that are asked for, the newest first: in all conversations or one. A word is found by its
/// beginning, whatever its case, and Latin and Greek ones whatever their accents; in scripts without spaces between words,
/// two characters side by side are found wherever they stand. Of a text the first 8 KiB are searched. What the caller may
/// not see, or is gone, is never found. Paged.
///
/// Errors: `invalid_argument` for a page token of another search, too; `user_not_found`; `group_not_found`;
/// `search_disabled` where the deployment does not search (`GET /v1/info`).
#[utoipa::path(
    get, path = "/v1/messages/search", tag = "History", security(("access_token" = [])),
    params(SearchQuery),
    responses(
        (status = 200, description = "A page of messages.", body = FoundMessageList),
        Refusal<400>, Refusal<401>, Refusal<404>, Refusal<409>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn search_messages(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Query(query): Query<SearchQuery>,
) -> Result<Json<FoundMessageList>, Problem> {
    let found = service.search_messages(bearer.token(), query.try_into()?).await?;
    Ok(Json(found.into()))
}
