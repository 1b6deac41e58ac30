//! Messages that transactions of the customer's ask for in SQL. A node hears of a request when its transaction commits,
//! and looks by itself now and then; it sends the message as one of a backend, and notes what became of it.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use metrics::counter;
use serde_json::json;
use time::OffsetDateTime;
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    Recipient, Send, SendAs, SendContent, Sender, Service,
    admin::{Actor, Known},
};
use crate::{
    model::{Error, Notice, Result, SealedMessageId},
    store::{InboxClaim, InboxOutcome, InboxRequest},
    telemetry,
};

/// How often a node looks for requests when it has heard of none.
const SWEEP: Duration = Duration::from_secs(5);

/// How long a node waits with a look when it has heard of a request: those of one moment go together.
const GATHER: Duration = Duration::from_millis(3);

/// How long a node waits before it listens again.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// How long a lease lasts: as long requests rest when their node has died.
const LEASE: Duration = Duration::from_secs(8);

/// For how long requests are met before the lease is renewed. Less than the lease by what one send may take.
const RENEW: Duration = Duration::from_secs(2);

/// How many requests are read at a time.
const CHUNK: i64 = 500;

/// How many senders' requests are met at a time, for each partition.
const SENDERS_AT_ONCE: usize = 16;

/// How long requests of a partition rest when some could not be met for now.
const PAUSE: Duration = Duration::from_secs(1);

/// For how long a request is tried that cannot be met.
const TRIED_FOR: Duration = Duration::from_hours(24);

/// How long it is kept what became of a request.
const KEPT: Duration = Duration::from_hours(7 * 24);

/// How many requests are deleted at a time.
const FORGET_BATCH: i64 = 5000;

impl Service {
    /// Meets requests until `stop`.
    pub async fn keep_meeting_requests(self: Arc<Self>, stop: CancellationToken) {
        let heard = Notify::new();
        tokio::select! {
            () = self.hear_of_requests(&heard) => {}
            () = self.meet_requests(&heard, &stop) => {}
        }
    }

    /// Notifies of requests for ever.
    async fn hear_of_requests(&self, heard: &Notify) {
        loop {
            match self.store.listen_to_inbox().await {
                Ok(mut listener) => {
                    // Some may have come before.
                    heard.notify_one();
                    while listener.next().await.is_some() {
                        heard.notify_one();
                    }
                }
                Err(error) => tracing::warn!(%error, "cannot listen for requests in SQL"),
            }
            sleep(LISTEN_AGAIN).await;
        }
    }

    async fn meet_requests(self: &Arc<Self>, heard: &Notify, stop: &CancellationToken) {
        let mut turns = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = async {
                    heard.notified().await;
                    sleep(GATHER).await;
                } => {}
                // Something may have come while it had its turn.
                Some(_) = turns.join_next() => {}
                () = sleep(SWEEP) => {}
            }
            while turns.try_join_next().is_some() {}
            match self.store.claim_inbox(LEASE).await {
                Ok(claims) => {
                    for claim in claims {
                        turns.spawn(self.clone().meet_claimed(claim, stop.clone()));
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot look for requests in SQL");
                    sleep(LISTEN_AGAIN).await;
                }
            }
        }
        while turns.join_next().await.is_some() {}
    }

    /// Has a turn at a partition, and gives it up then.
    async fn meet_claimed(self: Arc<Self>, claim: InboxClaim, stop: CancellationToken) {
        let given_up = match stop.run_until_cancelled(self.meet_all(&claim)).await {
            Some(Ok(pause)) => self.store.release_inbox(&claim, pause).await,
            Some(Err(error)) => Err(error),
            None => self.store.release_inbox(&claim, Duration::ZERO).await,
        };
        if let Err(error) = given_up {
            tracing::warn!(%error, "requests in SQL rest until the lease has run out");
        }
    }

    /// Meets what waits in a partition: how long what is left is to rest.
    async fn meet_all(&self, claim: &InboxClaim) -> Result<Duration> {
        // Senders of requests that could not be met for now: what is behind these waits with them.
        let mut passed_over = Vec::new();
        loop {
            let requests = self.store.inbox_requests(claim, LEASE, &passed_over, CHUNK).await?;
            let Some(requests) = requests.filter(|requests| !requests.is_empty()) else {
                return Ok(if passed_over.is_empty() { Duration::ZERO } else { PAUSE });
            };
            let until = Instant::now() + RENEW;
            let met = stream::iter(by_sender(requests));
            let met = met.map(|requests| self.meet_those_of(requests, until));
            let met: Vec<Met> = met.buffer_unordered(SENDERS_AT_ONCE).collect().await;
            let mut outcomes = Vec::new();
            for met in met {
                outcomes.extend(met.outcomes);
                passed_over.extend(met.stuck);
            }
            self.store.finish_inbox(claim, &outcomes).await?;
            for outcome in &outcomes {
                let result = if outcome.result.is_ok() { "sent" } else { "refused" };
                counter!(telemetry::INBOX_REQUESTS, "result" => result).increment(1);
            }
        }
    }

    /// Meets requests of one sender, one after the other, until one cannot be met for now.
    async fn meet_those_of(&self, requests: Vec<InboxRequest>, until: Instant) -> Met {
        let mut met = Met::default();
        let mut known = None;
        for request in requests {
            if Instant::now() > until {
                break;
            }
            let request_id = request.request_id;
            let result = match self.meet(&mut known, &request).await {
                Ok(message_id) => Ok(message_id),
                Err(error) if error.is_final() || has_waited(&request, self.store.now()) => {
                    Err((error.code().to_owned(), error.to_string()))
                }
                Err(error) => {
                    tracing::info!(%error, request_id, "a request in SQL is met later");
                    met.stuck = Some(request.sender);
                    break;
                }
            };
            met.outcomes.push(InboxOutcome { request_id, result });
        }
        met
    }

    /// Sends what a request asks for. `known` is the sender, once it was looked up.
    async fn meet(
        &self,
        known: &mut Option<Known>,
        request: &InboxRequest,
    ) -> Result<SealedMessageId> {
        let actor = Actor::unasked(format!("sql:{}", request.requested_by));
        let from = match request.sender.split_once(':') {
            Some(("system", name)) => Sender::System(name.to_owned()),
            Some((_, user_id)) => Sender::User(user_id.to_owned()),
            None => return Err(Error::internal("a request in SQL without a sender")),
        };
        if known.as_ref().is_none_or(Result::is_err) {
            *known = Some(self.sender(&actor, &from).await);
        }
        let Some(sender) = known else { return Err(Error::internal("a sender was not looked up")) };
        let (user_no, user_id) = sender.clone()?;
        let append = self.read_send_as((user_no, user_id), send_as(request)).await?;
        if request.bypass {
            let details = json!({ "messages": 1, "from": [append.sender_id.as_str()] });
            self.store.record(actor.audit("send_bypassing", details)).await?;
        }
        Ok(self.delivery.append(append)?.committed().await?.message_id)
    }

    /// Deletes what has been done for a while.
    pub(super) async fn forget_requests(&self) -> Result<()> {
        while self.store.forget_inbox(KEPT, FORGET_BATCH).await? == FORGET_BATCH {}
        Ok(())
    }
}

/// What came of the requests of one sender.
#[derive(Default)]
struct Met {
    outcomes: Vec<InboxOutcome>,
    /// The sender, when a request could not be met for now.
    stuck: Option<String>,
}

/// The requests of each sender, in their order.
fn by_sender(requests: Vec<InboxRequest>) -> Vec<Vec<InboxRequest>> {
    let mut requests = requests;
    // Stable: those of one sender stay as they were.
    requests.sort_by(|one, other| one.sender.cmp(&other.sender));
    let of_each = requests.chunk_by(|one, other| one.sender == other.sender);
    of_each.map(<[InboxRequest]>::to_vec).collect()
}

/// A request as a message that a backend sends.
fn send_as(request: &InboxRequest) -> SendAs {
    let to = match request.recipient.split_once(':') {
        Some(("group", group_id)) => Recipient::Group(group_id.to_owned()),
        Some((_, user_id)) => Recipient::User(user_id.to_owned()),
        None => Recipient::User(request.recipient.clone()),
    };
    SendAs {
        from: None,
        message: Send {
            to: Some(to),
            client_message_id: request.client_message_id.to_string(),
            content: Some(SendContent::of(&request.content)),
            mentions: Vec::new(),
            mention_all: false,
            reply_to: String::new(),
            forward_of: String::new(),
            attachments: Vec::new(),
            address: None,
        },
        notice: Notice { silent: request.silent, no_push: request.no_push },
        sender_timeline: true,
        bypass: request.bypass,
    }
}

fn has_waited(request: &InboxRequest, now: OffsetDateTime) -> bool {
    now - request.requested_at > TRIED_FOR
}
