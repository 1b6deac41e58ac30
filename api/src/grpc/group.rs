//! `GroupService`.

use std::sync::Arc;

use imd_proto::v1;
use tonic::{Request, Response, Status, async_trait};

use super::{bearer, convert, status::status};
use crate::{
    model::{Error, Group, GroupMember, GroupRequest, GroupRole, JoinRule},
    service::{ChangeGroup, CreateGroup, Joined, MemberSettings, Service},
};

pub(super) struct Groups(pub(super) Arc<Service>);

#[async_trait]
impl v1::group_service_server::GroupService for Groups {
    async fn create_group(
        &self,
        request: Request<v1::CreateGroupRequest>,
    ) -> Result<Response<v1::CreateGroupResponse>, Status> {
        let (metadata, _, asked) = request.into_parts();
        let made = self.0.create_group(bearer(&metadata), create(asked)).await.map_err(status)?;
        Ok(Response::new(v1::CreateGroupResponse { group: Some(group(made)) }))
    }

    async fn get_group(
        &self,
        request: Request<v1::GetGroupRequest>,
    ) -> Result<Response<v1::GetGroupResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        let found = self.0.get_group(token, &asked.group_id).await.map_err(status)?;
        Ok(Response::new(v1::GetGroupResponse { group: Some(group(found)) }))
    }

    async fn list_groups(
        &self,
        request: Request<v1::ListGroupsRequest>,
    ) -> Result<Response<v1::ListGroupsResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        let page = self.0.list_groups(token, asked.page_size, &asked.page_token).await;
        let page = page.map_err(status)?;
        Ok(Response::new(v1::ListGroupsResponse {
            groups: page.items.into_iter().map(group).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }))
    }

    async fn update_group(
        &self,
        request: Request<v1::UpdateGroupRequest>,
    ) -> Result<Response<v1::UpdateGroupResponse>, Status> {
        let (metadata, _, asked) = request.into_parts();
        let (group_id, change) = change(asked);
        let changed = self.0.change_group(bearer(&metadata), &group_id, change).await;
        let group = Some(group(changed.map_err(status)?));
        Ok(Response::new(v1::UpdateGroupResponse { group }))
    }

    async fn dissolve_group(
        &self,
        request: Request<v1::DissolveGroupRequest>,
    ) -> Result<Response<v1::DissolveGroupResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        self.0.dissolve_group(token, &asked.group_id).await.map_err(status)?;
        Ok(Response::new(v1::DissolveGroupResponse {}))
    }

    async fn list_group_members(
        &self,
        request: Request<v1::ListGroupMembersRequest>,
    ) -> Result<Response<v1::ListGroupMembersResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        let page = self
            .0
            .list_group_members(token, &asked.group_id, asked.page_size, &asked.page_token)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::ListGroupMembersResponse {
            members: page.items.into_iter().map(member).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }))
    }

    async fn add_group_member(
        &self,
        request: Request<v1::AddGroupMemberRequest>,
    ) -> Result<Response<v1::AddGroupMemberResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        let added = self.0.add_group_member(token, &asked.group_id, &asked.user_id).await;
        let is_member = added.map_err(status)? == Joined::Member;
        Ok(Response::new(v1::AddGroupMemberResponse { is_member }))
    }

    async fn remove_group_member(
        &self,
        request: Request<v1::RemoveGroupMemberRequest>,
    ) -> Result<Response<v1::RemoveGroupMemberResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        let removed = self.0.remove_group_member(token, &asked.group_id, &asked.user_id).await;
        removed.map_err(status)?;
        Ok(Response::new(v1::RemoveGroupMemberResponse {}))
    }

    async fn update_group_member(
        &self,
        request: Request<v1::UpdateGroupMemberRequest>,
    ) -> Result<Response<v1::UpdateGroupMemberResponse>, Status> {
        let (metadata, _, asked) = request.into_parts();
        let settings = member_settings(&asked).map_err(status)?;
        let (group_id, user_id) = (asked.group_id, asked.user_id);
        let changed =
            self.0.set_group_member(bearer(&metadata), &group_id, &user_id, settings).await;
        changed.map_err(status)?;
        Ok(Response::new(v1::UpdateGroupMemberResponse {}))
    }

    async fn join_group(
        &self,
        request: Request<v1::JoinGroupRequest>,
    ) -> Result<Response<v1::JoinGroupResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        let joined = self.0.join_group(token, &asked.group_id, &asked.note).await;
        let is_member = joined.map_err(status)? == Joined::Member;
        Ok(Response::new(v1::JoinGroupResponse { is_member }))
    }

    async fn leave_group(
        &self,
        request: Request<v1::LeaveGroupRequest>,
    ) -> Result<Response<v1::LeaveGroupResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        self.0.leave_group(token, &asked.group_id).await.map_err(status)?;
        Ok(Response::new(v1::LeaveGroupResponse {}))
    }

    async fn list_group_requests(
        &self,
        request: Request<v1::ListGroupRequestsRequest>,
    ) -> Result<Response<v1::ListGroupRequestsResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        let page = self
            .0
            .list_group_requests(token, &asked.group_id, asked.page_size, &asked.page_token)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::ListGroupRequestsResponse {
            requests: page.items.into_iter().map(group_request).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }))
    }

    async fn answer_group_request(
        &self,
        request: Request<v1::AnswerGroupRequestRequest>,
    ) -> Result<Response<v1::AnswerGroupRequestResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        self.0
            .answer_group_request(token, &asked.group_id, &asked.user_id, asked.approve)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::AnswerGroupRequestResponse {}))
    }

    async fn list_readers(
        &self,
        request: Request<v1::ListReadersRequest>,
    ) -> Result<Response<v1::ListReadersResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        let readers = self
            .0
            .list_readers(token, &asked.message_id, asked.page_size, &asked.page_token)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::ListReadersResponse {
            user_ids: readers.page.items.iter().map(ToString::to_string).collect(),
            read_count: readers.read,
            unread_count: readers.unread,
            next_page_token: readers.page.next_page_token.unwrap_or_default(),
        }))
    }
}

pub(super) fn create(asked: v1::CreateGroupRequest) -> CreateGroup {
    CreateGroup {
        join: join_rule(asked.join()),
        group_id: asked.group_id,
        name: asked.name,
        member_ids: asked.member_ids,
        history: asked.history,
        attributes: asked.attributes,
    }
}

/// Which group is to change, and what of it.
pub(super) fn change(asked: v1::UpdateGroupRequest) -> (String, ChangeGroup) {
    let change = ChangeGroup {
        join: asked.join.map(|_| join_rule(asked.join())),
        name: asked.name,
        announcement: asked.announcement,
        history: asked.history,
        muted: asked.muted,
        attributes: asked.attributes,
        version: asked.version,
    };
    (asked.group_id, change)
}

pub(super) fn member_settings(
    asked: &v1::UpdateGroupMemberRequest,
) -> Result<MemberSettings, Error> {
    Ok(MemberSettings {
        role: asked.role.map(|_| role(asked.role())).transpose()?,
        nickname: asked.nickname.clone(),
        muted_until: asked
            .muted_until
            .map(|at| convert::time("muted_until", at).map(Some))
            .transpose()?,
    })
}

pub(super) fn join_rule(rule: v1::JoinRule) -> JoinRule {
    match rule {
        v1::JoinRule::Unspecified | v1::JoinRule::Invite => JoinRule::Invite,
        v1::JoinRule::Request => JoinRule::Request,
        v1::JoinRule::Open => JoinRule::Open,
    }
}

pub(super) fn role(role: v1::GroupRole) -> Result<GroupRole, Error> {
    match role {
        v1::GroupRole::Unspecified => Err(Error::invalid("role", "must be MEMBER, ADMIN or OWNER")),
        v1::GroupRole::Member => Ok(GroupRole::Member),
        v1::GroupRole::Admin => Ok(GroupRole::Admin),
        v1::GroupRole::Owner => Ok(GroupRole::Owner),
    }
}

pub(super) fn group(group: Group) -> v1::Group {
    v1::Group {
        group_id: group.group_id.to_string(),
        name: group.profile.name,
        announcement: group.profile.announcement,
        // The numbers of both are the contract's.
        join: group.profile.join as i32,
        history: group.profile.history,
        muted: group.profile.muted,
        attributes: group.profile.attributes,
        version: group.version,
        member_count: group.members,
        created_at: Some(convert::timestamp(group.created_at)),
        role: group.role.map_or(0, |role| role as i32),
    }
}

pub(super) fn member(member: GroupMember) -> v1::GroupMember {
    v1::GroupMember {
        user_id: member.user_id.to_string(),
        role: member.role as i32,
        nickname: member.nickname,
        muted_until: member.muted_until.map(convert::timestamp),
        joined_at: Some(convert::timestamp(member.joined_at)),
    }
}

fn group_request(request: GroupRequest) -> v1::GroupRequest {
    v1::GroupRequest {
        user_id: request.user_id.to_string(),
        invited_by: request.invited_by.map(|by| by.to_string()).unwrap_or_default(),
        note: request.note,
        approved: request.approved,
        created_at: Some(convert::timestamp(request.created_at)),
    }
}
