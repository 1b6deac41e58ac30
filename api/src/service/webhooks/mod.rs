//! Webhooks: servers of the customer's are told of what happens, at least once and in the order of each timeline
//! (I15), by requests that are signed as Standard Webhooks has it.
//!
//! The events wait in the database, in partitions. Each node takes turns at the partitions for which events wait: it
//! leases one, makes one request at a time for it, and takes the events out once the request was acknowledged. So an
//! event that was delivered when its node died is delivered again, and none is left out.

mod address;
mod event;
mod tail;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use aws_lc_rs::digest;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use metrics::counter;
use reqwest::{Client, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretSlice};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};
use uuid::Uuid;

pub use self::address::WebhookResolver;
pub use self::tail::{TailedEvent, TailedRequest, WebhookTail};
use self::{
    address::{NOT_PUBLIC, check_url, is_allowed},
    event::{Event, event_id},
};
use super::{Service, push::retry_after, tokens::random, webhook_signature};
use crate::{
    model::{Error, Result, Stretch},
    store::{DeliveryClaim, OutboxEvent, PendingEvents},
    telemetry::{self, trace},
};

/// How often a node looks for events when it has written none itself.
const LOOK: Duration = Duration::from_secs(1);

/// How long a node waits with a look after it has written events: those of one moment go together.
const GATHER: Duration = Duration::from_millis(20);

/// How long a partition rests when all that waited was delivered: a request costs as much as many events do.
const NEXT: Duration = Duration::from_millis(250);

/// How many requests a node makes at a time.
const AT_ONCE: usize = 32;

/// How many events a request tells of at most.
const MOST_EVENTS: i64 = 100;

/// The largest request, in bytes, unless one event alone is larger.
const LARGEST: usize = 1024 * 1024;

/// How much longer than a request a lease lasts.
const LEASE: Duration = Duration::from_secs(5);

/// How long a node delivers for a partition before others have their turn.
const TURN: Duration = Duration::from_secs(5);

/// The first pause after a failure; it doubles with each in a row.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest of these pauses.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

/// The longest pause that a webhook may ask for.
const LONGEST_ASKED: Duration = Duration::from_hours(1);

/// How long a webhook may acknowledge nothing before it is paused.
const DEAD_AFTER: Duration = Duration::from_hours(24);

/// For how long one event is tried.
const TRIED_FOR: Duration = Duration::from_hours(72);

/// How much of an answer is read, in bytes, and for how long, so that the connection can be used again.
const MOST_READ: usize = 16 * 1024;
const READ_FOR: Duration = Duration::from_secs(1);

/// How many users are looked at at a time whose terminals get nothing.
const UNDELIVERED_BATCH: i64 = 500;

/// The longest error that is kept, in characters.
const MAX_ERROR_LENGTH: usize = 200;

/// How webhooks are told.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// For how long events are kept.
    pub keep: Duration,
    /// How long a webhook may take to answer.
    pub timeout: Duration,
    /// After how long a message counts as undelivered that no terminal has got.
    pub undelivered_after: Duration,
    /// Whether addresses may be private, and URLs without TLS.
    pub allow_private: bool,
    /// What makes the requests; its names are looked up by a [`WebhookResolver`].
    pub http: Client,
}

/// What a request tells.
struct Told {
    body: Vec<u8>,
    /// The events in it.
    events: Vec<TailedEvent>,
    /// How many were looked at for it: those that do not pass the filter are done with it, too.
    looked_at: usize,
}

/// What came of a request to a webhook.
#[derive(Debug)]
pub(super) enum Answer {
    /// It was acknowledged.
    Delivered(StatusCode),
    /// The webhook wants to be told of nothing any more.
    Gone,
    /// Not now; perhaps after so long.
    Failed { status: Option<StatusCode>, error: String, retry_after: Option<Duration> },
}

impl Answer {
    fn result(&self) -> &'static str {
        match self {
            Self::Delivered(_) => "delivered",
            Self::Gone => "gone",
            Self::Failed { .. } => "failed",
        }
    }

    fn failed(error: impl Into<String>) -> Self {
        Self::Failed { status: None, error: error.into(), retry_after: None }
    }
}

impl Service {
    /// Tells webhooks of events until `stop`.
    pub async fn keep_telling_webhooks(self: Arc<Self>, stop: CancellationToken) {
        let mut turns = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = async {
                    self.store.events_written().await;
                    sleep(GATHER).await;
                } => {}
                // Something may have come while it had its turn.
                Some(_) = turns.join_next() => {}
                () = sleep(LOOK) => {}
            }
            while turns.try_join_next().is_some() {}
            let free = AT_ONCE.saturating_sub(turns.len());
            if free == 0 {
                continue;
            }
            let limit = i64::try_from(free).unwrap_or(i64::MAX);
            match self.store.claim_deliveries(self.lease(), limit).await {
                Ok(claims) => {
                    for claim in claims {
                        turns.spawn(self.clone().deliver(claim, stop.clone()));
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot look for events for webhooks");
                    sleep(LOOK).await;
                }
            }
        }
        while turns.join_next().await.is_some() {}
    }

    fn lease(&self) -> Duration {
        self.webhooks.timeout + LEASE
    }

    /// Has a turn at a partition, and gives it up then.
    async fn deliver(self: Arc<Self>, claim: DeliveryClaim, stop: CancellationToken) {
        let delivered = stop.run_until_cancelled(Box::pin(self.deliver_all(&claim))).await;
        let given_up = match delivered {
            Some(Ok(true)) => return,
            Some(Ok(false)) | None => self.store.release_delivery(&claim).await,
            Some(Err(error)) => Err(error),
        };
        if let Err(error) = given_up {
            tracing::warn!(%error, "events for a webhook rest until the lease has run out");
        }
    }

    /// Delivers what waits: whether the claim is given up already.
    async fn deliver_all(&self, claim: &DeliveryClaim) -> Result<bool> {
        let began = Instant::now();
        // Fewer at a time after a failure: the one that is not taken is then alone.
        let mut most = MOST_EVENTS >> claim.failures.clamp(0, 7);
        while began.elapsed() < TURN {
            most = most.max(1);
            let pending = self.store.pending_events(claim, most).await?;
            let Some(pending) = pending.filter(|pending| !pending.events.is_empty()) else {
                return Ok(false);
            };
            let Told { body, events, looked_at } = self.body(&pending).await?;
            if looked_at == 0 {
                // A newer node is to tell of it.
                sleep(LOOK).await;
                return Ok(false);
            }
            if events.is_empty() {
                // Its filter lets none of them through.
                self.store.finish_events(claim, self.lease(), &pending.events[..looked_at]).await?;
                most = (most * 2).min(MOST_EVENTS);
                continue;
            }
            let asked = Instant::now();
            let answer = match Url::parse(&pending.url) {
                Ok(url) => {
                    let span = webhook_span(&pending.events[..looked_at]);
                    let id = batch_id(&body);
                    let telling = self.tell_webhook(url, &pending.secrets, &id, body);
                    telling.instrument(span).await
                }
                Err(error) => Answer::failed(error.to_string()),
            };
            if pending.tailed {
                let (webhook_id, took) = (pending.webhook_id, asked.elapsed());
                self.tell_of_request(webhook_id, events.clone(), &answer, took).await;
            }
            counter!(telemetry::WEBHOOK_REQUESTS, "result" => answer.result()).increment(1);
            match answer {
                Answer::Delivered(_) => {
                    self.store
                        .finish_events(claim, self.lease(), &pending.events[..looked_at])
                        .await?;
                    let count = u64::try_from(events.len()).unwrap_or_default();
                    counter!(telemetry::WEBHOOK_EVENTS).increment(count);
                    let were_all = i64::try_from(pending.events.len()).unwrap_or_default() < most;
                    most = (most * 2).min(MOST_EVENTS);
                    if were_all {
                        // One that came alone was not of many.
                        sleep(if looked_at > 1 { NEXT } else { GATHER }).await;
                    }
                }
                Answer::Gone => {
                    tracing::warn!(webhook_id = %pending.webhook_id, "a webhook is gone");
                    self.store.end_webhook(claim).await?;
                    return Ok(false);
                }
                Answer::Failed { error, retry_after, .. } => {
                    self.note_failure(claim, &pending, &error, retry_after, most).await?;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn note_failure(
        &self,
        claim: &DeliveryClaim,
        pending: &PendingEvents,
        error: &str,
        retry_after: Option<Duration>,
        most: i64,
    ) -> Result<()> {
        let webhook_id = pending.webhook_id;
        tracing::debug!(%webhook_id, error, "a webhook was not told");
        let tried_for = claim.failing_since.map(|since| self.store.now() - since);
        if most == 1 && tried_for.is_some_and(|tried_for| tried_for > TRIED_FOR) {
            let cipher = self.store.message_id_cipher().await?;
            let event = &pending.events[0];
            let id = event_id(event, &cipher)?;
            tracing::warn!(%webhook_id, event_id = id, error, "an event for a webhook is given up");
            counter!(telemetry::WEBHOOK_EVENTS_GIVEN_UP).increment(1);
            self.store.give_event_up(claim, webhook_id, event, &id).await?;
            return self.store.release_delivery(claim).await;
        }
        let doubled =
            FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(claim.failures.unsigned_abs()));
        let pause =
            doubled.min(LONGEST_PAUSE).max(retry_after.unwrap_or_default().min(LONGEST_ASKED));
        let pause = pause.mul_f64(jitter());
        if self.store.fail_delivery(claim, error, pause, DEAD_AFTER).await? {
            tracing::warn!(%webhook_id, error, "a webhook is dead, and paused");
        }
        Ok(())
    }

    /// The body of a request: as many events as are not too large together, and those in front of one that a newer node
    /// has written; without those that do not pass the filter.
    async fn body(&self, pending: &PendingEvents) -> Result<Told> {
        let places = pending.events.iter().map(|event| (event.place.home, event.place.seq));
        let mut places: Vec<_> = places.collect();
        places.sort_unstable();
        places.dedup();
        let owners = self.store.owner_ids(places.iter().map(|place| place.0)).await?;
        let places: Vec<_> =
            places.into_iter().map(|(owner, seq)| Stretch::at(owner, seq)).collect();
        let entries = self.store.entries_in(&places, i64::MAX).await?;
        let entries: HashMap<_, _> =
            entries.into_iter().map(|(owner, entry)| ((owner, entry.seq()), entry)).collect();
        let cipher = self.store.message_id_cipher().await?;
        let (mut events, mut names, mut bytes, mut looked_at) = (Vec::new(), Vec::new(), 0, 0);
        for event in &pending.events {
            let Some(kind) = event.kind else { break };
            let event = Event::of(event, kind, &entries, &owners, &cipher)?;
            if event.passes(&pending.filter) {
                let said = event.to_json()?;
                bytes += said.get().len();
                if bytes > LARGEST && !events.is_empty() {
                    break;
                }
                events.push(said);
                names.push(TailedEvent { id: event.id, kind: kind.name().to_owned() });
            }
            looked_at += 1;
        }
        Ok(Told { body: body_of(&events)?, events: names, looked_at })
    }

    /// Makes a request that is signed.
    async fn tell_webhook(
        &self,
        url: Url,
        secrets: &[SecretSlice<u8>],
        id: &str,
        body: Vec<u8>,
    ) -> Answer {
        let settings = &self.webhooks;
        if !is_allowed(&url, settings.allow_private) {
            return Answer::failed(NOT_PUBLIC);
        }
        let keys = secrets.iter().map(|secret| webhook_signature::key(secret.expose_secret()));
        let keys: Vec<_> = keys.collect();
        let request = settings
            .http
            .post(url)
            .timeout(settings.timeout)
            .headers(trace::headers_of(&Span::current()))
            .header("user-agent", concat!("imd/", env!("CARGO_PKG_VERSION")));
        let answer = match webhook_signature::sign(request, &keys, id, body).send().await {
            Ok(answer) => answer,
            Err(error) => return Answer::failed(why(&error)),
        };
        let status = answer.status();
        if status.is_success() {
            // What it says beside is of no interest, and may have no end.
            let _ = timeout(READ_FOR, drain(answer)).await;
            return Answer::Delivered(status);
        }
        if status == StatusCode::GONE {
            return Answer::Gone;
        }
        let retry_after = retry_after(&answer);
        Answer::Failed { status: Some(status), error: format!("answered {status}"), retry_after }
    }

    /// Tells a webhook that this is a test: how it answered.
    pub(super) async fn test_webhook(&self, webhook_id: Uuid) -> Result<Answer> {
        let webhook = self.store.webhook(webhook_id).await?;
        let secrets = self.store.webhook_secrets(webhook_id).await?;
        let event = Event::test(format!("evt_test_{}", Uuid::now_v7()));
        let body = body_of(&[event.to_json()?])?;
        Ok(match check_url(&webhook.url, self.webhooks.allow_private) {
            Ok(url) => self.tell_webhook(url, &secrets, &batch_id(&body), body).await,
            Err(error) => Answer::failed(error.to_string()),
        })
    }

    /// Checks where a webhook is to be: the URL as it is kept.
    pub(super) fn check_webhook_url(&self, url: &str) -> Result<String> {
        check_url(url, self.webhooks.allow_private).map(Into::into)
    }

    /// Tells webhooks of users who do not get their messages.
    pub(super) async fn tell_of_undelivered(&self) -> Result<()> {
        if !self.store.tells_of_undelivered().await? {
            return Ok(());
        }
        let after = self.webhooks.undelivered_after;
        while self.store.tell_of_undelivered(after, UNDELIVERED_BATCH).await? == UNDELIVERED_BATCH {
        }
        Ok(())
    }

    /// Deletes the events that are older than they are kept.
    pub(super) async fn forget_webhook_events(&self) -> Result<()> {
        self.store.forget_events(self.webhooks.keep).await
    }
}

/// The span of a request: of the trace of the first of its events of which that is known here.
fn webhook_span(events: &[OutboxEvent]) -> Span {
    let origin = |event: &OutboxEvent| trace::origin(event.place.home, event.place.seq);
    let Some(origin) = events.iter().find_map(origin) else { return Span::none() };
    let span = tracing::info_span!(
        target: trace::TARGET,
        parent: None,
        "webhook",
        otel.kind = "client",
        imd.message_id = tracing::field::Empty,
        imd.events = events.len(),
    );
    origin.adopt(&span);
    span
}

fn body_of(events: &[Box<RawValue>]) -> Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Body<'a> {
        events: &'a [Box<RawValue>],
    }
    serde_json::to_vec(&Body { events }).map_err(Error::internal)
}

/// Names a request: the same each time that it says the same.
fn batch_id(body: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, body);
    let (short, _) = digest.as_ref().split_at(18);
    format!("msg_{}", BASE64_URL_SAFE_NO_PAD.encode(short))
}

/// Reads an answer, as far as it is worth it.
async fn drain(mut answer: Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        read += chunk.len();
        if read > MOST_READ {
            return;
        }
    }
}

/// Why a request got no answer, with its causes, and without the URL.
fn why(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "did not answer in time".to_owned();
    }
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    let said = if causes.is_empty() { "no answer".to_owned() } else { causes.join(": ") };
    said.chars().take(MAX_ERROR_LENGTH).collect()
}

/// Spreads what would otherwise come at once: a factor from 0.8 to 1.2.
fn jitter() -> f64 {
    let [byte] = random::<1>().unwrap_or([128]);
    0.8 + 0.4 * f64::from(byte) / 255.0
}
