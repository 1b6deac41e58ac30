//! Contacts, and what one takes from whom.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    document::Refusal,
    extract::{Bearer, Json, Path, Query},
    problem::Problem,
    types::{
        Contact, ContactList, ContactState, SetContactRequest, Settings, UpdateSettingsRequest,
    },
};
use crate::service::Service;

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default()
        .routes(routes!(list_contacts))
        .routes(routes!(set_contact, remove_contact))
        .routes(routes!(get_settings, update_settings))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ContactQuery {
    /// The most contacts to return: 50 when absent or 0; more than 1,000 counts as so many.
    #[serde(default)]
    #[param(minimum = 0, maximum = 2_147_483_647)]
    pub(super) page_size: i32,
    /// `next_page_token` of the page before; absent or empty for the first page.
    #[serde(default)]
    pub(super) page_token: String,
    /// Those in this state alone; absent for all.
    #[param(inline)]
    pub(super) state: Option<ContactState>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct UserPath {
    /// Another user.
    #[param(pattern = "^[A-Za-z0-9._@+=-]{1,64}$", example = "ben")]
    user_id: String,
}

/// List one's contacts.
///
/// And the requests that wait for an answer, told apart by `state`. Paged.
#[utoipa::path(
    get, path = "/v1/contacts", tag = "Contacts", security(("access_token" = [])),
    params(ContactQuery),
    responses(
        (status = 200, description = "A page of contacts.", body = ContactList),
        Refusal<400>, Refusal<401>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_contacts(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Query(query): Query<ContactQuery>,
) -> Result<Json<ContactList>, Problem> {
    let state = query.state.map(Into::into);
    let contacts =
        service.list_contacts(bearer.token(), state, query.page_size, &query.page_token).await?;
    Ok(Json(contacts.into()))
}

/// Ask a user to be a contact, or agree.
///
/// Or change the remark of one who is known already. Every terminal of both is told (`contact_changed`). Safe
/// to repeat: what is so already stays, and nobody is told again.
///
/// Errors: `invalid_argument` for one's own id, too; `user_not_found`; `blocked` for a user who blocks the
/// caller, where the deployment says so; `recipient_blocked` for one whom the caller blocks;
/// `too_many_contacts`.
#[utoipa::path(
    put, path = "/v1/contacts/{user_id}", tag = "Contacts", security(("access_token" = [])),
    params(UserPath),
    responses(
        (status = 200, description = "How the two stand to each other now.", body = Contact),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<413>, Refusal<415>,
        Refusal<500>, Refusal<503>,
    ),
)]
async fn set_contact(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<UserPath>,
    Json(request): Json<SetContactRequest>,
) -> Result<Json<Contact>, Problem> {
    let SetContactRequest { remark, note } = request;
    let contact = service.set_contact(bearer.token(), &path.user_id, remark, note).await?;
    Ok(Json(contact.into()))
}

/// Remove a contact.
///
/// Or take a request back, or decline one. Once it has returned, nothing that the user sends arrives where the
/// caller takes messages from contacts alone. Every terminal of both is told (`contact_changed`). Safe to
/// repeat. The user may be one that was deleted.
///
/// Errors: `user_not_found`.
#[utoipa::path(
    delete, path = "/v1/contacts/{user_id}", tag = "Contacts", security(("access_token" = [])),
    params(UserPath),
    responses(
        (status = 204, description = "The user is no contact."),
        Refusal<400>, Refusal<401>, Refusal<404>, Refusal<500>, Refusal<503>,
    ),
)]
async fn remove_contact(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<UserPath>,
) -> Result<StatusCode, Problem> {
    service.remove_contact(bearer.token(), &path.user_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Get what one takes from whom.
#[utoipa::path(
    get, path = "/v1/settings", tag = "Contacts", security(("access_token" = [])),
    responses(
        (status = 200, description = "What holds.", body = Settings),
        Refusal<401>, Refusal<500>, Refusal<503>,
    ),
)]
async fn get_settings(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
) -> Result<Json<Settings>, Problem> {
    Ok(Json((&service.settings(bearer.token()).await?).into()))
}

/// Change what one takes from whom.
///
/// Once it has returned, it holds on every node. Every terminal of the caller is told (`settings_changed`).
#[utoipa::path(
    patch, path = "/v1/settings", tag = "Contacts", security(("access_token" = [])),
    responses(
        (status = 200, description = "What holds now.", body = Settings),
        Refusal<400>, Refusal<401>, Refusal<413>, Refusal<415>, Refusal<500>, Refusal<503>,
    ),
)]
async fn update_settings(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Json(request): Json<UpdateSettingsRequest>,
) -> Result<Json<Settings>, Problem> {
    let settings = service.change_settings(bearer.token(), request.into()).await?;
    Ok(Json((&settings).into()))
}
