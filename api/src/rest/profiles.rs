//! What users show of themselves.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    document::Refusal,
    extract::{Bearer, Json, Path, Query},
    presence::split,
    problem::Problem,
    types::{Profile, ProfileList, UpdateProfileRequest},
};
use crate::service::Service;

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default()
        .routes(routes!(get_own_profile, update_profile))
        .routes(routes!(get_profile))
        .routes(routes!(list_profiles))
}

/// Get one's own profile.
#[utoipa::path(
    get, path = "/v1/profile", tag = "Profiles", security(("access_token" = [])),
    responses(
        (status = 200, description = "The profile.", body = Profile),
        Refusal<401>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn get_own_profile(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
) -> Result<Json<Profile>, Problem> {
    Ok(Json(service.own_profile(bearer.token()).await?.into()))
}

/// Change one's own profile.
///
/// Every terminal of the caller is told at once (`profile_changed`), and soon every user with whom it has a
/// conversation or is in a group: within seconds for the first change, and once a minute for many. Safe to repeat: what
/// is so already stays, and nobody is told again.
///
/// The name of a user that logs in by assertions is that of the last assertion that had one.
///
/// Errors: `version_conflict` when the profile has changed since the given version.
#[utoipa::path(
    patch, path = "/v1/profile", tag = "Profiles", security(("access_token" = [])),
    responses(
        (status = 200, description = "What it is now.", body = Profile),
        Refusal<400>, Refusal<401>, Refusal<409>, Refusal<413>, Refusal<415>, Refusal<429>, Refusal<500>,
        Refusal<503>,
    ),
)]
async fn update_profile(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Json(request): Json<UpdateProfileRequest>,
) -> Result<Json<Profile>, Problem> {
    Ok(Json(service.change_profile(bearer.token(), request.into()).await?.into()))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct UserPath {
    /// Which user.
    #[param(pattern = "^[A-Za-z0-9._@+=-]{1,64}$", example = "bob")]
    user_id: String,
}

/// Get the profile of a user.
///
/// A user shows its own to those who may write to it, to its contacts and those whom it asks to be one, and to the
/// members of its groups.
///
/// Errors: `user_not_found`, for a deleted user too; `blocked` when the user blocks the caller, where the deployment
/// says so; `not_accepted` when it takes messages from its contacts alone, or from nobody, and is in no group with the
/// caller.
#[utoipa::path(
    get, path = "/v1/users/{user_id}", tag = "Profiles", security(("access_token" = [])), params(UserPath),
    responses(
        (status = 200, description = "The profile.", body = Profile),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn get_profile(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<UserPath>,
) -> Result<Json<Profile>, Problem> {
    Ok(Json(service.profile(bearer.token(), &path.user_id).await?.into()))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct UsersQuery {
    /// Up to 200 ids with commas between them.
    #[serde(default)]
    #[param(
        required = true,
        pattern = "^[A-Za-z0-9._@+=-]{1,64}(,[A-Za-z0-9._@+=-]{1,64}){0,199}$",
        example = "bob,carl"
    )]
    user_ids: String,
}

/// Get the profiles of several users.
///
/// By id. Users that there are not, and whose profile the caller may not see, are left out.
#[utoipa::path(
    get, path = "/v1/users", tag = "Profiles", security(("access_token" = [])), params(UsersQuery),
    responses(
        (status = 200, description = "The profiles.", body = ProfileList),
        Refusal<400>, Refusal<401>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_profiles(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Query(query): Query<UsersQuery>,
) -> Result<Json<ProfileList>, Problem> {
    Ok(Json(service.profiles(bearer.token(), &split(&query.user_ids)).await?.into()))
}
