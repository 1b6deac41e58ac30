//! Watching the requests to a webhook as they are made, on whichever node. While somebody does, the nodes tell of each
//! over NOTIFY; nothing of it is stored, and what is lost on the way is lost.

use std::time::Duration;

use futures::{Stream, stream};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use uuid::Uuid;

use super::Answer;
use crate::{
    model::{Error, Result},
    service::{Service, tail::Tail},
    store::Store,
};

/// For how long nodes tell of requests before they have to be asked again.
const LASTS: Duration = Duration::from_secs(20);

/// How often they are asked again. Longer than a listener waits before it looks whether its server still answers.
const RENEW: Duration = Duration::from_secs(7);

/// How many events of a request are named: a notification has a limit.
const MOST_NAMED: usize = 50;

/// A request to a webhook, as somebody who watches sees it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TailedRequest {
    webhook_id: Uuid,
    /// Which node made it.
    pub node_id: String,
    /// When it was answered, or given up.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// How long that took, in milliseconds.
    pub took_ms: i64,
    /// Whether it was acknowledged.
    pub delivered: bool,
    /// The HTTP status that it was answered with; `None` when it was not answered.
    pub status: Option<u16>,
    /// Why it was not acknowledged; empty when it was.
    pub error: String,
    /// How many events it told of.
    pub count: i64,
    /// The first 50 of them.
    pub events: Vec<TailedEvent>,
}

/// An event by name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TailedEvent {
    /// Its id.
    pub id: String,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: String,
}

/// Watches the requests to one webhook.
pub struct WebhookTail {
    store: Store,
    webhook_id: Uuid,
    tail: Tail,
    renew: Interval,
}

impl Service {
    /// Begins to watch the requests to a webhook, until a time or for as long as there is somebody.
    ///
    /// Errors: [`Error::WebhookNotFound`].
    pub(in crate::service) async fn tail_webhook(
        &self,
        webhook_id: Uuid,
        until: Option<Instant>,
    ) -> Result<WebhookTail> {
        let store = self.store.clone();
        let listener = store.listen_to_webhooks().await?;
        store.tail_webhook(webhook_id, LASTS).await?;
        let mut renew = interval_at(Instant::now() + RENEW, RENEW);
        renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let tail = Tail::new(self.delivery.clone(), listener, until);
        Ok(WebhookTail { store, webhook_id, tail, renew })
    }

    /// Tells whoever watches of a request that was made.
    pub(super) async fn tell_of_request(
        &self,
        webhook_id: Uuid,
        events: Vec<TailedEvent>,
        answer: &Answer,
        took: Duration,
    ) {
        let (status, error) = match answer {
            Answer::Delivered(status) => (Some(*status), String::new()),
            Answer::Gone => (Some(reqwest::StatusCode::GONE), "answered 410 Gone".to_owned()),
            Answer::Failed { status, error, .. } => (*status, error.clone()),
        };
        let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
        let request = TailedRequest {
            webhook_id,
            node_id: self.node_id.clone(),
            at: OffsetDateTime::now_utc(),
            took_ms: i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
            delivered: matches!(answer, Answer::Delivered(_)),
            status: status.map(|status| status.as_u16()),
            error,
            count,
            events: events.into_iter().take(MOST_NAMED).collect(),
        };
        let told = match serde_json::to_string(&request) {
            Ok(payload) => self.store.tell_of_webhook(&payload).await,
            Err(error) => Err(Error::internal(error)),
        };
        if let Err(error) = told {
            tracing::debug!(%error, "nobody hears of a request to a webhook");
        }
    }
}

impl WebhookTail {
    /// The requests as they are made, until the webhook is deleted or the node stops.
    pub fn into_stream(self) -> impl Stream<Item = Result<TailedRequest>> + Send {
        stream::try_unfold(self, |mut tail| async move {
            Ok(tail.next().await?.map(|request| (request, tail)))
        })
    }

    /// The next request; `None` when the time is over.
    async fn next(&mut self) -> Result<Option<TailedRequest>> {
        loop {
            tokio::select! {
                told = self.tail.next::<TailedRequest>() => match told? {
                    Some(request) if request.webhook_id != self.webhook_id => {}
                    told => return Ok(told),
                },
                _ = self.renew.tick() => self.store.tail_webhook(self.webhook_id, LASTS).await?,
            }
        }
    }
}
