//! Events that who watches over a deployment wants to hear of: failed logins, ended sessions, keys and accounts that
//! change. Each is a line of the log; none has a password, a token or a key in it.

use std::{borrow::Cow, sync::Arc, time::Duration};

use metrics::counter;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::{
    sync::{Mutex, mpsc},
    time::sleep,
};

use super::Service;
use crate::{
    model::{ClientAddress, EndReason, Session, UserId},
    telemetry::{self, call},
};

/// How many events wait to be told to those who watch. Further ones are in the log alone.
const MOST_WAITING: usize = 1000;

/// How many are told at a time.
const MOST_TOLD: usize = 100;

/// The pause between.
const PAUSE: Duration = Duration::from_millis(50);

/// The events that those who watch are to be told of.
pub(super) struct Watched {
    queue: mpsc::Sender<SecurityEvent>,
    waiting: Mutex<mpsc::Receiver<SecurityEvent>>,
}

impl Default for Watched {
    fn default() -> Self {
        let (queue, waiting) = mpsc::channel(MOST_WAITING);
        Self { queue, waiting: Mutex::new(waiting) }
    }
}

impl Watched {
    fn add(&self, event: SecurityEvent) {
        let _ = self.queue.try_send(event);
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecurityKind {
    /// A session was opened.
    Login,
    /// A password was wrong, or an assertion was refused.
    LoginFailed,
    /// A session has ended.
    SessionEnded,
    /// An account was given a password.
    PasswordSet,
    /// An account may not log in any more.
    UserDisabled,
    /// An account may log in again.
    UserEnabled,
    /// An account is being deleted.
    UserDeleted,
    /// A key for administrators was made.
    AdminKeyCreated,
    /// A key for administrators is good for nothing any more.
    AdminKeyRevoked,
    /// A call on the admin listener came with a key that is not known.
    AdminKeyRefused,
    /// Access tokens are signed with a new key.
    AccessKeyRotated,
}

impl SecurityKind {
    /// Its name, as in logs and answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::LoginFailed => "login_failed",
            Self::SessionEnded => "session_ended",
            Self::PasswordSet => "password_set",
            Self::UserDisabled => "user_disabled",
            Self::UserEnabled => "user_enabled",
            Self::UserDeleted => "user_deleted",
            Self::AdminKeyCreated => "admin_key_created",
            Self::AdminKeyRevoked => "admin_key_revoked",
            Self::AdminKeyRefused => "admin_key_refused",
            Self::AccessKeyRotated => "access_key_rotated",
        }
    }
}

/// An event. What is not known, or does not apply, is empty.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SecurityEvent {
    /// What happened.
    pub kind: SecurityKind,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The node where it happened.
    pub node_id: String,
    /// About which user.
    pub user_id: String,
    /// The type of the terminal.
    pub terminal_type: String,
    /// The session.
    pub session_id: String,
    /// From where the call came.
    pub address: String,
    /// The administrator or the issuer that did it, by name.
    pub by: String,
    /// More, as the reason of an end, or a key's name and role.
    pub detail: Cow<'static, str>,
    /// The id of the call.
    pub request_id: String,
}

impl SecurityEvent {
    pub(super) fn about(mut self, user_id: &str) -> Self {
        // What a client gives as a user id can be any text.
        if UserId::parse("user_id", user_id).is_ok() {
            user_id.clone_into(&mut self.user_id);
        }
        self
    }

    pub(super) fn of(self, session: &Session) -> Self {
        Self {
            terminal_type: session.terminal.terminal_type.clone(),
            session_id: session.session_id.0.to_string(),
            ..self
        }
    }

    pub(super) fn on(self, terminal_type: &str) -> Self {
        Self { terminal_type: terminal_type.to_owned(), ..self }
    }

    pub(super) fn from(self, address: Option<ClientAddress>) -> Self {
        let address = address.map(|address| address.0.to_string()).unwrap_or_default();
        Self { address, ..self }
    }

    pub(super) fn by(self, name: &str) -> Self {
        Self { by: name.to_owned(), ..self }
    }

    pub(super) fn with(self, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    /// Whether it is one of those that come all the time, with nothing wrong.
    fn is_usual(&self) -> bool {
        match self.kind {
            SecurityKind::Login => true,
            SecurityKind::SessionEnded => self.detail == EndReason::LoggedOut.name(),
            _ => false,
        }
    }

    fn log(&self) {
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: "imd::security",
                    event = self.kind.name(),
                    user_id = known(&self.user_id),
                    terminal = known(&self.terminal_type),
                    session_id = known(&self.session_id),
                    address = known(&self.address),
                    by = known(&self.by),
                    detail = known(&self.detail),
                    request_id = known(&self.request_id),
                    "security"
                )
            };
        }
        if self.is_usual() {
            line!(debug);
        } else {
            line!(info);
        }
    }
}

fn known(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

impl Service {
    /// An event that happens now, on behalf of the call under way.
    pub(super) fn security(&self, kind: SecurityKind) -> SecurityEvent {
        let request_id = call::request_id().map(|id| id.to_string());
        SecurityEvent {
            kind,
            at: OffsetDateTime::now_utc(),
            node_id: self.node_id.clone(),
            user_id: String::new(),
            terminal_type: String::new(),
            session_id: String::new(),
            address: String::new(),
            by: String::new(),
            detail: "".into(),
            request_id: request_id.unwrap_or_default(),
        }
    }

    /// Tells of an event: the log, and those who watch.
    pub(super) fn note_security(&self, event: SecurityEvent) {
        counter!(telemetry::SECURITY_EVENTS, "event" => event.kind.name()).increment(1);
        event.log();
        self.watched.add(event);
    }

    /// Tells those who watch of events, until the node stops.
    pub async fn keep_telling_of_security(self: Arc<Self>) {
        let mut events = self.watched.waiting.lock().await;
        let mut batch = Vec::new();
        loop {
            events.recv_many(&mut batch, MOST_TOLD).await;
            let payloads: Vec<String> =
                batch.drain(..).filter_map(|event| serde_json::to_string(&event).ok()).collect();
            if let Err(error) = self.store.tell_of_security(&payloads).await {
                tracing::debug!(%error, "nobody hears of security events");
            }
            sleep(PAUSE).await;
        }
    }

    /// Tells of sessions of a user that have ended.
    pub(super) fn note_ended(
        &self,
        user_id: &str,
        by: &str,
        address: Option<ClientAddress>,
        ended: &[Session],
    ) {
        for session in ended {
            let reason = session.end.as_ref().map_or("", |end| end.reason.name());
            let event = self.security(SecurityKind::SessionEnded);
            self.note_security(event.about(user_id).of(session).from(address).by(by).with(reason));
        }
    }
}
