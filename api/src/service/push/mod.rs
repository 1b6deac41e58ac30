//! Push: terminals that have no stream are told of messages, by a server of the deployment's own or by the
//! push service of a browser.
//!
//! Whom to tell is decided by cursors: whoever has no stream and is behind its timeline a while after a message
//! has come. The timeline is the outbox, so that nothing but what a terminal was told of last is kept: a node
//! that has appended messages looks at their recipients, and each node looks at all terminals now and then, for
//! what a node that died has left behind. A terminal is claimed before it is told, so that nodes do not tell it twice.

mod apns;
mod fcm;
mod notification;
mod telling;
mod web_push;
mod webhook;

use std::time::Duration;

use futures::future::OptionFuture;
use secrecy::SecretString;
use time::OffsetDateTime;

pub(in crate::service) use self::web_push::retry_after;
use self::{
    apns::Apns,
    fcm::Fcm,
    notification::{News, Test},
    web_push::WebPush,
    webhook::Webhook,
};
pub use self::{apns::ApnsSettings, fcm::FcmSettings};
use super::{Service, access::Identity};
use crate::{
    model::{
        Error, PushContent, PushProvider, PushResult, PushTarget, QuietHours, Result, SessionId,
    },
    store::{PushToken, Store},
};

/// The longest token, in bytes.
const MAX_TOKEN_LENGTH: usize = 4096;

/// Among how many of the newest entries unread messages are counted.
const BADGE_AMONG: i64 = 500;

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
        Ok(Self { delay, web_push, webhook, apns, fcm })
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
        let unread = self.store.newest_unread(&[token.user_no], BADGE_AMONG).await?;
        let badge = unread.get(&token.user_no).copied().unwrap_or_default();
        let news = News::Test(Test::new(badge));
        let told = self.push.tell(&token.target, (token.session_id, 0), &news).await;
        if let Told::Gone(since) = told {
            self.store.drop_push(token, since).await?;
        }
        Ok(told.result())
    }
}
