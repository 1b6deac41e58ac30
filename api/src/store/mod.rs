//! SQL, and nothing else has any. A method of [`Store`] is one whole transaction; a file holds the
//! statements of one table group beside their row mapping.

mod address;
mod admin_keys;
mod append;
mod assertions;
mod attachments;
mod audit;
mod baseline;
mod blocks;
mod broadcasts;
mod census;
mod checks;
mod client;
mod clock;
mod connection;
mod contacts;
mod conversation_list;
mod conversation_settings;
mod conversations;
mod cursors;
mod dedupe;
mod deletion;
mod description;
mod directory;
mod drafts;
mod edits;
mod entries;
mod epochs;
mod erasure;
mod export;
mod fault;
mod followers;
mod forwards;
mod groups;
mod health;
mod import;
mod inbox;
mod jobs;
mod keys;
mod login_points;
mod migrate;
mod nodes;
mod notify;
mod outbox;
mod pins;
mod presence;
mod profiles;
mod purge;
mod push;
mod quotas;
mod quotes;
mod reactions;
mod read_marks;
mod retention;
mod schedule;
mod search;
mod security;
mod server;
mod sessions;
mod signals;
mod since;
mod status;
mod terminal_types;
mod tiers;
mod timelines;
mod tombstones;
mod trace;
mod undelivered;
mod users;
mod webhooks;

use std::{path::Path, sync::Arc};

use deadpool::managed::QueueMode;
use tokio::sync::{Notify, OnceCell};

pub use address::{Address, AddressError};
pub use admin_keys::AdminKey;
pub use append::{Append, AppendConnection, AppendForward, AppendQuote, Appended, LANE_SETTINGS};
pub use attachments::AttachmentFilter;
pub use audit::{Audit, AuditFilter, AuditRecord};
pub use baseline::{BASELINE_SCHEMA, Baseline, BaselineLane, BaselineMessage, BaselineTarget};
pub use blocks::ChangeBlock;
pub use broadcasts::{NewBroadcast, RunningBroadcast};
pub use census::Census;
pub use checks::ServerState;
pub use contacts::{RemoveContact, SetContact};
pub use conversation_list::ConversationPage;
pub use conversation_settings::ChangeConversationOf;
pub use conversations::HistoryPage;
pub use cursors::SessionCursor;
pub use deletion::{Deletion, Remains};
pub use description::UserDescription;
pub use drafts::SetDraft;
pub use edits::{EarlierVersion, Edited, NewEdit};
pub use erasure::Erased;
pub use export::{ExportPage, ExportStart, ExportedMessage};
pub use groups::{
    Actor, ChangeGroup, FannedOut, JoinOutcome, MemberSettings, NewGroup, Readers, RecallInGroup,
    Reference, Removal, RequestAnswer,
};
pub use import::{
    ImportChange, ImportConversation, ImportGroup, ImportMarks, ImportMember, ImportMessage,
    ImportUser, ImportedBatch,
};
pub use inbox::{InboxClaim, InboxOutcome, InboxRequest};
pub use jobs::Job;
pub use keys::{AccessKey, Key};
pub use login_points::{LoginPoint, OtherNodes};
pub use nodes::{Heartbeat, Node, PeerHeartbeat};
pub use notify::Listener;
pub use outbox::{BESIDE_ENTRIES, DeliveryClaim, OutboxEvent, PendingEvents};
pub use pins::{Pin, Pinned};
pub use profiles::SeenProfile;
pub use purge::{PurgeLook, PurgeTurn, PurgedBatch};
pub use push::{
    NewestUnread, PushClaim, PushFilter, PushLook, PushMarks, PushNeed, PushOutcome, PushToken,
};
pub use quotas::Quota;
pub use reactions::{React, Reacted};
pub use read_marks::{MarkRead, MarkedRead};
pub use schedule::{ChangeScheduled, DueMessage};
pub use search::{Search, SearchPage, Unindexed};
pub use server::UnusableDatabase;
pub use sessions::{
    AdminSession, Ending, NewSession, Opened, Proof, Rotation, SessionCheck, SessionFilter,
    SessionState, SessionsEnded, UNKNOWN_TIER, Which,
};
pub use signals::{SignalCheck, SignalVerdict};
pub use status::{Replication, Standby, Status};
pub use terminal_types::TerminalTypeChange;
pub use tiers::{Effect, TierUse, UserLimits};
pub use timelines::TimelinePage;
pub use tombstones::{Delete, Recall};
pub use trace::{CopyInGroup, CopyState, MessageCopy, MessageHome, MessageName, Trace};
pub use users::{Credentials, User};
pub use webhooks::{ChangeWebhook, NewWebhook, Webhook};

use self::{
    client::{Client, Manager, Pool, Transaction, transaction},
    connection::{Connector, Role},
    directory::Directory,
    followers::{Followers, reading},
    health::Health,
};
use crate::model::{Error, MessageIdCipher, Result};

/// PostgreSQL: a pool of connections for requests, and a way to open others of one's own. Cheap to
/// clone, and as small as a pointer: every stream has one.
#[derive(Clone)]
pub struct Store(Arc<Database>);

struct Database {
    pool: Pool,
    connector: Arc<Connector>,
    followers: Option<Followers>,
    directory: Directory,
    message_ids: OnceCell<Arc<MessageIdCipher>>,
    health: Health,
    /// Notified when this process has written events for webhooks.
    outbox: Arc<Notify>,
}

impl Store {
    /// A store on the database at `url`, an [`Address`]. Connects at first use.
    pub fn new(url: &str, pool_size: usize) -> Result<Self> {
        Self::trusting(None, url, pool_size)
    }

    /// As [`Store::new`]; where the server has to show who it is, `ca` is a file of the authorities that
    /// may say so.
    pub fn trusting(ca: Option<&Path>, url: &str, pool_size: usize) -> Result<Self> {
        let address: Address = url.parse()?;
        let tls = address.tls(ca)?;
        Self::over(Arc::new(Connector::new(Role::Primary, address, tls)), None, pool_size)
    }

    /// As this one, but reads are made on the servers at `url`, which follow the primary, where they have
    /// everything. To be called when [`Store::check_server`] has found the schema.
    pub fn reading_from(self, ca: Option<&Path>, url: &str, pool_size: usize) -> Result<Self> {
        let address: Address = url.parse()?;
        let tls = address.tls(ca)?;
        let connector = Connector::new(Role::Follower, address, tls);
        if let Some(schema) = self.0.connector.schema() {
            connector.use_schema(schema.clone());
        }
        let followers = Followers::new(Self::over(Arc::new(connector), None, pool_size)?);
        Self::over(self.0.connector.clone(), Some(followers), pool_size)
    }

    /// Another pool of connections to the same database, which neither can use up for the other.
    pub fn beside(&self, pool_size: usize) -> Result<Self> {
        Self::over(self.0.connector.clone(), None, pool_size)
    }

    /// The generation of the database that this process last worked in.
    #[must_use]
    pub fn generation(&self) -> i16 {
        self.0.connector.generations.current()
    }

    fn over(
        connector: Arc<Connector>,
        followers: Option<Followers>,
        pool_size: usize,
    ) -> Result<Self> {
        // The connection that was used last has its plans: in turns, each would make its own for one statement after the other.
        let pool = Pool::builder(Manager(connector.clone()))
            .max_size(pool_size)
            .queue_mode(QueueMode::Lifo)
            .build()
            .map_err(Error::internal)?;
        Ok(Self(Arc::new(Database {
            pool,
            connector,
            followers,
            directory: Directory::default(),
            message_ids: OnceCell::new(),
            health: Health::default(),
            outbox: Arc::default(),
        })))
    }
}
