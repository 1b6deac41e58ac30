//! Calls about profiles over gRPC, answered in the JSON of REST.

use imd_proto::v1::{self, profile_service_client::ProfileServiceClient};
use serde_json::{Value, json};
use tonic::transport::Channel;

use super::with_bearer;
use crate::support::api::{ProfileCall, Result};

pub(super) async fn call(channel: &Channel, token: &str, call: &ProfileCall) -> Result<Value> {
    let mut client = ProfileServiceClient::new(channel.clone());
    let get = |user_id: &str| v1::GetProfileRequest { user_id: user_id.to_owned() };
    Ok(match call {
        ProfileCall::Own => {
            let got = client.get_profile(with_bearer(token, get(""))).await?.into_inner();
            profile(got.profile)
        }
        ProfileCall::Get(user) => {
            let got = client.get_profile(with_bearer(token, get(user))).await?.into_inner();
            profile(got.profile)
        }
        ProfileCall::List(users) => {
            let request = v1::BatchGetProfilesRequest { user_ids: users.clone() };
            let got = client.batch_get_profiles(with_bearer(token, request)).await?.into_inner();
            let profiles: Vec<Value> =
                got.profiles.into_iter().map(|one| profile(Some(one))).collect();
            json!({ "profiles": profiles })
        }
        ProfileCall::Update(body) => {
            let text = |member: &str| body.get(member).and_then(Value::as_str).map(str::to_owned);
            let request = v1::UpdateProfileRequest {
                name: text("name"),
                avatar_url: text("avatar_url"),
                attributes: body.get("attributes").map(ToString::to_string),
                version: body.get("version").and_then(Value::as_i64),
            };
            let updated = client.update_profile(with_bearer(token, request)).await?.into_inner();
            profile(updated.profile)
        }
    })
}

fn profile(profile: Option<v1::Profile>) -> Value {
    let v1::Profile { user_id, name, avatar_url, attributes, version } =
        profile.expect("a profile");
    let attributes: Value = serde_json::from_str(&attributes).expect("JSON");
    json!({
        "user_id": user_id,
        "name": name,
        "avatar_url": avatar_url,
        "attributes": attributes,
        "version": version,
    })
}
