//! `ProfileService`.

use std::sync::Arc;

use imd_proto::v1;
use tonic::{Request, Response, Status, async_trait};

use super::{bearer, status::status};
use crate::{
    model::{ChangeProfile, Profile},
    service::Service,
};

pub(super) struct Profiles(pub(super) Arc<Service>);

#[async_trait]
impl v1::profile_service_server::ProfileService for Profiles {
    async fn get_profile(
        &self,
        request: Request<v1::GetProfileRequest>,
    ) -> Result<Response<v1::GetProfileResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        let found = match asked.user_id.as_str() {
            "" => self.0.own_profile(token).await,
            user_id => self.0.profile(token, user_id).await,
        };
        let profile = Some(profile(found.map_err(status)?));
        Ok(Response::new(v1::GetProfileResponse { profile }))
    }

    async fn batch_get_profiles(
        &self,
        request: Request<v1::BatchGetProfilesRequest>,
    ) -> Result<Response<v1::BatchGetProfilesResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        let found = self.0.profiles(token, &asked.user_ids).await.map_err(status)?;
        let profiles = found.into_iter().map(profile).collect();
        Ok(Response::new(v1::BatchGetProfilesResponse { profiles }))
    }

    async fn update_profile(
        &self,
        request: Request<v1::UpdateProfileRequest>,
    ) -> Result<Response<v1::UpdateProfileResponse>, Status> {
        let (metadata, _, asked) = request.into_parts();
        let v1::UpdateProfileRequest { name, avatar_url, attributes, version } = asked;
        let change = ChangeProfile { name, avatar_url, attributes, version };
        let changed = self.0.change_profile(bearer(&metadata), change).await;
        let profile = Some(profile(changed.map_err(status)?));
        Ok(Response::new(v1::UpdateProfileResponse { profile }))
    }
}

fn profile(profile: Profile) -> v1::Profile {
    let Profile { user_id, name, avatar_url, attributes, version } = profile;
    v1::Profile { user_id: user_id.to_string(), name, avatar_url, attributes, version }
}
