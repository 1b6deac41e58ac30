//! Telling terminals of messages.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{model, service};

/// What a terminal is told of messages. The set is open.
///
/// `FULL`: who sent them, and what they say. `SENDER`: who sent them. `ID`: their ids alone.
#[derive(Debug, Default, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum PushContent {
    #[default]
    Full,
    Sender,
    Id,
}

/// How a terminal is to be told.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(
    json!({ "provider": "webhook", "token": "device-token", "content": "SENDER" }),
))]
pub(crate) struct SetPushRequest {
    /// One of those that `GET /v1/push` lists: `webhook`, `web_push`, `apns`, `fcm`.
    #[serde(default)]
    #[schema(required = true)]
    provider: String,
    /// What the provider knows the terminal by: of `web_push` the endpoint of the subscription, of `apns` the device
    /// token in hexadecimal digits, of `fcm` the registration token.
    #[serde(default)]
    #[schema(required = true, min_length = 1, max_length = 4096)]
    token: String,
    /// Of `web_push`: the key `p256dh` of the subscription, in base64url.
    #[serde(default)]
    #[schema(required = false)]
    p256dh: String,
    /// Of `web_push`: the key `auth` of the subscription, in base64url.
    #[serde(default)]
    #[schema(required = false)]
    auth: String,
    /// `FULL` when absent.
    #[serde(default)]
    #[schema(required = false)]
    content: PushContent,
}

/// How a terminal is told, and how it could be.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({ "providers": ["webhook"], "web_push_key": "", "provider": "webhook" })))]
pub(crate) struct PushState {
    /// The providers that there are.
    providers: Vec<&'static str>,
    /// The `applicationServerKey` that a browser subscribes with, in base64url; empty without `web_push`.
    web_push_key: String,
    /// The one that tells the caller's terminal; empty when none does.
    provider: &'static str,
}

impl From<SetPushRequest> for service::SetPush {
    fn from(request: SetPushRequest) -> Self {
        let SetPushRequest { provider, token, p256dh, auth, content } = request;
        let content = match content {
            PushContent::Full => model::PushContent::Full,
            PushContent::Sender => model::PushContent::Sender,
            PushContent::Id => model::PushContent::Id,
        };
        Self { provider, token, p256dh, auth, content }
    }
}

impl From<service::PushState> for PushState {
    fn from(state: service::PushState) -> Self {
        Self {
            providers: state.providers.iter().map(|provider| provider.name()).collect(),
            web_push_key: state.web_push_key,
            provider: state.provider.map(model::PushProvider::name).unwrap_or_default(),
        }
    }
}
