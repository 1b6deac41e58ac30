//! Administration. [`Admin`] is the permission: only its methods administrate, and only the right key
//! makes one.

mod attachments;
mod audit;
mod broadcasts;
mod checks;
mod contacts;
mod epochs;
mod groups;
mod jobs;
mod keys;
mod messages;
mod push;
mod retention;
mod send;
mod sessions;
mod status;
mod terminals;
mod users;
mod watching;
mod webhooks;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use bytes::Bytes;
use secrecy::ExposeSecret;

use super::{SecurityEvent, SecurityKind, Service, tokens::sha256};
use crate::{
    model::{ClientAddress, Error, PageSize, Result, Role, Session, UserId, UserNo, is_line},
    store::Audit,
    telemetry::call,
};

pub use attachments::AttachmentQuery;
pub use audit::AuditQuery;
pub use broadcasts::{CreateBroadcast, MOST_LISTED};
pub use checks::{Check, CheckResult, CheckSettings};
pub use epochs::{NewEpochs, Whose};
pub use groups::AdminGroup;
pub use messages::{MessageTrace, TracedCopy, TracedMessage, TracedTerminal};
pub use push::PushQuery;
pub use retention::{NewTier, NewUserLimits};
pub(super) use send::Known;
pub use send::{MOST_SENT, SendAs, Sender};
pub use sessions::{Kick, SessionQuery};
pub use status::ClusterStatus;
pub use users::DescribedUser;
pub use watching::NodeLoad;
pub use webhooks::WebhookTest;

/// The longest note or reason of an administrator, in characters.
const MAX_NOTE_LENGTH: usize = 256;

/// What the audit calls the key of the data folder.
const BOOTSTRAP_KEY: &str = "local";

/// What comes with each call of an administrator.
#[derive(Debug, Default)]
pub struct AdminCall<'a> {
    /// The admin key, if there is one.
    pub key: Option<&'a str>,
    /// Why the call is made, for the audit: as a text in UTF-8.
    pub reason: Bytes,
    /// From where.
    pub address: Option<ClientAddress>,
}

/// How far something has got that takes its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is done and committed.
    pub done: i64,
    /// How much there was at the beginning.
    pub total: i64,
}

/// An administrator at work.
pub struct Admin<'a> {
    service: &'a Service,
    role: Role,
    actor: Actor,
}

/// Who is at work and why, for the audit.
#[derive(Clone)]
pub(super) struct Actor {
    name: String,
    reason: String,
    address: Option<ClientAddress>,
}

impl Actor {
    /// Who acts without a call of an administrator.
    pub(super) fn unasked(name: String) -> Self {
        Self { name, reason: String::new(), address: None }
    }

    pub(super) fn audit(&self, action: &'static str, details: serde_json::Value) -> Audit<'_> {
        let (actor, reason, address) = (&self.name, &self.reason, self.address);
        Audit { actor, action, details, reason, address }
    }
}

impl Service {
    /// Lets an administrator in. The key is looked up with every call, so that a revoked one is good
    /// for nothing at once.
    ///
    /// Errors: [`Error::InvalidAdminKey`]; [`Error::InvalidArgument`] for the reason.
    pub async fn admin(&self, admin_call: AdminCall<'_>) -> Result<Admin<'_>> {
        let (name, role) = self.known_key(admin_call.key.unwrap_or_default()).await?;
        call::note_administrator(&name);
        let reason = str::from_utf8(&admin_call.reason)
            .map_err(|_| Error::invalid("reason", "must be UTF-8"))?;
        check_line("reason", reason)?;
        let actor = Actor { name, reason: reason.to_owned(), address: admin_call.address };
        Ok(Admin { service: self, role, actor })
    }

    /// Whether a key is good. For a transport that reads on only then; each call checks it again.
    ///
    /// Errors: [`Error::InvalidAdminKey`].
    pub async fn check_admin_key(&self, key: Option<&str>) -> Result<()> {
        let known = self.known_key(key.unwrap_or_default()).await.map(drop);
        // Outside of a call it is only asked what the client may take.
        if let (Err(Error::InvalidAdminKey), Some(_), Some(call)) = (&known, key, call::current()) {
            let event = self.security(SecurityKind::AdminKeyRefused);
            self.note_security(event.from(call.address()));
        }
        known
    }

    async fn known_key(&self, key: &str) -> Result<(String, Role)> {
        let bootstrap = self.bootstrap_key.expose_secret().as_bytes();
        if verify_slices_are_equal(key.as_bytes(), bootstrap).is_ok() {
            return Ok((BOOTSTRAP_KEY.to_owned(), Role::Admin));
        }
        let known = self.store.find_admin_key(&sha256(key.as_bytes())).await?;
        known.map(|known| (known.name, known.role)).ok_or(Error::InvalidAdminKey)
    }
}

impl Admin<'_> {
    /// The user that a listing is limited to; `None`, for all, when `user_id` is empty.
    async fn only_of(&self, user_id: &str) -> Result<Option<UserNo>> {
        if user_id.is_empty() {
            return Ok(None);
        }
        self.service.store.user_no(&UserId::parse("user_id", user_id)?).await.map(Some)
    }

    /// Whether the administrator's role allows what needs `role`.
    pub(super) fn require(&self, role: Role) -> Result<()> {
        if self.role.covers(role) { Ok(()) } else { Err(Error::PermissionDenied(role)) }
    }

    pub(super) fn audit(&self, action: &'static str, details: serde_json::Value) -> Audit<'_> {
        self.actor.audit(action, details)
    }

    /// An event that this administrator has brought about.
    pub(super) fn security(&self, kind: SecurityKind) -> SecurityEvent {
        self.service.security(kind).by(&self.actor.name).from(self.actor.address)
    }

    /// Tells of sessions of a user that this administrator has ended.
    pub(super) fn note_ended(&self, user_id: &str, ended: &[Session]) {
        self.service.note_ended(user_id, &self.actor.name, self.actor.address, ended);
    }

    /// For work that goes on when the call has returned.
    pub(super) fn actor(&self) -> Actor {
        self.actor.clone()
    }
}

/// The page size of an administrator's listing.
fn list_size(page_size: i32) -> Result<PageSize> {
    PageSize::parse("page_size", page_size, 100, 1000)
}

pub(super) fn check_note(note: &str) -> Result<()> {
    check_line("note", note)
}

/// Checks what an administrator says to people.
fn check_line(field: &'static str, text: &str) -> Result<()> {
    if text.chars().count() <= MAX_NOTE_LENGTH && is_line(text) {
        return Ok(());
    }
    let wrong = format!(
        "must be at most {MAX_NOTE_LENGTH} characters, none of them a control character or a change of direction"
    );
    Err(Error::invalid(field, wrong))
}
