//! Webhooks.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    model::{self, Error},
    rest::types::id::{GroupId, UserId},
    service,
};

/// Whether a webhook is told of events. The set is open.
///
/// `ACTIVE`: it is. `PAUSED`: it was paused, and its events wait. `DEAD`: it has acknowledged nothing for a day; its events
/// wait until it is resumed. `GONE`: it has answered 410; it is told of nothing, and nothing waits for it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum WebhookState {
    Active,
    Paused,
    Dead,
    Gone,
}

/// Of whom and what a webhook is told: an event has to pass each list that is not empty.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, expecting = "an object with the members user_ids, group_ids and sender_ids")]
#[schema(examples(json!({ "group_ids": ["oslo"] })))]
pub(crate) struct WebhookFilter {
    /// One of these users has a part in it: as sender or recipient of a message, as who did it, or to whom it was done.
    #[schema(max_items = 100)]
    user_ids: Vec<UserId>,
    /// It is of one of these groups.
    #[schema(max_items = 100)]
    group_ids: Vec<GroupId>,
    /// It is about a message that one of these has sent.
    #[schema(max_items = 100)]
    sender_ids: Vec<UserId>,
}

/// A server of the customer's that is told of events.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Webhook {
    webhook_id: Uuid,
    url: String,
    /// What it is for; may be empty.
    description: String,
    /// What it is told of.
    #[schema(examples(json!(["message.sent", "session.ended"])))]
    kinds: Vec<&'static str>,
    /// Of whom and what it is told; absent when of everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    filter: Option<WebhookFilter>,
    state: WebhookState,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// When it last acknowledged a request; absent when it never has.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    delivered_at: Option<OffsetDateTime>,
    /// Since when it has acknowledged none that was made; absent while it does.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    failing_since: Option<OffsetDateTime>,
    /// How many requests have failed since.
    failures: i32,
    /// What came of the last of them; empty when none has failed.
    error: String,
    /// How many events wait for it; 100,000 stands for so many or more.
    waiting: i64,
    /// When the oldest of them happened; absent when none waits.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    oldest_at: Option<OffsetDateTime>,
    /// Until when requests are signed with the secret before the last one, too; absent when they are not.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    previous_secret_until: Option<OffsetDateTime>,
}

/// All webhooks, in the order in which they were made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookList {
    webhooks: Vec<Webhook>,
}

/// A webhook to make.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "url": "https://shop.example.com/imd", "kinds": ["message.*", "session.ended"] })))]
pub(crate) struct CreateWebhookRequest {
    /// `https://…`, at a public address unless the server allows others; at most 2,048 bytes.
    #[serde(default)]
    #[schema(required = true)]
    pub(in crate::rest) url: String,
    /// Kinds of events; `message.*` and the like stand for those that there are now, `*` for all.
    #[serde(default)]
    #[schema(required = true)]
    pub(in crate::rest) kinds: Vec<String>,
    /// What it is for: at most 256 characters of one line.
    #[serde(default)]
    pub(in crate::rest) description: String,
    /// Of whom and what it is told; absent for everything.
    pub(in crate::rest) filter: Option<WebhookFilter>,
    /// What requests are signed with: `whsec_` and 24 to 64 bytes in base64. Absent or empty for a new one.
    #[serde(default)]
    pub(in crate::rest) secret: String,
}

/// What is to change of a webhook; what is absent or null stays.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "kinds": ["message.sent"] })))]
pub(crate) struct UpdateWebhookRequest {
    pub(in crate::rest) url: Option<String>,
    pub(in crate::rest) kinds: Option<Vec<String>>,
    pub(in crate::rest) description: Option<String>,
    /// Of whom and what it is told from now on, and of what waits; an empty object for everything.
    pub(in crate::rest) filter: Option<WebhookFilter>,
}

/// From when on a webhook is told once more.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "from": "2026-11-23T07:30:00Z" })))]
pub(crate) struct ReplayWebhookRequest {
    #[serde(default, with = "time::serde::rfc3339::option")]
    #[schema(required = true, nullable = false)]
    pub(in crate::rest) from: Option<OffsetDateTime>,
}

/// How many events were added to those that wait.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplayedWebhook {
    pub(in crate::rest) events: i64,
}

/// A new secret for a webhook.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({})))]
pub(crate) struct RotateWebhookSecretRequest {
    /// `whsec_` and 24 to 64 bytes in base64. Absent or empty for one that the server makes.
    #[serde(default)]
    pub(in crate::rest) secret: String,
}

/// A webhook and its secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookWithSecret {
    webhook: Webhook,
    /// What requests are signed with, shown this once.
    secret: String,
}

/// How a webhook answered a test.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookTest {
    /// Whether it has acknowledged the request.
    delivered: bool,
    /// The HTTP status that it answered with; absent when it did not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    status: Option<u16>,
    /// Why it was not delivered; empty when it was.
    error: String,
    /// How long the answer took, in milliseconds.
    took_ms: u64,
}

/// A request to a webhook that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TailedRequest {
    /// Which node made it.
    node_id: String,
    /// When it was answered, or given up.
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// How long that took, in milliseconds.
    took_ms: i64,
    /// Whether it was acknowledged.
    delivered: bool,
    /// The HTTP status that it was answered with; absent when it was not answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    status: Option<u16>,
    /// Why it was not acknowledged; empty when it was.
    error: String,
    /// How many events it told of.
    count: i64,
    /// The first 50 of them.
    events: Vec<TailedEvent>,
}

/// An event by name.
#[derive(Debug, Serialize, ToSchema)]
struct TailedEvent {
    id: String,
    /// Its kind.
    #[serde(rename = "type")]
    #[schema(examples("message.sent"))]
    kind: String,
}

impl From<service::TailedRequest> for TailedRequest {
    fn from(request: service::TailedRequest) -> Self {
        let event = |event: service::TailedEvent| TailedEvent { id: event.id, kind: event.kind };
        Self {
            node_id: request.node_id,
            at: request.at,
            took_ms: request.took_ms,
            delivered: request.delivered,
            status: request.status,
            error: request.error,
            count: request.count,
            events: request.events.into_iter().map(event).collect(),
        }
    }
}

impl From<&model::WebhookFilter> for WebhookFilter {
    fn from(filter: &model::WebhookFilter) -> Self {
        Self {
            user_ids: filter.user_ids.iter().map(Into::into).collect(),
            group_ids: filter.group_ids.iter().map(Into::into).collect(),
            sender_ids: filter.sender_ids.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<WebhookFilter> for model::WebhookFilter {
    type Error = Error;

    fn try_from(filter: WebhookFilter) -> Result<Self, Error> {
        let users = |ids: Vec<UserId>| ids.into_iter().map(|id| id.0).collect::<Vec<_>>();
        let groups: Vec<_> = filter.group_ids.into_iter().map(|id| id.0).collect();
        Self::parse(&users(filter.user_ids), &groups, &users(filter.sender_ids))
    }
}

impl From<model::WebhookState> for WebhookState {
    fn from(state: model::WebhookState) -> Self {
        match state {
            model::WebhookState::Active => Self::Active,
            model::WebhookState::Paused => Self::Paused,
            model::WebhookState::Dead => Self::Dead,
            model::WebhookState::Gone => Self::Gone,
        }
    }
}

impl From<service::Webhook> for Webhook {
    fn from(webhook: service::Webhook) -> Self {
        Self {
            webhook_id: webhook.webhook_id,
            url: webhook.url,
            description: webhook.description,
            kinds: webhook.kinds.iter().map(|kind| kind.name()).collect(),
            filter: Some(&webhook.filter).filter(|filter| !filter.is_empty()).map(Into::into),
            state: webhook.state.into(),
            created_at: webhook.created_at,
            delivered_at: webhook.delivered_at,
            failing_since: webhook.failing_since,
            failures: webhook.failures,
            error: webhook.error,
            waiting: webhook.waiting,
            oldest_at: webhook.oldest_at,
            previous_secret_until: webhook.previous_until,
        }
    }
}

impl From<Vec<service::Webhook>> for WebhookList {
    fn from(webhooks: Vec<service::Webhook>) -> Self {
        Self { webhooks: webhooks.into_iter().map(Into::into).collect() }
    }
}

impl WebhookWithSecret {
    pub(in crate::rest) fn new(webhook: service::Webhook, secret: &str) -> Self {
        Self { webhook: webhook.into(), secret: secret.to_owned() }
    }
}

impl From<service::WebhookTest> for WebhookTest {
    fn from(test: service::WebhookTest) -> Self {
        Self {
            delivered: test.delivered,
            status: test.status,
            error: test.error,
            took_ms: u64::try_from(test.took.as_millis()).unwrap_or(u64::MAX),
        }
    }
}
