//! Groups: what they are, who is in them, and how one gets in.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    document::Refusal,
    extract::{Bearer, Json, Path, Query},
    paging::PageQuery,
    problem::Problem,
    types::{
        AnswerGroupRequest, CreateGroupRequest, Group, GroupList, GroupMemberList,
        GroupRequestList, JoinGroupRequest, Membership, ReaderList, UpdateGroupMemberRequest,
        UpdateGroupRequest,
    },
};
use crate::service::Service;

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default()
        .routes(routes!(list_groups, create_group))
        .routes(routes!(get_group, update_group, dissolve_group))
        .routes(routes!(list_group_members))
        .routes(routes!(add_group_member, update_group_member, remove_group_member))
        .routes(routes!(join_group))
        .routes(routes!(leave_group))
        .routes(routes!(list_group_requests))
        .routes(routes!(answer_group_request))
        .routes(routes!(list_readers))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct GroupPath {
    /// Which group.
    #[param(pattern = "^[A-Za-z0-9._@+=-]{1,64}$", example = "oslo")]
    pub(super) group_id: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct MemberPath {
    /// Which group.
    #[param(pattern = "^[A-Za-z0-9._@+=-]{1,64}$", example = "oslo")]
    pub(super) group_id: String,
    /// Which user.
    #[param(pattern = "^[A-Za-z0-9._@+=-]{1,64}$", example = "ben")]
    pub(super) user_id: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct MessagePath {
    /// A message of a group.
    #[param(pattern = "^[A-Za-z0-9_-]{21}[AQgw]$", example = "AAAAAAAAAAEAAAAAAAAAKg")]
    message_id: String,
}

/// Make a group.
///
/// The caller owns it. Its members are told (`group_changed`, `member_changed`); who does not let the caller add
/// it is invited instead (`group_request`).
///
/// Errors: `user_not_found` or `blocked` for a member who does not exist or blocks the caller;
/// `group_exists`; `group_full`.
#[utoipa::path(
    post, path = "/v1/groups", tag = "Groups", security(("access_token" = [])),
    responses(
        (status = 201, description = "The group as it was made.", body = Group),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<413>, Refusal<415>,
        Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn create_group(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Json(request): Json<CreateGroupRequest>,
) -> Result<(StatusCode, Json<Group>), Problem> {
    let group = service.create_group(bearer.token(), request.into()).await?;
    Ok((StatusCode::CREATED, Json(group.into())))
}

/// List one's groups.
///
/// The one made first first. Paged.
#[utoipa::path(
    get, path = "/v1/groups", tag = "Groups", security(("access_token" = [])), params(PageQuery),
    responses(
        (status = 200, description = "A page of groups.", body = GroupList),
        Refusal<400>, Refusal<401>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_groups(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Query(page): Query<PageQuery>,
) -> Result<Json<GroupList>, Problem> {
    let groups = service.list_groups(bearer.token(), page.page_size, &page.page_token).await?;
    Ok(Json(groups.into()))
}

/// Get a group.
///
/// Who is not a member sees it unless it is joined by invitation alone.
///
/// Errors: `group_not_found`.
#[utoipa::path(
    get, path = "/v1/groups/{group_id}", tag = "Groups", security(("access_token" = [])),
    params(GroupPath),
    responses(
        (status = 200, description = "The group.", body = Group),
        Refusal<400>, Refusal<401>, Refusal<404>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn get_group(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<GroupPath>,
) -> Result<Json<Group>, Problem> {
    Ok(Json(service.get_group(bearer.token(), &path.group_id).await?.into()))
}

/// Change a group.
///
/// For its owner and admins. Its members are told (`group_changed`).
///
/// Errors: `group_not_found`; `not_a_member`, `group_role_needed`; `version_conflict` when the group is not
/// at the version given.
#[utoipa::path(
    patch, path = "/v1/groups/{group_id}", tag = "Groups", security(("access_token" = [])),
    params(GroupPath),
    responses(
        (status = 200, description = "The group as it is now.", body = Group),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<413>, Refusal<415>,
        Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn update_group(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<GroupPath>,
    Json(request): Json<UpdateGroupRequest>,
) -> Result<Json<Group>, Problem> {
    let group = service.change_group(bearer.token(), &path.group_id, request.into()).await?;
    Ok(Json(group.into()))
}

/// Dissolve a group.
///
/// For its owner. Members keep what they have and are told (`group_changed`); nothing more is stored.
///
/// Errors: `group_not_found`; `not_a_member`, `group_role_needed`.
#[utoipa::path(
    delete, path = "/v1/groups/{group_id}", tag = "Groups", security(("access_token" = [])),
    params(GroupPath),
    responses(
        (status = 204, description = "The group is dissolved."),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn dissolve_group(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<GroupPath>,
) -> Result<StatusCode, Problem> {
    service.dissolve_group(bearer.token(), &path.group_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List the members of a group.
///
/// For its members. Paged.
///
/// Errors: `group_not_found`; `not_a_member`.
#[utoipa::path(
    get, path = "/v1/groups/{group_id}/members", tag = "Groups", security(("access_token" = [])),
    params(GroupPath, PageQuery),
    responses(
        (status = 200, description = "A page of members.", body = GroupMemberList),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_group_members(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<GroupPath>,
    Query(page): Query<PageQuery>,
) -> Result<Json<GroupMemberList>, Problem> {
    let members = service
        .list_group_members(bearer.token(), &path.group_id, page.page_size, &page.page_token)
        .await?;
    Ok(Json(members.into()))
}

/// Add a member to a group.
///
/// Owner and admins add at once who lets them (`groups_invite_from` of the user's settings), and invite who does
/// not; another member asks them to (`group_request`). Safe to repeat: a member stays one.
///
/// Errors: `group_not_found`; `user_not_found`; `not_a_member`; `blocked` for a user who blocks the caller;
/// `group_full`.
#[utoipa::path(
    put, path = "/v1/groups/{group_id}/members/{user_id}", tag = "Groups",
    security(("access_token" = [])), params(MemberPath),
    responses(
        (status = 200, description = "Whether the user is a member now.", body = Membership),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn add_group_member(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<MemberPath>,
) -> Result<Json<Membership>, Problem> {
    let added = service.add_group_member(bearer.token(), &path.group_id, &path.user_id).await?;
    Ok(Json(added.into()))
}

/// Change a member of a group.
///
/// Its role, for the owner; its nickname, for itself and those above it; its mute, for those above it.
/// Making another member the owner hands the group on: who owned it becomes an admin. The group is told
/// (`member_changed`).
///
/// Errors: `group_not_found`; `member_not_found`; `not_a_member`, `group_role_needed`; `owner_must_stay`.
#[utoipa::path(
    patch, path = "/v1/groups/{group_id}/members/{user_id}", tag = "Groups",
    security(("access_token" = [])), params(MemberPath),
    responses(
        (status = 204, description = "The member is changed."),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<413>, Refusal<415>,
        Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn update_group_member(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<MemberPath>,
    Json(request): Json<UpdateGroupMemberRequest>,
) -> Result<StatusCode, Problem> {
    service.set_group_member(bearer.token(), &path.group_id, &path.user_id, request.into()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove a member from a group.
///
/// One whose role is below the caller's, or the caller itself. Once this has returned, nothing that the
/// member sends is stored, and nothing sent from then on reaches it; the last that it gets is the entry that
/// says so (`member_changed`).
///
/// Errors: `group_not_found`; `member_not_found`; `not_a_member`, `group_role_needed`; `owner_must_stay` for
/// an owner who leaves.
#[utoipa::path(
    delete, path = "/v1/groups/{group_id}/members/{user_id}", tag = "Groups",
    security(("access_token" = [])), params(MemberPath),
    responses(
        (status = 204, description = "The user is not a member any more."),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn remove_group_member(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<MemberPath>,
) -> Result<StatusCode, Problem> {
    service.remove_group_member(bearer.token(), &path.group_id, &path.user_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Join a group.
///
/// One that is open; else its owner and admins are asked (`group_request`).
///
/// Errors: `group_not_found`; `invitation_needed`; `group_full`.
#[utoipa::path(
    post, path = "/v1/groups/{group_id}/join", tag = "Groups", security(("access_token" = [])),
    params(GroupPath),
    responses(
        (status = 200, description = "Whether the caller is a member now.", body = Membership),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<413>, Refusal<415>,
        Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn join_group(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<GroupPath>,
    Json(request): Json<JoinGroupRequest>,
) -> Result<Json<Membership>, Problem> {
    let joined = service.join_group(bearer.token(), &path.group_id, &request.note).await?;
    Ok(Json(joined.into()))
}

/// Leave a group.
///
/// Its owner hands it on or dissolves it first.
///
/// Errors: `group_not_found`; `not_a_member`; `owner_must_stay`.
#[utoipa::path(
    post, path = "/v1/groups/{group_id}/leave", tag = "Groups", security(("access_token" = [])),
    params(GroupPath),
    responses(
        (status = 204, description = "The caller is not a member any more."),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn leave_group(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<GroupPath>,
) -> Result<StatusCode, Problem> {
    service.leave_group(bearer.token(), &path.group_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List who wants to be in a group.
///
/// Who asks to join, or is invited by a member. For owner and admins. Paged.
///
/// Errors: `group_not_found`; `not_a_member`, `group_role_needed`.
#[utoipa::path(
    get, path = "/v1/groups/{group_id}/requests", tag = "Groups", security(("access_token" = [])),
    params(GroupPath, PageQuery),
    responses(
        (status = 200, description = "A page of requests.", body = GroupRequestList),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_group_requests(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<GroupPath>,
    Query(page): Query<PageQuery>,
) -> Result<Json<GroupRequestList>, Problem> {
    let requests = service
        .list_group_requests(bearer.token(), &path.group_id, page.page_size, &page.page_token)
        .await?;
    Ok(Json(requests.into()))
}

/// Answer a request to join a group.
///
/// Or an invitation by a member. For owner and admins, and for the user itself, who may decline. A user who does
/// not let whoever invites add it is asked next (`approved`). Those concerned are told (`group_request`).
///
/// Errors: `group_not_found`; `user_not_found`; `request_not_found`; `not_a_member`, `group_role_needed`;
/// `group_full`.
#[utoipa::path(
    post, path = "/v1/groups/{group_id}/requests/{user_id}", tag = "Groups",
    security(("access_token" = [])), params(MemberPath),
    responses(
        (status = 204, description = "The request is answered."),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<413>, Refusal<415>,
        Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn answer_group_request(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<MemberPath>,
    Json(answer): Json<AnswerGroupRequest>,
) -> Result<StatusCode, Problem> {
    service
        .answer_group_request(bearer.token(), &path.group_id, &path.user_id, answer.approve)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List who has read a message of a group.
///
/// Members who have marked it as read, the sender left out. For members who have the message. Paged.
///
/// Errors: `message_not_found`.
#[utoipa::path(
    get, path = "/v1/messages/{message_id}/readers", tag = "Groups", security(("access_token" = [])),
    params(MessagePath, PageQuery),
    responses(
        (status = 200, description = "A page of readers.", body = ReaderList),
        Refusal<400>, Refusal<401>, Refusal<404>, Refusal<429>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_readers(
    State(service): State<Arc<Service>>,
    bearer: Bearer,
    Path(path): Path<MessagePath>,
    Query(page): Query<PageQuery>,
) -> Result<Json<ReaderList>, Problem> {
    let readers = service
        .list_readers(bearer.token(), &path.message_id, page.page_size, &page.page_token)
        .await?;
    Ok(Json(readers.into()))
}
