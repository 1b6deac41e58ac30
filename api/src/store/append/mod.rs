//! The hot path: appending a batch of messages to all the timelines concerned, in one transaction of
//! one round trip.

mod places;
mod session;
mod verdicts;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use metrics::counter;
use time::OffsetDateTime;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use super::{
    OtherNodes, Store,
    connection::ConnectError,
    fault::{self, Fault},
};
use crate::{
    model::{
        Attachment, Content, ContentHash, ConversationId, ConversationNo, Cursor, Entry, Error,
        Forwarded, IfBlocked, Mentions, MessageIdCipher, Notice, Quote, Result, SealedMessageId,
        SessionId, TimelineNo, UserId, UserNo, WhoMay,
    },
    telemetry,
};

pub use self::session::LANE_SETTINGS;
pub(super) use self::{
    places::Layout,
    session::LaneConnection,
    verdicts::{kept_out, not_taken, other_closed},
};

/// For how long a batch is run again after a failure that is nobody's fault.
const RETRY_FOR: Duration = Duration::from_secs(5);

/// How long one attempt may take. A server that hangs must not keep a batch from the one that takes over.
const ATTEMPT: Duration = Duration::from_secs(3);

/// How long even the last attempt gets.
const LEAST: Duration = Duration::from_secs(1);

/// The first pause before running a batch again; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The longest of these pauses.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// A message to append.
#[derive(Debug, Clone)]
pub struct Append {
    /// Who sends it.
    pub sender: UserNo,
    /// The same, by id.
    pub sender_id: UserId,
    /// The session it is sent from, which must be live; `None` for one that a backend sends.
    pub session_id: Option<SessionId>,
    /// The conversation as the sender sees it: the recipient, a group, or the sender for a note to
    /// oneself.
    pub conversation: ConversationNo,
    /// The same, by id.
    pub conversation_id: ConversationId,
    /// The id that its sender gave it.
    pub client_message_id: Uuid,
    /// What it says.
    pub content: Content,
    /// [`Content::hash`] of it.
    pub content_hash: ContentHash,
    /// Whom it mentions; only in groups.
    pub mentions: Mentions,
    /// What becomes of it when the recipient blocks the sender.
    pub if_blocked: IfBlocked,
    /// Whether it is stored whatever the recipient or the group wants: blocks, contacts, membership, mutes
    /// and roles are not asked.
    pub bypass: bool,
    /// How terminals are to make it known.
    pub notice: Notice,
    /// Whether the sender has it: else its place in the sender's timeline says nothing, as if it had been deleted.
    pub sender_timeline: bool,
    /// The message that it quotes, which stands in the same conversation.
    pub quote: Option<Box<AppendQuote>>,
    /// Where what it says comes from, if it is forwarded.
    pub forward: Option<Box<AppendForward>>,
    /// Its attachments.
    pub attachments: Arc<[Attachment]>,
}

/// Where a forwarded message comes from.
#[derive(Debug, Clone)]
pub struct AppendForward {
    /// Who sent first what it says.
    pub sender: UserNo,
    /// The same by id, and when.
    pub shown: Forwarded,
}

/// A quoted message by its places in the timelines of a message that quotes it.
#[derive(Debug, Clone)]
pub struct AppendQuote {
    /// As the sender of the message sees it, who must have it.
    pub own: Quote,
    /// As the recipient does; in a group its place in the group's timeline.
    pub other: Quote,
}

/// A message that stands in every participant's timeline.
#[derive(Debug, Clone)]
pub struct Appended {
    /// The message's id.
    pub message_id: SealedMessageId,
    /// The place in the sender's timeline.
    pub cursor: Cursor,
    /// When it was appended there.
    pub appended_at: OffsetDateTime,
    /// Whether it stood there before.
    pub duplicate: bool,
    /// The places of all copies; of the sender's alone, where the recipient was to get none.
    pub places: Vec<(TimelineNo, i64)>,
    /// The entries that this append made; none for a duplicate.
    pub entries: Vec<(TimelineNo, Arc<Entry>)>,
    /// Where else the participants had streams, asked behind the commit: a stream that was added since
    /// finds the entries in the log. None when it is not known.
    pub other_nodes: Option<Arc<OtherNodes>>,
}

impl Append {
    /// The timelines that it is appended to: the sender's, and the recipient's or the group's.
    pub fn timelines(&self) -> impl Iterator<Item = TimelineNo> + use<> {
        std::iter::once(self.sender.into()).chain(self.other())
    }

    /// The timeline of the other row: the recipient's or the group's; `None` for a note to oneself.
    fn other(&self) -> Option<TimelineNo> {
        (self.conversation != self.sender.into()).then_some(TimelineNo(self.conversation.0))
    }
}

/// A connection of its own for one lane of appends.
pub struct AppendConnection {
    store: Store,
    node_no: i64,
    connection: Option<LaneConnection>,
    begin: &'static str,
    messages_from: WhoMay,
}

impl Store {
    /// A connection for appending, on the node `node_no`. Connects at first use, and again when the
    /// connection is lost.
    #[must_use]
    pub fn append_connection(&self, node_no: i64) -> AppendConnection {
        AppendConnection {
            store: self.clone(),
            node_no,
            connection: None,
            begin: "BEGIN",
            messages_from: WhoMay::Anyone,
        }
    }
}

impl AppendConnection {
    /// Closes the connection, wherever it stands. The next batch opens another.
    pub fn close(&mut self) {
        self.connection = None;
    }

    /// As it is, for a deployment whose users take messages from these where they say nothing else.
    #[must_use]
    pub fn messages_from(self, messages_from: WhoMay) -> Self {
        Self { messages_from, ..self }
    }

    /// Plants a bug, for tests: nothing holds the statements together, each commits by itself.
    #[cfg(feature = "planted-bugs")]
    #[must_use]
    pub fn without_transactions(self) -> Self {
        Self { begin: "", ..self }
    }

    /// Appends the batch and commits; the results stand in the order of the batch. Items that are
    /// refused leave no trace and no gap. Ordered: an item's places come after those of the items before
    /// it. A batch must not hold one (sender, `client_message_id`) twice.
    ///
    /// A batch must not hold messages of two senders to one group: each sender's timeline is brought up
    /// to the group's first, which would miss the other's message.
    ///
    /// Errors of an item: [`Error::SessionEnded`], [`Error::InvalidToken`],
    /// [`Error::ClientMessageIdConflict`], [`Error::UserNotFound`], [`Error::ImportUnfinished`],
    /// [`Error::RecipientBlocked`], [`Error::NotAccepted`], [`Error::MessageQuotaUsed`], [`Error::Blocked`]; in groups [`Error::GroupNotFound`],
    /// [`Error::NotAMember`], [`Error::Muted`], [`Error::GroupRoleNeeded`];
    /// [`Error::Unavailable`] when it is not known whether the batch was committed: to be sent again.
    pub async fn commit(&mut self, batch: &[Append]) -> Vec<Result<Appended>> {
        let all = |error: Error| batch.iter().map(|_| Err(error.clone())).collect();
        let cipher = match Box::pin(self.store.message_id_cipher()).await {
            Ok(cipher) => cipher,
            Err(error) => return all(error),
        };
        let began = Instant::now();
        let mut pause = FIRST_PAUSE;
        // Whether an earlier attempt may have been committed.
        let mut in_doubt = false;
        loop {
            let left = RETRY_FOR.saturating_sub(began.elapsed()).clamp(LEAST, ATTEMPT);
            match self.attempt(&cipher, batch, in_doubt, left).await {
                Ok(results) => return results,
                Err(fault) => {
                    in_doubt |= fault.leaves_doubt();
                    if let Some(code) = fault.code() {
                        self.store.0.connector.note(code);
                    }
                    if fault.ends_connection() {
                        self.leave(&fault);
                    }
                    if began.elapsed() > RETRY_FOR || !worth_another_try(&fault) {
                        return all(fault.into());
                    }
                    counter!(telemetry::BATCH_RETRIES).increment(1);
                    tracing::debug!(error = %fault, "running a batch again");
                    tokio::time::sleep(pause).await;
                    pause = LONGEST_PAUSE.min(pause * 2);
                }
            }
        }
    }

    async fn attempt(
        &mut self,
        cipher: &Arc<MessageIdCipher>,
        batch: &[Append],
        in_doubt: bool,
        deadline: Duration,
    ) -> Result<Vec<Result<Appended>>, Fault> {
        let connection = match &mut self.connection {
            Some(connection) if !connection.is_closed() => connection,
            none => {
                let opening = LaneConnection::open(
                    &self.store,
                    cipher.clone(),
                    self.node_no,
                    self.begin,
                    self.messages_from,
                );
                // Boxed: it is large, and seldom.
                let opened = timeout(deadline, Box::pin(opening)).await;
                none.insert(opened.map_err(|_| ConnectError::late(deadline))??)
            }
        };
        Ok(connection.attempt(batch, in_doubt, deadline).await?)
    }

    /// Gives the connection up, and those of the pool with it when the server is of no use any more.
    fn leave(&mut self, fault: &Fault) {
        let hung = self.connection.take().is_some_and(|connection| connection.is_cut());
        if hung || fault.code().is_some_and(fault::leaves_server) {
            self.store.0.connector.suspect();
        }
    }
}

/// Whether a batch that failed so may succeed when it is run again as it is. That includes a lost
/// connection: what was committed all the same is found by the check for duplicates.
fn worth_another_try(fault: &Fault) -> bool {
    fault.passes() || fault.code() == Some(&SqlState::UNIQUE_VIOLATION)
}
