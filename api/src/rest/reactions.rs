//! Reacting to messages.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    document::Refusal,
    extract::{Bearer, Json, Path, Query},
    paging::PageQuery,
    problem::Problem,
    types::{Reactions, UserReactionList},
};
use crate::service::Service;

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default()
        .routes(routes!(add_reaction, remove_reaction))
        .routes(routes!(list_reactions))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct ReactionPath {
    /// A message that the caller has.
    #[param(pattern = "^[A-Za-z0-9_-]{21}[AQgw]$", example = "AAAAAAAAAAEAAAAAAAAAKg")]
    message_id: String,
    /// An emoji, or a key of the customer's own: 1–64 bytes of UTF-8 without spaces.
    #[param(min_length = 1, max_length = 64, example = "👍")]
    reaction: String,
}

/// React to a message.
///
/// Gives a reaction of the caller's to a message that it has. A user gives each reaction once to a message, which has
/// up to 20 kinds of them. Safe to repeat. How often each kind is given stands with the message (`reactions`), and
/// every terminal of all participants is told (`reactions_changed`): at once, and then once in about two seconds
/// however many there are.
///
/// What holds for a message that is sent holds here: who takes messages from whom, and the mutes of a group. A
/// recipient whose block withholds messages does not see it. A participant who has deleted its copy is told nothing.
///
/// Errors: `message_not_found` when the caller has no such message, or it is gone; `too_many_reactions` when it has 20
/// other kinds; those of `POST /v1/messages` that say that the recipient or the group takes nothing from the caller.
#[utoipa::path(
    put, path = "/v1/messages/{message_id}/reactions/{reaction}", tag = "Messages",
    security(("access_token" = [])), params(ReactionPath),
    responses(
        (status = 200, description = "All reactions to the message.", body = Reactions),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<429>, Refusal<500>,
        Refusal<503>,
    ),
)]
async fn add_reaction(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<ReactionPath>,
) -> Result<Json<Reactions>, Problem> {
    let reactions = service.react(bearer.token(), &path.message_id, &path.reaction, true).await?;
    Ok(Json(reactions.into()))
}

/// Take a reaction back.
///
/// Safe to repeat. Whoever has the message may, also where it could write nothing.
///
/// Errors: `message_not_found` when the caller has no such message, or it is gone.
#[utoipa::path(
    delete, path = "/v1/messages/{message_id}/reactions/{reaction}", tag = "Messages",
    security(("access_token" = [])), params(ReactionPath),
    responses(
        (status = 200, description = "All reactions to the message that are left.", body = Reactions),
        Refusal<400>, Refusal<401>, Refusal<404>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn remove_reaction(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<ReactionPath>,
) -> Result<Json<Reactions>, Problem> {
    let reactions = service.react(bearer.token(), &path.message_id, &path.reaction, false).await?;
    Ok(Json(reactions.into()))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct MessagePath {
    /// A message that the caller has.
    #[param(pattern = "^[A-Za-z0-9_-]{21}[AQgw]$", example = "AAAAAAAAAAEAAAAAAAAAKg")]
    message_id: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ReactionQuery {
    /// Only this one; absent or empty for all.
    #[serde(default)]
    #[param(max_length = 64)]
    reaction: String,
}

/// List who reacts to a message.
///
/// Who reacts with what to a message that the caller has, by reaction. Paged.
///
/// Errors: `message_not_found` when the caller has no such message, or it is gone.
#[utoipa::path(
    get, path = "/v1/messages/{message_id}/reactions", tag = "Messages", security(("access_token" = [])),
    params(MessagePath, ReactionQuery, PageQuery),
    responses(
        (status = 200, description = "A page of reactions.", body = UserReactionList),
        Refusal<400>, Refusal<401>, Refusal<404>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_reactions(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<MessagePath>,
    Query(only): Query<ReactionQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Json<UserReactionList>, Problem> {
    let (token, PageQuery { page_size, page_token }) = (bearer.token(), page);
    let (message_id, reaction) = (&path.message_id, &only.reaction);
    let reactions =
        service.list_reactions(token, message_id, reaction, page_size, &page_token).await?;
    Ok(Json(reactions.into()))
}
