//! Telling terminals of messages.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    model,
    service::{self, SetQuietHours},
};

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

/// Hours of every day in which a user is told of nothing.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[schema(examples(json!({ "from": "22:00", "to": "07:00", "time_zone": "Europe/Berlin" })))]
#[serde(default)]
pub(crate) struct QuietHours {
    /// When they begin, as clocks show it.
    #[schema(required = true, pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    from: String,
    /// When they end: another time, on the next day if it is earlier.
    #[schema(required = true, pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    to: String,
    /// Whose clocks, by the name in the IANA time zone database. They follow its summer time.
    #[schema(required = true, min_length = 3, max_length = 64)]
    time_zone: String,
}

impl From<QuietHours> for SetQuietHours {
    fn from(hours: QuietHours) -> Self {
        let QuietHours { from, to, time_zone } = hours;
        Self { from, to, time_zone }
    }
}

impl From<model::QuietHours> for QuietHours {
    fn from(hours: model::QuietHours) -> Self {
        let model::QuietHours { from, to, time_zone } = hours;
        let text = model::QuietHours::text;
        Self { from: text(from), to: text(to), time_zone }
    }
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
    /// The hours in which no terminal of the caller is told, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    quiet_hours: Option<QuietHours>,
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
            quiet_hours: state.quiet_hours.map(Into::into),
        }
    }
}
