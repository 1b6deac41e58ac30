//! Push: terminals that have no stream are told of messages, by a server of the deployment's own or by the
//! push service of a browser.
//!
//! Whom to tell is decided by cursors: whoever has no stream and is behind its timeline a while after a message
//! has come. The timeline is the outbox, so that nothing but what a terminal was told of last is kept: a node
//! that has appended messages looks at their recipients, and each node looks at all terminals now and then, for
//! what a node that died has left behind. A terminal is claimed before it is told, so that nodes do not tell it twice.

mod apns;
mod badges;
mod fcm;
mod notification;
mod web_push;
mod webhook;

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use futures::{StreamExt, future::OptionFuture, stream};
use metrics::counter;
use secrecy::SecretString;
use time::OffsetDateTime;
use tokio::time::{Instant, sleep};

pub(in crate::service) use self::web_push::retry_after;
use self::{
    apns::Apns,
    badges::{Badges, Step},
    fcm::Fcm,
    notification::{Cleared, News, Notification, Test},
    web_push::WebPush,
    webhook::Webhook,
};
pub use self::{apns::ApnsSettings, fcm::FcmSettings};
use super::{Service, access::Identity};
use crate::{
    model::{
        Body, Content, ConversationId, ConversationNo, Entry, EntryKind, Error, Message,
        PushContent, PushProvider, PushResult, PushTarget, QuietHours, Result, SessionId, Stretch,
    },
    store::{PushClaim, PushLook, PushMarks, PushNeed, PushOutcome, PushToken, Store},
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

/// The longest token, in bytes.
const MAX_TOKEN_LENGTH: usize = 4096;

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
    /// Apple's service.
    pub apns: Option<ApnsSettings>,
    /// Google's service.
    pub fcm: Option<FcmSettings>,
    /// What makes the requests.
    pub http: reqwest::Client,
    /// What makes those that are to be made over HTTP/2.
    pub http2: reqwest::Client,
}

/// Hours of the day as a client gives them.
#[derive(Debug, Default)]
pub struct SetQuietHours {
    /// When they begin, such as `22:00`.
    pub from: String,
    /// When they end.
    pub to: String,
    /// Whose clocks, by the name in the IANA time zone database.
    pub time_zone: String,
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
    /// The hours in which the caller is told of nothing, if there are any.
    pub quiet_hours: Option<QuietHours>,
}

/// The providers of a node.
pub(super) struct Push {
    delay: Duration,
    web_push: Option<WebPush>,
    webhook: Option<Webhook>,
    apns: Option<Apns>,
    fcm: Option<Fcm>,
    badges: Badges,
}

/// What came of one request to a provider.
enum Told {
    Delivered,
    /// Not now; perhaps after so long.
    Later(Option<Duration>),
    /// The token is none any more: if the provider says since when, unless it was bound after that.
    Gone(Option<OffsetDateTime>),
    /// It will never be taken.
    Refused,
}

impl Told {
    fn result(&self) -> PushResult {
        match self {
            Self::Delivered => PushResult::Delivered,
            Self::Later(_) => PushResult::Failed,
            Self::Gone(_) => PushResult::Gone,
            Self::Refused => PushResult::Refused,
        }
    }
}

impl Push {
    pub(super) async fn start(store: &Store, settings: PushSettings) -> Result<Self> {
        let PushSettings { delay, subject, services, webhook, apns, fcm, http, http2 } = settings;
        let web_push = match subject {
            Some(subject) => Some(WebPush::load(store, subject, services, http.clone()).await?),
            None => None,
        };
        let webhook = webhook.map(|(url, key)| Webhook::new(url, &key, http.clone()));
        let apns = apns.map(|settings| Apns::new(settings, http2)).transpose()?;
        let fcm = fcm.map(|settings| Fcm::new(&settings, http)).transpose()?;
        let badges = Badges::default();
        Ok(Self { delay, web_push, webhook, apns, fcm, badges })
    }

    /// Whether there is a provider at all.
    fn is_on(&self) -> bool {
        !self.providers().is_empty()
    }

    fn providers(&self) -> Vec<PushProvider> {
        let there = [
            (PushProvider::Webhook, self.webhook.is_some()),
            (PushProvider::WebPush, self.web_push.is_some()),
            (PushProvider::Apns, self.apns.is_some()),
            (PushProvider::Fcm, self.fcm.is_some()),
        ];
        there.into_iter().filter(|(_, is_there)| *is_there).map(|(provider, _)| provider).collect()
    }

    /// Checks a token.
    fn target(&self, set: &SetPush) -> Result<PushTarget> {
        let providers = self.providers();
        let provider = providers.iter().find(|provider| provider.name() == set.provider);
        match (provider, &self.web_push) {
            (Some(PushProvider::WebPush), Some(web_push)) => {
                web_push.target(&set.token, &set.p256dh, &set.auth)
            }
            (Some(PushProvider::Webhook), _) => read_token(&set.token).map(PushTarget::Webhook),
            (Some(PushProvider::Apns), _) => apns::target(&set.token),
            (Some(PushProvider::Fcm), _) => read_token(&set.token).map(PushTarget::Fcm),
            _ => {
                let names: Vec<&str> = providers.iter().map(|p| p.name()).collect();
                let reason = match names.as_slice() {
                    [] => "this server has no push provider".to_owned(),
                    names => format!("must be one of those that there are: {}", names.join(", ")),
                };
                Err(Error::invalid("provider", reason))
            }
        }
    }

    async fn tell(&self, target: &PushTarget, terminal: (SessionId, i64), news: &News) -> Told {
        let told = match target {
            PushTarget::Webhook(token) => {
                OptionFuture::from(self.webhook.as_ref().map(|by| by.tell(terminal, token, news)))
                    .await
            }
            PushTarget::WebPush(target) => {
                OptionFuture::from(self.web_push.as_ref().map(|by| by.tell(target, news))).await
            }
            PushTarget::Apns(token) => {
                OptionFuture::from(self.apns.as_ref().map(|by| by.tell(token, news))).await
            }
            PushTarget::Fcm(token) => {
                OptionFuture::from(self.fcm.as_ref().map(|by| by.tell(token, news))).await
            }
        };
        // Or the provider is not set up any more.
        told.unwrap_or(Told::Refused)
    }
}

/// Checks what a provider knows a terminal by.
fn read_token(token: &str) -> Result<SecretString> {
    if token.is_empty() || token.len() > MAX_TOKEN_LENGTH {
        let reason = format!("must be 1 to {MAX_TOKEN_LENGTH} bytes");
        return Err(Error::invalid("token", reason));
    }
    Ok(token.to_owned().into())
}

impl Service {
    /// How the caller's terminal is told of messages, and how it could be.
    pub async fn push(&self, token: Option<&str>) -> Result<PushState> {
        let caller = self.reader(token).await?;
        Ok(PushState {
            providers: self.push.providers(),
            web_push_key: self.push.web_push.as_ref().map(WebPush::key).unwrap_or_default(),
            provider: self.store.push_of(caller.user_no, caller.session_id).await?,
            quiet_hours: self.store.quiet_hours(caller.user_no).await?,
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

    /// Has no terminal of the caller told in these hours of the day; when they are over, of what is unread then.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::RateLimited`].
    pub async fn set_quiet_hours(&self, token: Option<&str>, hours: SetQuietHours) -> Result<()> {
        let caller = self.push_changer(token).await?;
        let hours = QuietHours::read(&hours.from, &hours.to, hours.time_zone)?;
        self.store.set_quiet_hours(caller.user_no, &hours).await
    }

    /// Has the terminals of the caller told at all hours.
    ///
    /// Errors: [`Error::RateLimited`].
    pub async fn remove_quiet_hours(&self, token: Option<&str>) -> Result<()> {
        let caller = self.push_changer(token).await?;
        self.store.remove_quiet_hours(caller.user_no).await
    }

    async fn push_changer(&self, token: Option<&str>) -> Result<Identity> {
        let caller = self.changer(token).await?;
        self.check_session(&caller).await?;
        Ok(caller)
    }

    /// Tells a terminal that this is a test: what its provider says. A token that is none any more is dropped.
    pub(super) async fn test_push(&self, token: &PushToken) -> Result<PushResult> {
        let unread = self.store.newest_unread(token.user_no, badges::AMONG).await?;
        let news = News::Test(Test::new(unread.messages.len()));
        let told = self.push.tell(&token.target, (token.session_id, 0), &news).await;
        if let Told::Gone(since) = told {
            self.store.drop_push(token, since).await?;
        }
        Ok(told.result())
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
            let claims =
                match self.store.claim_push(look, self.delivery.node_no(), CLAIM, limit).await {
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
        for news in self.news(claim).await? {
            // The claim may be some time old, and each request takes some.
            match self.store.push_need(claim).await? {
                PushNeed::Ended => return Ok(PushOutcome::Handled),
                PushNeed::Connected => return Ok(PushOutcome::Connected),
                PushNeed::Lags(cursor) if cursor >= news.seq() => continue,
                PushNeed::Lags(_) => {}
            }
            let provider = claim.target.provider().name();
            let terminal = (claim.session_id, claim.epoch);
            let told = self.push.tell(&claim.target, terminal, &news).await;
            let result = told.result().name();
            counter!(telemetry::PUSHES, "provider" => provider, "result" => result).increment(1);
            match told {
                Told::Delivered | Told::Refused => {}
                Told::Gone(since) => return Ok(PushOutcome::Gone(since)),
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

    /// What a terminal is to be told: of each conversation its newest message that is unread, and that mentions
    /// the user where the conversation is muted; and of each that it was told of, and in which nothing is unread
    /// any more, that it is cleared.
    async fn news(&self, claim: &PushClaim) -> Result<Vec<News>> {
        let first = claim.has().max(claim.last_seq.saturating_sub(MOST_MESSAGES)) + 1;
        let stretch = Stretch { owner: claim.user_no.into(), first, last: claim.last_seq };
        let entries = self.store.entries_in(&[stretch], MOST_MESSAGES).await?;
        let (mut said, mut gone, mut steps) = (Vec::new(), Vec::new(), Vec::new());
        for (_, entry) in &entries {
            match &entry.kind {
                EntryKind::Message(message) => match &message.body {
                    Body::Content(content) => said.push((entry, message, content)),
                    Body::Tombstone(_) => steps.push((entry.seq(), Step::Nothing)),
                },
                other => {
                    steps.push((entry.seq(), Step::of_event(other)));
                    gone.extend(done_with(other).map(|(of, places)| (entry, of, places)));
                }
            }
        }
        let mut told: Vec<Notification> = Vec::new();
        for Said { entry, message, content, conversation, marks } in
            self.marked(claim, said).await?
        {
            if message.client_message_id.is_some() {
                steps.push((entry.seq(), Step::Answered(conversation)));
                continue;
            }
            if entry.seq() <= marks.read_seq || marks.muted && !message.mentioned {
                steps.push((entry.seq(), Step::Nothing));
                continue;
            }
            steps.push((entry.seq(), Step::Unread(conversation)));
            if message.notice.no_push {
                continue;
            }
            let of = &message.conversation_id;
            let earlier = told.iter().position(|other| other.is_of(of));
            let count = earlier.map_or(0, |at| told.remove(at).count) + 1;
            told.push(Notification::new((claim.content, count), message, content, entry));
        }
        let mut cleared: Vec<Cleared> = Vec::new();
        for (entry, of, places) in gone {
            let known = |of| told.iter().any(|other| other.is_of(of));
            if known(of) || cleared.iter().any(|other| other.is_of(of)) {
                continue;
            }
            let (after, upto) =
                (claim.cursor_seq.max(places.start() - 1), claim.handled_seq.min(*places.end()));
            let conversation = self.store.conversation_no(of).await?;
            if after < upto
                && self.store.has_received(claim.user_no, conversation, after, upto).await?
            {
                cleared.push(Cleared::new(claim.content, of, entry));
            }
        }
        let mut news: Vec<News> = told.into_iter().map(News::Message).collect();
        news.extend(cleared.into_iter().map(News::Cleared));
        if !news.is_empty() {
            steps.sort_unstable_by_key(|(seq, _)| *seq);
            let badge = self.badge(claim, first, &steps).await?;
            for news in &mut news {
                news.set_badge(badge);
            }
        }
        Ok(news)
    }

    /// How many messages a claim's user has not read; `steps` are what the entries from `first` on do to that.
    async fn badge(&self, claim: &PushClaim, first: i64, steps: &[(i64, Step)]) -> Result<usize> {
        if let Some(badge) = self.push.badges.follow(claim, first, steps) {
            return Ok(badge);
        }
        let unread = self.store.newest_unread(claim.user_no, badges::AMONG).await?;
        let badge = unread.messages.len();
        self.push.badges.keep(claim, unread);
        Ok(badge)
    }

    /// With each message its conversation, how far that has been read, and whether it is muted.
    async fn marked<'a>(
        &self,
        claim: &PushClaim,
        said: Vec<(&'a Entry, &'a Message, &'a Content)>,
    ) -> Result<Vec<Said<'a>>> {
        let mut numbers = Vec::with_capacity(said.len());
        for (_, message, _) in &said {
            numbers.push(self.store.conversation_no(&message.conversation_id).await?);
        }
        let marks = self.store.push_marks(claim.user_no, &numbers).await?;
        let with_marks = |((entry, message, content), conversation)| {
            let marks = marks.get(&conversation).copied().unwrap_or_default();
            Said { entry, message, content, conversation, marks }
        };
        Ok(said.into_iter().zip(numbers).map(with_marks).collect())
    }
}

/// A message that still says something.
struct Said<'a> {
    entry: &'a Entry,
    message: &'a Message,
    content: &'a Content,
    conversation: ConversationNo,
    marks: PushMarks,
}

/// In which conversation messages are unread no longer, and at which places of the timeline.
fn done_with(event: &EntryKind) -> Option<(&ConversationId, RangeInclusive<i64>)> {
    match event {
        EntryKind::ReadMark(read) => Some((&read.conversation_id, 1..=read.seq)),
        EntryKind::MessageRecalled(gone) | EntryKind::MessageDeleted(gone) => {
            Some((&gone.conversation_id, gone.seq..=gone.seq))
        }
        EntryKind::MessagesErased(erased) => Some((&erased.conversation_id, 1..=i64::MAX)),
        _ => None,
    }
}
