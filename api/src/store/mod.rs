//! SQL, and nothing else has any. A method of [`Store`] is one whole transaction; a file holds the
//! statements of one table group beside their row mapping.

mod address;
mod admin_keys;
mod append;
mod assertions;
mod audit;
mod blocks;
mod conversations;
mod cursors;
mod deletion;
mod directory;
mod entries;
mod epochs;
mod erasure;
mod export;
mod import;
mod keys;
mod login_points;
mod migrate;
mod nodes;
mod notify;
mod purge;
mod read_marks;
mod sessions;
mod status;
mod terminal_types;
mod tiers;
mod timelines;
mod tombstones;
mod trace;
mod users;

use std::{path::Path, sync::Arc, time::Duration};

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime,
};
use tokio::sync::OnceCell;
use tokio_postgres::error::SqlState;

pub use address::Address;
pub use admin_keys::AdminKey;
pub use append::{Append, AppendConnection, Appended, LANE_SETTINGS};
pub use audit::{Audit, AuditRecord};
pub use blocks::ChangeBlock;
pub use conversations::HistoryPage;
pub use cursors::SessionCursor;
pub use deletion::{Deletion, Remains};
pub use erasure::Erased;
pub use export::{ExportStart, ExportedMessage};
pub use import::{ImportMessage, ImportedBatch};
pub use keys::{AccessKey, Key};
pub use login_points::{LoginPoint, OtherNodes};
pub use nodes::{Heartbeat, Node, PeerHeartbeat};
pub use notify::Listener;
pub use purge::{PurgeLook, PurgeTurn, PurgedBatch};
pub use read_marks::{MarkRead, MarkedRead};
pub use sessions::{
    AdminSession, Ending, NewSession, Opened, Proof, Rotation, SessionCheck, SessionFilter,
    SessionState, SessionsEnded, UNKNOWN_TIER, Which,
};
pub use status::Status;
pub use terminal_types::TerminalTypeChange;
pub use tiers::{Effect, TierUse, UserLimits};
pub use timelines::TimelinePage;
pub use tombstones::{Delete, Recall};
pub use trace::{CopyState, MessageCopy, MessageName, Trace};
pub use users::{Credentials, User};

use self::{address::Tls, directory::Directory};
use crate::model::{Error, MessageIdCipher, Result};

/// How long a request waits for a connection before it is refused.
const POOL_WAIT: Duration = Duration::from_secs(5);

/// Set on every connection: a node that stops in the middle of a transaction must not hold others up
/// for more than seconds (I11).
const SESSION_SETTINGS: &str = "-c lock_timeout=5s -c idle_in_transaction_session_timeout=5s";

/// PostgreSQL: a pool of connections for requests, and the address for those who need one of their
/// own. Cheap to clone, and as small as a pointer: every stream has one.
#[derive(Clone)]
pub struct Store(Arc<Database>);

struct Database {
    pool: Pool,
    config: tokio_postgres::Config,
    tls: Tls,
    directory: Directory,
    message_ids: OnceCell<Arc<MessageIdCipher>>,
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
        let mut config = address.config;
        add_options(&mut config, SESSION_SETTINGS);
        config
            .application_name("imd")
            .connect_timeout(Duration::from_secs(5))
            // A server that has vanished without a word is noticed within seconds.
            .tcp_user_timeout(Duration::from_secs(10))
            .keepalives_idle(Duration::from_secs(5))
            .keepalives_interval(Duration::from_secs(2))
            .keepalives_retries(3);
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let pool = Pool::builder(Manager::from_config(config.clone(), tls.clone(), recycling))
            .max_size(pool_size)
            .wait_timeout(Some(POOL_WAIT))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(Error::internal)?;
        Ok(Self(Arc::new(Database {
            pool,
            config,
            tls,
            directory: Directory::default(),
            message_ids: OnceCell::new(),
        })))
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        self.client().await?.batch_execute("").await?;
        Ok(())
    }

    async fn client(&self) -> Result<Object> {
        Ok(self.0.pool.get().await?)
    }
}

/// Adds settings to those that the URL brings.
fn add_options(config: &mut tokio_postgres::Config, settings: &str) {
    let options = format!("{} {settings}", config.get_options().unwrap_or_default());
    config.options(options);
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        let lost = match error.code() {
            Some(code) => {
                *code == SqlState::ADMIN_SHUTDOWN
                    || *code == SqlState::CRASH_SHUTDOWN
                    || *code == SqlState::CANNOT_CONNECT_NOW
                    || *code == SqlState::TOO_MANY_CONNECTIONS
                    || *code == SqlState::LOCK_NOT_AVAILABLE
                    || *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
            }
            // Not the server's answer: the connection is gone or never was.
            None => {
                error.is_closed()
                    || std::error::Error::source(&error)
                        .is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
            }
        };
        if lost { Self::unavailable(error) } else { Self::internal(error) }
    }
}

impl From<PoolError> for Error {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => error.into(),
            other => Self::unavailable(other),
        }
    }
}
