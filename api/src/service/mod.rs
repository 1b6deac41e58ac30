//! The use cases: who may, what is valid, which limits. Every rule of imd is here or, where it is a
//! matter of data alone, in [`crate::model`]; both transports call the same methods.
//!
//! A method takes the token that came with the call, as it came, so that no handler can forget to
//! check it.

mod access;
mod access_tokens;
pub mod admin;
mod assertions;
mod attachments;
mod blocks;
mod broadcasts;
mod census;
mod contacts;
mod conversations;
mod delete_message;
mod deletion;
mod demo;
mod drafts;
mod edits;
mod export;
mod groups;
mod import;
mod inbox;
mod info;
mod jobs;
mod limits;
mod login;
mod passwords;
mod pins;
mod policy;
mod presence;
mod profiles;
mod purge;
mod push;
mod quotas;
mod reactions;
mod read_marks;
mod recall;
mod repeat;
mod schedule;
mod search;
mod security;
mod send;
mod send_order;
mod sessions;
mod signals;
mod tail;
mod timeline;
mod tokens;
mod webhook_signature;
mod webhooks;

use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    delivery::Delivery,
    model::{
        Entry, Error, GroupNo, IfBlocked, MessageId, Result, SealedMessageId, Stretch, TimelineNo,
        UserSettings,
    },
    store::Store,
};

pub use admin::{
    Admin, AdminCall, AdminGroup, AttachmentQuery, AuditQuery, Check, CheckResult, CheckSettings,
    ClusterStatus, CreateBroadcast, DescribedUser, Kick, MOST_LISTED, MOST_SENT, MessageTrace,
    NewEpochs, NewTier, NewUserLimits, NodeLoad, Progress, PushQuery, SendAs, Sender, SessionQuery,
    TracedCopy, TracedMessage, TracedTerminal, WebhookTest, Whose,
};
pub use assertions::{KeyError, TrustedIssuer};
pub use attachments::{
    AttachmentSettings, Bucket, BucketSettings, ObjectSettings, OpenAttachment, disposition,
};
pub use conversations::History;
pub use deletion::DeletionProgress;
pub use demo::DemoUser;
pub use edits::{EditMessage, EditedMessage};
pub use export::{Exported, ExportedRecord};
pub use groups::{CreateGroup, GroupReaders, Joined};
pub use import::{
    ImportLine, ImportProgress, ImportRecord, ImportStep, ImportedChange, ImportedConversation,
    ImportedEdit, ImportedForward, ImportedGroup, ImportedMarks, ImportedMessage, ImportedName,
    ImportedPin, ImportedReaction, ImportedScheduled, ImportedUser, RecordedMember, recipient,
};
pub use info::Info;
pub use limits::ClientLimits;
pub use login::{Credential, LoggedIn, Login, Tokens};
pub use policy::{
    HttpPolicy, PolicyContent, PolicyHook, PolicyQuestion, PolicyQuote, PolicySettings,
    PolicyVerdict, Written,
};
pub use purge::PurgeProgress;
pub use push::{ApnsSettings, FcmSettings, PushSettings, PushState, SetPush, SetQuietHours};
pub use schedule::UpdateScheduled;
pub use search::{SearchMessages, SearchResults};
pub use security::{SecurityEvent, SecurityKind};
pub use send::{Recipient, Send, SendContent, Sent};
pub use send_order::{SendOrder, Ticket};
pub use signals::{SendSignal, SendSignalContent};
pub use timeline::{Follow, TimelineRead};
pub use webhooks::{TailedEvent, TailedRequest, WebhookResolver, WebhookSettings, WebhookTail};

pub use crate::{
    delivery::{Event, Subscription, Watcher},
    store::{
        AccessKey, AdminKey, AdminSession, AuditRecord, ChangeGroup, CopyState, EarlierVersion,
        Effect, ExportedMessage, Job, MemberSettings, MessageHome, Node, PushToken, Replication,
        SessionState, Standby, TerminalTypeChange, TierUse, TimelinePage, User, Webhook,
    },
};

use self::{
    access_tokens::AccessTokens, assertions::Assertions, attachments::Attachments, drafts::Drafts,
    limits::Counts, passwords::Passwords, policy::Policy, push::Push, security::Watched,
    signals::WhoTypes, tokens::OpaqueTokens,
};

/// What the use cases need to know of the settings.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting")]
pub struct Limits {
    /// How long an access token lasts.
    pub access_ttl: Duration,
    /// How long a refresh token lasts.
    pub refresh_ttl: Duration,
    /// The largest body of a message, in bytes.
    pub max_body_bytes: usize,
    /// How long after sending a message can be recalled; zero for never.
    pub recall_window: Duration,
    /// How long after sending a message can be edited; zero for never.
    pub edit_window: Duration,
    /// Whether what a message said before an edit is kept.
    pub keep_edits: bool,
    /// How long after sending a retry returns the first result, at least; it does for as long as the
    /// message stands.
    pub dedupe_for: Duration,
    /// Whether a reader's peer is told how far it has read.
    pub read_receipts: bool,
    /// Whether messages are searched, and indexed for that.
    pub search: bool,
    /// What becomes of a message whose recipient blocks its sender.
    pub if_blocked: IfBlocked,
    /// What users take from whom who have not said.
    pub settings: UserSettings,
    /// How many members a group may have.
    pub max_members: i64,
    /// How often a quiet stream sends a heartbeat.
    pub heartbeat: Duration,
    /// How long an entry must have been hidden before it is deleted.
    pub purge_after: Duration,
    /// How long a session is remembered after its end.
    pub keep_ended: Duration,
    /// How long a record of the audit is kept.
    pub keep_audit: Duration,
    /// The tier of new users.
    pub default_tier: String,
    /// Whether who tries imd may make demo users.
    pub demo_users: bool,
    /// Whether users may log in by password.
    pub passwords: bool,
    /// How long a call may take, the part of a stream that follows its head left out.
    pub call_timeout: Duration,
    /// How many pages of messages are read at a time.
    pub pages_at_a_time: usize,
    /// How much one client may take.
    pub clients: ClientLimits,
}

/// What the node asks and tells servers of others'.
#[derive(Debug)]
pub struct OutwardSettings {
    /// Those that tell terminals.
    pub push: PushSettings,
    /// The customer's, that are told of events.
    pub webhooks: WebhookSettings,
    /// The customer's, that says what may be stored.
    pub policy: PolicySettings,
    /// What attachments may be, and where their bytes are.
    pub attachments: AttachmentSettings,
}

/// The use cases.
pub struct Service {
    store: Store,
    delivery: Delivery,
    access_tokens: AccessTokens,
    opaque_tokens: OpaqueTokens,
    passwords: Passwords,
    assertions: Assertions,
    bootstrap_key: SecretString,
    demo_code: SecretString,
    limits: Limits,
    counts: Counts,
    who_types: WhoTypes,
    drafts: Drafts,
    watched: Watched,
    push: Push,
    webhooks: WebhookSettings,
    policy: Policy,
    attachments: Attachments,
    checks: CheckSettings,
    /// The right to read a page: so many are read at a time, because each takes memory while it is put
    /// together, and may wait for the database more than once meanwhile.
    pages: Semaphore,
    node_id: String,
}

impl Service {
    /// The use cases over a migrated database. Makes the keys that all nodes share, when there are
    /// none. Trusts nobody's assertions until [`Service::trust`]. `bootstrap_key` is the admin key that
    /// is always good.
    pub async fn start(
        store: Store,
        delivery: Delivery,
        bootstrap_key: SecretString,
        limits: Limits,
        outward: OutwardSettings,
        checks: CheckSettings,
        node_id: String,
    ) -> Result<Self> {
        let OutwardSettings { push, webhooks, policy, attachments } = outward;
        let access_tokens = AccessTokens::load(&store, limits.access_ttl).await?;
        let opaque_tokens = OpaqueTokens::load(&store).await?;
        let passwords = Passwords::new()?;
        let push = Push::start(&store, push).await?;
        Ok(Self {
            store,
            delivery,
            access_tokens,
            opaque_tokens,
            passwords,
            assertions: Assertions::default(),
            bootstrap_key,
            demo_code: demo::new_code()?,
            counts: Counts::new(&limits.clients),
            who_types: WhoTypes::default(),
            drafts: Drafts::default(),
            watched: Watched::default(),
            push,
            webhooks,
            policy: Policy::new(policy),
            attachments: Attachments::new(attachments),
            checks,
            pages: Semaphore::new(limits.pages_at_a_time),
            limits,
            node_id,
        })
    }

    /// Trusts these issuers, and no other from now on.
    pub fn trust(&self, issuers: Vec<TrustedIssuer>) {
        self.assertions.exchange(issuers);
    }

    fn check_passwords_taken(&self) -> Result<()> {
        if self.limits.passwords {
            return Ok(());
        }
        Err(Error::invalid("password", "this server takes no passwords"))
    }

    /// The largest body of a message, in bytes.
    #[must_use]
    pub fn max_body_bytes(&self) -> usize {
        self.limits.max_body_bytes
    }

    /// How often a quiet stream sends a heartbeat.
    #[must_use]
    pub fn heartbeat(&self) -> Duration {
        self.limits.heartbeat
    }

    /// Until the node stops: then clients are to go to another.
    pub async fn draining(&self) {
        self.delivery.draining().await;
    }

    /// How long a call may take, the part of a stream that follows its head left out.
    #[must_use]
    pub fn call_timeout(&self) -> Duration {
        self.limits.call_timeout
    }

    /// Waits for its turn to read a page, until the permit is dropped.
    async fn page_turn(&self) -> Result<SemaphorePermit<'_>> {
        self.pages.acquire().await.map_err(Error::internal)
    }

    /// Hands entries on that were committed.
    fn announce<T: Into<TimelineNo>>(&self, entries: impl IntoIterator<Item = (T, Entry)>) {
        for (owner, entry) in entries {
            self.delivery.announce(owner.into(), entry);
        }
    }

    /// Hands on what was committed in these places, as it is read there.
    async fn announce_stored(&self, places: &[Stretch]) {
        match self.store.entries_in(places, i64::MAX).await {
            Ok(entries) => self.announce(entries),
            Err(error) => {
                tracing::warn!(%error, "each stream has to read the log for itself");
                for place in places {
                    self.delivery.read_log(place.owner);
                }
            }
        }
    }

    /// Sets going that members get what was appended to their groups.
    fn fan_out(&self, group_nos: impl IntoIterator<Item = GroupNo>) {
        for group_no in group_nos {
            self.delivery.fan_out(group_no);
        }
    }

    /// The message that a client names.
    async fn message_id(&self, value: &str) -> Result<MessageId> {
        let sealed = SealedMessageId::parse(value)?;
        self.store.message_id_cipher().await?.open(sealed)
    }

    /// Sets the gauges that say how much waits, and how busy connections to the database are.
    pub fn observe(&self) {
        self.delivery.observe();
        self.store.observe_connections();
    }

    /// Whether the node can do its work: whether its tasks work and the database answers.
    ///
    /// Errors: [`Error::TasksFailing`], [`Error::Unavailable`].
    pub async fn ready(&self) -> Result<()> {
        self.delivery.check()?;
        self.store.ping().await
    }
}
