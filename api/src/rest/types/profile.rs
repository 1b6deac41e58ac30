//! What users show of themselves.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::id::UserId;
use crate::model;

/// What a user shows of itself.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "user_id": "bob",
    "name": "Bob",
    "avatar_url": "https://example.com/bob.png",
    "attributes": { "pronouns": "he/him" },
    "version": 3,
})))]
pub(crate) struct Profile {
    user_id: UserId,
    /// What people call the user: up to 64 characters on one line; may be empty.
    name: String,
    /// Where a picture of the user is: an `https` or `http` URL; empty for none.
    avatar_url: String,
    /// Of the customer's own, up to 4,096 bytes.
    #[schema(value_type = Object)]
    attributes: Value,
    /// Counts the changes.
    version: i64,
}

/// The profiles of users.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProfileList {
    /// By user id.
    profiles: Vec<Profile>,
}

/// What is to change of a profile; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "name": "Bob", "version": 2 })))]
pub(crate) struct UpdateProfileRequest {
    /// Up to 64 characters on one line; may be empty.
    #[schema(max_length = 64)]
    name: Option<String>,
    /// An `https` or `http` URL; empty for none.
    #[schema(max_length = 2048)]
    avatar_url: Option<String>,
    /// Of the customer's own, up to 4,096 bytes.
    #[schema(value_type = Option<Object>)]
    attributes: Option<Map<String, Value>>,
    /// The version that the caller has read; absent where it does not matter what that was.
    version: Option<i64>,
}

/// The profile of the timeline's owner has changed, or of a user with whom it has a conversation or is in a group: read it
/// again.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProfileChanged {
    /// Whose.
    user_id: UserId,
}

impl From<model::Profile> for Profile {
    fn from(profile: model::Profile) -> Self {
        Self {
            user_id: (&profile.user_id).into(),
            name: profile.name,
            avatar_url: profile.avatar_url,
            // What was checked when it was stored.
            attributes: serde_json::from_str(&profile.attributes).unwrap_or_default(),
            version: profile.version,
        }
    }
}

impl From<Vec<model::Profile>> for ProfileList {
    fn from(profiles: Vec<model::Profile>) -> Self {
        Self { profiles: profiles.into_iter().map(Into::into).collect() }
    }
}

impl From<UpdateProfileRequest> for model::ChangeProfile {
    fn from(request: UpdateProfileRequest) -> Self {
        let UpdateProfileRequest { name, avatar_url, attributes, version } = request;
        let attributes = attributes.map(|attributes| Value::Object(attributes).to_string());
        Self { name, avatar_url, attributes, version }
    }
}

impl From<&model::ProfileChanged> for ProfileChanged {
    fn from(changed: &model::ProfileChanged) -> Self {
        Self { user_id: (&changed.user_id).into() }
    }
}
