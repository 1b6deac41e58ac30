//! Calls about groups over gRPC, answered in the JSON of REST.

use imd_proto::v1::{self, group_service_client::GroupServiceClient};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tonic::transport::Channel;

use super::{
    convert::{at, name},
    with_bearer,
};
use crate::support::api::{GroupCall, Result};

#[expect(clippy::too_many_lines, reason = "a match with an arm for each call")]
pub(super) async fn call(channel: &Channel, token: &str, call: &GroupCall) -> Result<Value> {
    let mut client = GroupServiceClient::new(channel.clone());
    Ok(match call.clone() {
        GroupCall::Create(body) => {
            let request = v1::CreateGroupRequest {
                group_id: text(&body, "group_id"),
                name: text(&body, "name"),
                member_ids: texts(&body, "member_ids"),
                join: join_rule(&body).unwrap_or_default(),
                history: number(&body, "history").unwrap_or_default(),
                attributes: body.get("attributes").map(Value::to_string).unwrap_or_default(),
            };
            let made = client.create_group(with_bearer(token, request)).await?.into_inner();
            group(&made.group.expect("a group"))
        }
        GroupCall::List => {
            let request = v1::ListGroupsRequest { page_size: 0, page_token: String::new() };
            let listed = client.list_groups(with_bearer(token, request)).await?.into_inner();
            let groups: Vec<Value> = listed.groups.iter().map(group).collect();
            json!({ "groups": groups, "next_page_token": listed.next_page_token })
        }
        GroupCall::Get(group_id) => {
            let request = v1::GetGroupRequest { group_id };
            let found = client.get_group(with_bearer(token, request)).await?.into_inner();
            group(&found.group.expect("a group"))
        }
        GroupCall::Update(group_id, body) => {
            let given = |member: &str| body.get(member).is_some().then(|| text(&body, member));
            let request = v1::UpdateGroupRequest {
                group_id,
                name: given("name"),
                announcement: given("announcement"),
                join: join_rule(&body),
                history: number(&body, "history"),
                muted: body.get("muted").and_then(Value::as_bool),
                attributes: body.get("attributes").map(Value::to_string),
                version: body.get("version").and_then(Value::as_i64),
            };
            let changed = client.update_group(with_bearer(token, request)).await?.into_inner();
            group(&changed.group.expect("a group"))
        }
        GroupCall::Dissolve(group_id) => {
            let request = v1::DissolveGroupRequest { group_id };
            client.dissolve_group(with_bearer(token, request)).await?;
            Value::Null
        }
        GroupCall::Members(group_id) => {
            let request =
                v1::ListGroupMembersRequest { group_id, page_size: 0, page_token: String::new() };
            let listed = client.list_group_members(with_bearer(token, request)).await?;
            let listed = listed.into_inner();
            let members: Vec<Value> = listed.members.iter().map(member).collect();
            json!({ "members": members, "next_page_token": listed.next_page_token })
        }
        GroupCall::Add(group_id, user_id) => {
            let request = v1::AddGroupMemberRequest { group_id, user_id };
            let added = client.add_group_member(with_bearer(token, request)).await?;
            json!({ "is_member": added.into_inner().is_member })
        }
        GroupCall::UpdateMember(group_id, user_id, body) => {
            let until = body.get("muted_until").map(|until| match until.as_str() {
                Some(until) => OffsetDateTime::parse(until, &Rfc3339).expect("a time"),
                // A time that has passed lets the member write again.
                None => OffsetDateTime::UNIX_EPOCH,
            });
            let request = v1::UpdateGroupMemberRequest {
                group_id,
                user_id,
                role: body.get("role").map(|_| {
                    let name = format!("GROUP_ROLE_{}", text(&body, "role"));
                    v1::GroupRole::from_str_name(&name).expect("a role").into()
                }),
                nickname: body.get("nickname").map(|_| text(&body, "nickname")),
                muted_until: until
                    .map(|at| prost_types::Timestamp { seconds: at.unix_timestamp(), nanos: 0 }),
            };
            client.update_group_member(with_bearer(token, request)).await?;
            Value::Null
        }
        GroupCall::Remove(group_id, user_id) => {
            let request = v1::RemoveGroupMemberRequest { group_id, user_id };
            client.remove_group_member(with_bearer(token, request)).await?;
            Value::Null
        }
        GroupCall::Join(group_id) => {
            let request = v1::JoinGroupRequest { group_id, note: String::new() };
            let joined = client.join_group(with_bearer(token, request)).await?;
            json!({ "is_member": joined.into_inner().is_member })
        }
        GroupCall::Leave(group_id) => {
            client.leave_group(with_bearer(token, v1::LeaveGroupRequest { group_id })).await?;
            Value::Null
        }
        GroupCall::Requests(group_id) => {
            let request =
                v1::ListGroupRequestsRequest { group_id, page_size: 0, page_token: String::new() };
            let listed = client.list_group_requests(with_bearer(token, request)).await?;
            let request = |request: v1::GroupRequest| json!({ "user_id": request.user_id });
            let requests: Vec<Value> =
                listed.into_inner().requests.into_iter().map(request).collect();
            json!({ "requests": requests })
        }
        GroupCall::Answer(group_id, user_id, approve) => {
            let request = v1::AnswerGroupRequestRequest { group_id, user_id, approve };
            client.answer_group_request(with_bearer(token, request)).await?;
            Value::Null
        }
        GroupCall::Readers(message_id) => {
            let request =
                v1::ListReadersRequest { message_id, page_size: 0, page_token: String::new() };
            let listed = client.list_readers(with_bearer(token, request)).await?.into_inner();
            json!({
                "user_ids": listed.user_ids,
                "read_count": listed.read_count,
                "unread_count": listed.unread_count,
                "next_page_token": listed.next_page_token,
            })
        }
    })
}

fn text(body: &Value, member: &str) -> String {
    body.get(member).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn texts(body: &Value, member: &str) -> Vec<String> {
    let given = body.get(member).and_then(Value::as_array).cloned().unwrap_or_default();
    given.iter().map(|one| one.as_str().expect("a text").to_owned()).collect()
}

fn number(body: &Value, member: &str) -> Option<i32> {
    body.get(member).map(|number| number.as_i64().and_then(|n| n.try_into().ok()).expect("an int"))
}

fn join_rule(body: &Value) -> Option<i32> {
    body.get("join")?;
    let name = format!("JOIN_RULE_{}", text(body, "join"));
    Some(v1::JoinRule::from_str_name(&name).expect("a rule").into())
}

fn group(group: &v1::Group) -> Value {
    let attributes: Value = serde_json::from_str(&group.attributes).expect("JSON");
    json!({
        "group_id": group.group_id,
        "name": group.name,
        "announcement": group.announcement,
        "join": name(group.join().as_str_name(), "JOIN_RULE_"),
        "history": group.history,
        "muted": group.muted,
        "attributes": attributes,
        "version": group.version,
        "member_count": group.member_count,
        "role": name(group.role().as_str_name(), "GROUP_ROLE_"),
    })
}

fn member(member: &v1::GroupMember) -> Value {
    json!({
        "user_id": member.user_id,
        "role": name(member.role().as_str_name(), "GROUP_ROLE_"),
        "nickname": member.nickname,
        "muted_until": member.muted_until.map(|until| at(Some(until)).to_string()),
    })
}
