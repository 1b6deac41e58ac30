//! Webhooks in the contract's messages.

use imd_proto::v1;

use crate::{
    grpc::convert::timestamp,
    model::{Result, WebhookFilter},
    service::{TailedEvent, TailedRequest, Webhook, WebhookTest},
};

pub(super) fn webhook(webhook: &Webhook) -> v1::Webhook {
    v1::Webhook {
        webhook_id: webhook.webhook_id.to_string(),
        url: webhook.url.clone(),
        description: webhook.description.clone(),
        kinds: webhook.kinds.iter().map(|kind| kind.name().to_owned()).collect(),
        // The numbers are the contract's.
        state: webhook.state as i32,
        created_at: Some(timestamp(webhook.created_at)),
        delivered_at: webhook.delivered_at.map(timestamp),
        failing_since: webhook.failing_since.map(timestamp),
        failures: webhook.failures,
        error: webhook.error.clone(),
        waiting: webhook.waiting,
        oldest_at: webhook.oldest_at.map(timestamp),
        previous_secret_until: webhook.previous_until.map(timestamp),
        filter: Some(&webhook.filter).filter(|filter| !filter.is_empty()).map(|filter| {
            v1::WebhookFilter {
                user_ids: filter.user_ids.iter().map(ToString::to_string).collect(),
                group_ids: filter.group_ids.iter().map(ToString::to_string).collect(),
                sender_ids: filter.sender_ids.iter().map(ToString::to_string).collect(),
            }
        }),
    }
}

pub(super) fn filter(asked: &v1::WebhookFilter) -> Result<WebhookFilter> {
    WebhookFilter::parse(&asked.user_ids, &asked.group_ids, &asked.sender_ids)
}

pub(super) fn tailed(request: TailedRequest) -> v1::TailWebhookResponse {
    let event = |event: TailedEvent| v1::TailedEvent { id: event.id, r#type: event.kind };
    v1::TailWebhookResponse {
        node_id: request.node_id,
        at: Some(timestamp(request.at)),
        took_ms: request.took_ms,
        delivered: request.delivered,
        status: request.status.map(i32::from).unwrap_or_default(),
        error: request.error,
        count: request.count,
        events: request.events.into_iter().map(event).collect(),
    }
}

pub(super) fn test(test: WebhookTest) -> v1::TestWebhookResponse {
    v1::TestWebhookResponse {
        delivered: test.delivered,
        status: test.status.map(i32::from).unwrap_or_default(),
        error: test.error,
        took_ms: i64::try_from(test.took.as_millis()).unwrap_or(i64::MAX),
    }
}
