//! Everybody's groups.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::Caller;
use crate::{
    rest::{
        document::Refusal,
        extract::{Json, Path, Query, time},
        groups::{GroupPath, MemberPath},
        paging::PageQuery,
        problem::Problem,
        types::{
            GroupMemberList, UpdateGroupMemberRequest, UpdateGroupRequest,
            admin::{
                AddMembersRequest, AddedMembers, AdminGroup, AdminGroupList,
                CreateAdminGroupRequest,
            },
        },
    },
    service::Service,
};

pub(super) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::default()
        .routes(routes!(list_groups, create_group))
        .routes(routes!(get_group, update_group, dissolve_group))
        .routes(routes!(list_group_members, add_group_members))
        .routes(routes!(update_group_member, remove_group_member))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Those of this user alone; absent or empty for all.
    #[serde(default)]
    user_id: String,
    /// Those made at this time or later alone; absent for all.
    #[param(format = DateTime, example = "2026-11-23T07:30:00Z")]
    since: Option<String>,
    /// The most groups to return: 100 when absent or 0; more than 1,000 counts as so many.
    #[serde(default)]
    #[param(minimum = 0, maximum = 2_147_483_647)]
    page_size: i32,
    /// `next_page_token` of the page before; absent or empty for the first page.
    #[serde(default)]
    page_token: String,
}

/// List the groups.
///
/// The one made first first, dissolved ones too. Paged. Errors: `user_not_found`. Needs the role `viewer`.
#[utoipa::path(
    get, path = "/admin/v1/groups", tag = "Groups", security(("admin_key" = [])), params(ListQuery),
    responses(
        (status = 200, description = "A page of groups.", body = AdminGroupList),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_groups(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Query(asked): Query<ListQuery>,
) -> Result<Json<AdminGroupList>, Problem> {
    let admin = caller.admin(&service).await?;
    let since = time("since", asked.since)?;
    let page = admin.list_groups(&asked.user_id, since, asked.page_size, &asked.page_token).await?;
    Ok(Json(page.into()))
}

/// Make a group for an owner.
///
/// Errors: `user_not_found`, for the owner too; `group_exists`; `group_full`. Needs the role `backend`.
#[utoipa::path(
    post, path = "/admin/v1/groups", tag = "Groups", security(("admin_key" = [])),
    responses(
        (status = 201, description = "The group as it was made.", body = AdminGroup),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<413>, Refusal<415>,
        Refusal<500>, Refusal<503>,
    ),
)]
async fn create_group(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Json(request): Json<CreateAdminGroupRequest>,
) -> Result<(StatusCode, Json<AdminGroup>), Problem> {
    let admin = caller.admin(&service).await?;
    let owner = request.owner_id().to_owned();
    let made = admin.create_group(&owner, request.group.into()).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// Get a group.
///
/// Or what is left of a dissolved one. Errors: `group_not_found`. Needs the role `viewer`.
#[utoipa::path(
    get, path = "/admin/v1/groups/{group_id}", tag = "Groups", security(("admin_key" = [])),
    params(GroupPath),
    responses(
        (status = 200, description = "The group.", body = AdminGroup),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<500>, Refusal<503>,
    ),
)]
async fn get_group(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<GroupPath>,
) -> Result<Json<AdminGroup>, Problem> {
    Ok(Json(caller.admin(&service).await?.get_group(&path.group_id).await?.into()))
}

/// Change a group.
///
/// As its owner could; its members are told (`group_changed`).
///
/// Errors: `group_not_found`; `version_conflict`. Needs the role `support`.
#[utoipa::path(
    patch, path = "/admin/v1/groups/{group_id}", tag = "Groups", security(("admin_key" = [])),
    params(GroupPath),
    responses(
        (status = 200, description = "The group as it is now.", body = AdminGroup),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<413>, Refusal<415>,
        Refusal<500>, Refusal<503>,
    ),
)]
async fn update_group(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<GroupPath>,
    Json(request): Json<UpdateGroupRequest>,
) -> Result<Json<AdminGroup>, Problem> {
    let admin = caller.admin(&service).await?;
    Ok(Json(admin.change_group(&path.group_id, request.into()).await?.into()))
}

/// Dissolve a group.
///
/// Members keep what they have, and are told (`group_changed`).
///
/// Errors: `group_not_found`. Needs the role `backend`.
#[utoipa::path(
    delete, path = "/admin/v1/groups/{group_id}", tag = "Groups", security(("admin_key" = [])),
    params(GroupPath),
    responses(
        (status = 204, description = "The group is dissolved."),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<500>, Refusal<503>,
    ),
)]
async fn dissolve_group(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<GroupPath>,
) -> Result<StatusCode, Problem> {
    caller.admin(&service).await?.dissolve_group(&path.group_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List the members of a group.
///
/// Also those that a dissolved one had. Paged. Errors: `group_not_found`. Needs the role `viewer`.
#[utoipa::path(
    get, path = "/admin/v1/groups/{group_id}/members", tag = "Groups", security(("admin_key" = [])),
    params(GroupPath, PageQuery),
    responses(
        (status = 200, description = "A page of members.", body = GroupMemberList),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<500>, Refusal<503>,
    ),
)]
async fn list_group_members(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<GroupPath>,
    Query(page): Query<PageQuery>,
) -> Result<Json<GroupMemberList>, Problem> {
    let admin = caller.admin(&service).await?;
    let members =
        admin.list_group_members(&path.group_id, page.page_size, &page.page_token).await?;
    Ok(Json(members.into()))
}

/// Make users members of a group.
///
/// All or none, whatever its rule of joining. Those who are members already stay as they are.
///
/// Errors: `user_not_found`; `group_not_found`; `group_full`. Needs the role `support`.
#[utoipa::path(
    post, path = "/admin/v1/groups/{group_id}/members", tag = "Groups", security(("admin_key" = [])),
    params(GroupPath),
    responses(
        (status = 200, description = "Who became a member.", body = AddedMembers),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<413>, Refusal<415>,
        Refusal<500>, Refusal<503>,
    ),
)]
async fn add_group_members(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<GroupPath>,
    Json(request): Json<AddMembersRequest>,
) -> Result<Json<AddedMembers>, Problem> {
    let admin = caller.admin(&service).await?;
    Ok(Json(admin.add_group_members(&path.group_id, &request.into_ids()).await?.into()))
}

/// Change a member of a group.
///
/// Its role, its nickname, its mute. Making another member the owner hands the group on.
///
/// Errors: `group_not_found`, `member_not_found`; `owner_must_stay` for another role of the owner. Needs the role
/// `support`.
#[utoipa::path(
    patch, path = "/admin/v1/groups/{group_id}/members/{user_id}", tag = "Groups",
    security(("admin_key" = [])), params(MemberPath),
    responses(
        (status = 204, description = "It is changed."),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<413>, Refusal<415>,
        Refusal<500>, Refusal<503>,
    ),
)]
async fn update_group_member(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<MemberPath>,
    Json(request): Json<UpdateGroupMemberRequest>,
) -> Result<StatusCode, Problem> {
    let admin = caller.admin(&service).await?;
    admin.set_group_member(&path.group_id, &path.user_id, request.into()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove a member from a group.
///
/// Errors: `group_not_found`, `member_not_found`; `owner_must_stay` for the owner. Needs the role `support`.
#[utoipa::path(
    delete, path = "/admin/v1/groups/{group_id}/members/{user_id}", tag = "Groups",
    security(("admin_key" = [])), params(MemberPath),
    responses(
        (status = 204, description = "It is no member."),
        Refusal<400>, Refusal<401>, Refusal<403>, Refusal<404>, Refusal<409>, Refusal<500>, Refusal<503>,
    ),
)]
async fn remove_group_member(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(path): Path<MemberPath>,
) -> Result<StatusCode, Problem> {
    caller.admin(&service).await?.remove_group_member(&path.group_id, &path.user_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
