//! Push: terminals that have no stream are told of messages, by a server of the deployment's own or by the
//! push service of a browser.
//!
//! Whom to tell is decided by cursors: whoever has no stream and is behind its timeline a while after a message
//! has come. The timeline is the outbox, so that nothing but what a terminal was told of last is kept: a node
//! that has appended messages looks at their recipients, and each node looks at all terminals now and then, for
//! what a node that died has left behind. A terminal is claimed before it is told, so that nodes do not tell it twice.

mod notification;
mod web_push;
mod webhook;

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use metrics::counter;
use secrecy::SecretString;
use tokio::time::{Instant, sleep};

use self::{notification::Notification, web_push::WebPush, webhook::Webhook};
use super::{Service, access::Identity};
use crate::{
    model::{
        Body, ConversationNo, EntryKind, Error, PushContent, PushProvider, PushTarget, Result,
        Stretch,
    },
    store::{PushClaim, PushLook, PushOutcome, Store},
    telemetry,
};

/// How often a node looks at the recipients of what it has appended.
const LOOK: Duration = Duration::from_millis(250);

/// How often it looks at all terminals.
const SWEEP: Duration = Duration::from_secs(5);

/// How many terminals are claimed at a time.
const BATCH: usize = 200;

/// How many are told at a time.
const AT_ONCE: usize = 64;

/// How long a claim lasts: more than all that a batch may take.
const CLAIM: Duration = Duration::from_mins(2);

/// How many of the newest messages a terminal is told of at most.
const MOST_MESSAGES: i64 = 64;

/// The first pause after a failure; it doubles with each in a row.
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// The longest pause, also of those that a provider asks for.
const LONGEST_PAUSE: Duration = Duration::from_mins(30);

/// After how many failures in a row a terminal is not told of what it would have been.
const MOST_FAILURES: i32 = 12;

/// How push is set up.
#[derive(Debug, Clone)]
pub struct PushSettings {
    /// How long after a message terminals are told.
    pub delay: Duration,
    /// Says to push services who runs the deployment: `mailto:` or `https:`. `None` for no Web Push.
    pub subject: Option<String>,
    /// Which push services are written to: `*.` stands for one or more labels of a host.
    pub services: Vec<String>,
    /// The server of the deployment's own, and the key that requests to it are signed with.
    pub webhook: Option<(String, SecretString)>,
    /// What makes the requests.
    pub http: reqwest::Client,
}

/// A token as a client gives it.
#[derive(Debug, Default)]
pub struct SetPush {
    /// The provider, by name.
    pub provider: String,
    /// What the provider knows the terminal by; of Web Push the endpoint.
    pub token: String,
    /// Of Web Push: the browser's public key, in base64url.
    pub p256dh: String,
    /// Of Web Push: its secret, in base64url.
    pub auth: String,
    /// What is told of messages.
    pub content: PushContent,
}

/// How the caller's terminal is told of messages.
#[derive(Debug)]
pub struct PushState {
    /// The providers there are.
    pub providers: Vec<PushProvider>,
    /// The key that a browser subscribes with, in base64url; empty without Web Push.
    pub web_push_key: String,
    /// The one that tells the caller's terminal, if one does.
    pub provider: Option<PushProvider>,
}

/// The providers of a node.
pub(super) struct Push {
    delay: Duration,
    web_push: Option<WebPush>,
    webhook: Option<Webhook>,
}

/// What came of one request to a provider.
enum Told {
    Delivered,
    /// Not now; perhaps after so long.
    Later(Option<Duration>),
    /// The token is none any more.
    Gone,
    /// It will never be taken.
    Refused,
}

impl Push {
    pub(super) async fn start(store: &Store, settings: PushSettings) -> Result<Self> {
        let PushSettings { delay, subject, services, webhook, http } = settings;
        let web_push = match subject {
            Some(subject) => Some(WebPush::load(store, subject, services, http.clone()).await?),
            None => None,
        };
        let webhook = webhook.map(|(url, key)| Webhook::new(url, &key, http));
        Ok(Self { delay, web_push, webhook })
    }

    /// Whether there is a provider at all.
    fn is_on(&self) -> bool {
        self.web_push.is_some() || self.webhook.is_some()
    }

    fn providers(&self) -> Vec<PushProvider> {
        let webhook = self.webhook.as_ref().map(|_| PushProvider::Webhook);
        let web_push = self.web_push.as_ref().map(|_| PushProvider::WebPush);
        webhook.into_iter().chain(web_push).collect()
    }

    /// Checks a token.
    fn target(&self, set: &SetPush) -> Result<PushTarget> {
        match (set.provider.as_str(), &self.webhook, &self.web_push) {
            ("webhook", Some(_), _) => webhook::target(&set.token),
            ("web_push", _, Some(web_push)) => web_push.target(&set.token, &set.p256dh, &set.auth),
            _ => {
                let names: Vec<&str> = self.providers().iter().map(|p| p.name()).collect();
                let reason = match names.as_slice() {
                    [] => "this server has no push provider".to_owned(),
                    names => format!("must be one of those that there are: {}", names.join(", ")),
                };
                Err(Error::invalid("provider", reason))
            }
        }
    }

    async fn tell(&self, claim: &PushClaim, notification: &Notification) -> Told {
        match (&claim.target, &self.webhook, &self.web_push) {
            (PushTarget::Webhook { token }, Some(webhook), _) => {
                webhook.tell(claim, token, notification).await
            }
            (PushTarget::WebPush(target), _, Some(web_push)) => {
                web_push.tell(target, notification).await
            }
            // The provider is not set up any more.
            _ => Told::Refused,
        }
    }
}

impl Service {
    /// How the caller's terminal is told of messages, and how it could be.
    pub async fn push(&self, token: Option<&str>) -> Result<PushState> {
        let caller = self.reader(token).await?;
        Ok(PushState {
            providers: self.push.providers(),
            web_push_key: self.push.web_push.as_ref().map(WebPush::key).unwrap_or_default(),
            provider: self.store.push_of(caller.user_no, caller.session_id).await?,
        })
    }

    /// Has the caller's terminal told of messages that come while it has no stream, until its session ends.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::RateLimited`].
    pub async fn set_push(&self, token: Option<&str>, set: SetPush) -> Result<()> {
        let caller = self.push_changer(token).await?;
        let target = self.push.target(&set)?;
        self.store.set_push(caller.user_no, caller.session_id, &target, set.content).await
    }

    /// Has the caller's terminal told no more.
    ///
    /// Errors: [`Error::RateLimited`].
    pub async fn remove_push(&self, token: Option<&str>) -> Result<()> {
        let caller = self.push_changer(token).await?;
        self.store.remove_push(caller.user_no, caller.session_id).await
    }

    async fn push_changer(&self, token: Option<&str>) -> Result<Identity> {
        let caller = self.changer(token).await?;
        self.check_session(&caller).await?;
        Ok(caller)
    }

    /// Tells terminals, for ever.
    pub async fn keep_pushing(self: Arc<Self>) {
        if !self.push.is_on() {
            std::future::pending::<()>().await;
        }
        self.delivery.want_recipients();
        let mut sweep_at = Instant::now();
        loop {
            sleep(LOOK).await;
            let users = self.delivery.take_recipients(self.push.delay);
            for users in users.chunks(BATCH) {
                self.push_all(PushLook::Users(users)).await;
            }
            if Instant::now() >= sweep_at {
                sweep_at = Instant::now() + SWEEP;
                if let Err(error) = self.store.forget_push().await {
                    tracing::warn!(%error, "push tokens of ended sessions stay for now");
                }
                self.push_all(PushLook::Still(self.push.delay)).await;
            }
        }
    }

    /// Tells all that are to be told of those that are looked at.
    async fn push_all(&self, look: PushLook<'_>) {
        loop {
            let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
            let claims = match self.store.claim_push(look, CLAIM, limit).await {
                Ok(claims) => claims,
                Err(error) => {
                    tracing::warn!(%error, "cannot look which terminals to tell");
                    return;
                }
            };
            let full = claims.len() >= BATCH;
            stream::iter(claims).for_each_concurrent(AT_ONCE, |claim| self.push_one(claim)).await;
            if !full {
                return;
            }
        }
    }

    async fn push_one(&self, claim: PushClaim) {
        let finished = match self.tell(&claim).await {
            Ok(outcome) => self.store.finish_push(&claim, outcome).await,
            Err(error) => Err(error),
        };
        if let Err(error) = finished {
            // When the claim is over, another look finds it.
            tracing::warn!(%error, "a terminal is told later, or twice");
        }
    }

    async fn tell(&self, claim: &PushClaim) -> Result<PushOutcome> {
        for notification in self.notifications(claim).await? {
            let provider = claim.target.provider().name();
            let told = self.push.tell(claim, &notification).await;
            let result = match &told {
                Told::Delivered => "delivered",
                Told::Later(_) => "failed",
                Told::Gone => "gone",
                Told::Refused => "refused",
            };
            counter!(telemetry::PUSHES, "provider" => provider, "result" => result).increment(1);
            match told {
                Told::Delivered | Told::Refused => {}
                Told::Gone => return Ok(PushOutcome::Gone),
                Told::Later(_) if claim.failures >= MOST_FAILURES => {}
                Told::Later(asked) => {
                    let doubled = 2_u32.saturating_pow(claim.failures.unsigned_abs());
                    let pause = asked.unwrap_or(FIRST_PAUSE.saturating_mul(doubled));
                    return Ok(PushOutcome::Later(pause.clamp(FIRST_PAUSE, LONGEST_PAUSE)));
                }
            }
        }
        Ok(PushOutcome::Handled)
    }

    /// What a terminal is to be told: of each conversation its newest message that is unread.
    async fn notifications(&self, claim: &PushClaim) -> Result<Vec<Notification>> {
        let first = claim.has.max(claim.last_seq.saturating_sub(MOST_MESSAGES)) + 1;
        let stretch = Stretch { owner: claim.user_no.into(), first, last: claim.last_seq };
        let entries = self.store.entries_in(&[stretch], MOST_MESSAGES).await?;
        let mut candidates = Vec::new();
        for (_, entry) in &entries {
            let EntryKind::Message(message) = &entry.kind else { continue };
            let Body::Content(content) = &message.body else { continue };
            // Its own, or one that its sender wants nobody to be told of.
            if message.client_message_id.is_some() || message.notice.no_push {
                continue;
            }
            let conversation = self.store.conversation_no(&message.conversation_id).await?;
            candidates.push((conversation, message, content, entry));
        }
        let conversations: Vec<ConversationNo> =
            candidates.iter().map(|(conversation, ..)| *conversation).collect();
        let read = self.store.read_seqs(claim.user_no, &conversations).await?;
        let mut notifications: Vec<Notification> = Vec::new();
        for (conversation, message, content, entry) in candidates {
            if read.get(&conversation).is_some_and(|seq| entry.seq() <= *seq) {
                continue;
            }
            let earlier = notifications.iter().position(|of| of.conversation == conversation);
            let count = earlier.map_or(0, |at| notifications.remove(at).count) + 1;
            let about = (claim.content, conversation, count);
            notifications.push(Notification::new(about, message, content, entry));
        }
        Ok(notifications)
    }
}
