//! Counting what there is, for the metrics.

use std::{sync::Arc, time::Duration};

use metrics::gauge;
use time::OffsetDateTime;
use tokio::time::{MissedTickBehavior, interval};

use super::Service;
use crate::{
    store::Census,
    telemetry::{JOB_SUCCEEDED, SESSIONS, WEBHOOK_EVENTS_OLDEST, WEBHOOK_EVENTS_WAITING},
};

/// How often that is counted. Every node does, so that each answers whoever asks it.
const EVERY: Duration = Duration::from_mins(1);

impl Service {
    /// Counts now and then, for ever.
    pub async fn keep_counting(self: Arc<Self>) {
        let mut turns = interval(EVERY);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            match self.store.census().await {
                Ok(census) => show(census, self.store.now()),
                Err(error) => tracing::warn!(%error, "what there is cannot be counted"),
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floats")]
fn show(census: Census, now: OffsetDateTime) {
    for (terminal_type, live, online) in census.sessions {
        let state = |state| gauge!(SESSIONS, "type" => terminal_type.clone(), "state" => state);
        state("live").set(live as f64);
        state("online").set(online as f64);
    }
    gauge!(WEBHOOK_EVENTS_WAITING).set(census.webhook_events as f64);
    let waited = census.oldest_webhook_event.map_or(0.0, |at| (now - at).as_seconds_f64());
    gauge!(WEBHOOK_EVENTS_OLDEST).set(waited.max(0.0));
    for (job, succeeded) in census.jobs {
        let at = succeeded.map_or(0, OffsetDateTime::unix_timestamp);
        gauge!(JOB_SUCCEEDED, "job" => job).set(at as f64);
    }
}
