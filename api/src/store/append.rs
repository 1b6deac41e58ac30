//! The hot path: appending a batch of messages to all the timelines concerned, in one transaction of
//! two round trips.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{FutureExt, future::try_join3};
use metrics::counter;
use time::OffsetDateTime;
use tokio_postgres::{Client, NoTls, Row, Statement, error::SqlState};
use uuid::Uuid;

use super::{Store, add_options, sessions::read_end};
use crate::model::{
    Body, Content, ContentHash, ConversationId, Cursor, Entry, EntryKind, Error, Message,
    MessageId, Result, SessionId, UserId, UserNo,
};
use crate::telemetry;

/// Set on every connection that appends. The counters must be locked in the order of owners, which
/// only the nested loop over the sorted owners does. Between the two round trips there is nothing to
/// wait for, so a node that lets the server wait has stopped.
pub const LANE_SETTINGS: &str = "-c enable_hashjoin=off -c enable_mergejoin=off \
     -c enable_seqscan=off -c plan_cache_mode=force_generic_plan \
     -c idle_in_transaction_session_timeout=2s";

/// For how long a batch is run again after a failure that is nobody's fault.
const RETRY_FOR: Duration = Duration::from_secs(5);

/// The first pause before running a batch again; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The longest of these pauses.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Takes the places. The owners are sorted: this is the order of the locks.
const COUNT: &str = "\
    UPDATE timelines t
    SET last_seq = t.last_seq + o.entries, last_message_no = t.last_message_no + o.entries,
        last_at = greatest(t.last_at, now())
    FROM unnest($1::bigint[], $2::bigint[]) o (owner, entries)
    WHERE t.owner = o.owner
    RETURNING t.owner, t.epoch, t.last_seq, t.last_message_no, t.last_at";

/// Finds the items that must not be appended. A statement of its own behind the locks: one snapshot
/// with them would not see what the holders of those locks have just committed.
const CHECK: &str = "\
    SELECT i.item, s.session_id, s.ended_at, s.end_reason, s.ended_by_type, s.ended_by_device_name,
        s.end_note, t.epoch, e.seq, e.conversation, e.content_hash, e.appended_at, e.copies
    FROM unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::uuid[])
        i (item, sender, session_id, client_message_id)
    LEFT JOIN sessions s ON s.user_no = i.sender AND s.session_id = i.session_id
    LEFT JOIN timelines t ON t.owner = i.sender
    LEFT JOIN entries e ON e.owner = i.sender AND e.client_message_id = i.client_message_id
    WHERE s.session_id IS NULL OR s.ended_at IS NOT NULL OR e.seq IS NOT NULL";

/// Fills the places: two rows a message, one for a note to oneself.
const INSERT: &str = "\
    INSERT INTO entries (owner, seq, conversation, sender, sender_seq, message_no, appended_at, kind,
        client_message_id, content_hash, copies, content_type, body)
    SELECT c.owner, c.seq, c.conversation, i.sender, i.sender_seq, c.message_no, c.appended_at, 1,
        c.client_message_id, c.content_hash, c.copies, i.content_type, i.body
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::timestamptz[],
                $5::bigint[], $6::bigint[], $7::bigint[], $8::timestamptz[],
                $9::uuid[], $10::bytea[], $11::text[], $12::bytea[])
        i (sender, sender_seq, sender_message_no, sender_at,
           recipient, recipient_seq, recipient_message_no, recipient_at,
           client_message_id, content_hash, content_type, body)
    CROSS JOIN LATERAL (VALUES
        (i.sender, i.sender_seq, i.recipient, i.sender_message_no, i.sender_at, i.client_message_id,
         i.content_hash, CASE WHEN i.recipient_seq IS NOT NULL THEN ARRAY[i.recipient, i.recipient_seq] END),
        (i.recipient, i.recipient_seq, i.sender, i.recipient_message_no, i.recipient_at, NULL, NULL, NULL)
    ) c (owner, seq, conversation, message_no, appended_at, client_message_id, content_hash, copies)
    WHERE c.seq IS NOT NULL";

/// A message to append.
#[derive(Debug, Clone)]
pub struct Append {
    /// Who sends it.
    pub sender: UserNo,
    /// The same, by id.
    pub sender_id: UserId,
    /// The session it is sent from, which must be live.
    pub session_id: SessionId,
    /// To whom; the sender for a note to oneself.
    pub recipient: UserNo,
    /// The same, by id.
    pub recipient_id: UserId,
    /// The id that its sender gave it.
    pub client_message_id: Uuid,
    /// What it says.
    pub content: Content,
    /// [`Content::hash`] of it.
    pub content_hash: ContentHash,
}

/// A message that stands in every participant's timeline.
#[derive(Debug, Clone)]
pub struct Appended {
    /// The message's id.
    pub message_id: MessageId,
    /// The place in the sender's timeline.
    pub cursor: Cursor,
    /// When it was appended there.
    pub appended_at: OffsetDateTime,
    /// Whether it stood there before.
    pub duplicate: bool,
    /// The places of all copies.
    pub places: Vec<(UserNo, i64)>,
    /// The entries that this append made; none for a duplicate.
    pub entries: Vec<(UserNo, Arc<Entry>)>,
}

/// A connection of its own for one lane of appends.
pub struct AppendConnection {
    store: Store,
    session: Option<LaneSession>,
    begin: &'static str,
}

struct LaneSession {
    client: Client,
    begin: &'static str,
    count: Statement,
    check: Statement,
    insert: Statement,
}

enum Attempt {
    /// All are appended, in the order of the batch.
    Committed(Vec<Appended>),
    /// Nothing is appended; these items, by their place in the batch, must not be.
    Refused(Vec<(usize, Result<Appended>)>),
}

impl Store {
    /// A connection for appending. Connects at first use, and again when the connection is lost.
    /// `count_outside_transaction` plants a bug, for tests: without BEGIN, each statement commits.
    #[must_use]
    pub fn append_connection(&self, count_outside_transaction: bool) -> AppendConnection {
        let begin = if count_outside_transaction { "" } else { "BEGIN" };
        AppendConnection { store: self.clone(), session: None, begin }
    }
}

impl AppendConnection {
    /// Appends the batch and commits; the results stand in the order of the batch. Items that are
    /// refused leave no trace, the others no gap. Ordered: an item's places come after those of the
    /// items before it. A batch must not hold one (sender, `client_message_id`) twice.
    ///
    /// Errors of an item: [`Error::SessionEnded`], [`Error::InvalidToken`],
    /// [`Error::ClientMessageIdConflict`], [`Error::UserNotFound`]; [`Error::Unavailable`] when it is
    /// not known whether the batch was committed: to be sent again.
    pub async fn commit(&mut self, batch: &[Append]) -> Vec<Result<Appended>> {
        let mut results: Vec<Option<Result<Appended>>> = vec![None; batch.len()];
        let began = Instant::now();
        let mut pause = FIRST_PAUSE;
        // Whether an earlier attempt may have been committed.
        let mut in_doubt = false;
        loop {
            let open: Vec<usize> = (0..batch.len()).filter(|&i| results[i].is_none()).collect();
            if open.is_empty() {
                break;
            }
            let items: Vec<&Append> = open.iter().map(|&i| &batch[i]).collect();
            match self.attempt(&items, in_doubt).await {
                Ok(Attempt::Committed(appended)) => {
                    for (i, appended) in open.into_iter().zip(appended) {
                        results[i] = Some(Ok(appended));
                    }
                }
                Ok(Attempt::Refused(refused)) => {
                    for (position, result) in refused {
                        results[open[position]] = Some(result);
                    }
                }
                Err(error) => {
                    in_doubt |= error.code().is_none_or(is_shutdown);
                    self.recover(&error).await;
                    if began.elapsed() > RETRY_FOR || !worth_another_try(&error) {
                        let error = Error::from(error);
                        for i in open {
                            results[i] = Some(Err(error.clone()));
                        }
                        break;
                    }
                    counter!(telemetry::BATCH_RETRIES).increment(1);
                    tracing::debug!(%error, "running a batch again");
                    tokio::time::sleep(pause).await;
                    pause = LONGEST_PAUSE.min(pause * 2);
                }
            }
        }
        results.into_iter().flatten().collect()
    }

    async fn attempt(
        &mut self,
        items: &[&Append],
        in_doubt: bool,
    ) -> Result<Attempt, tokio_postgres::Error> {
        let session = match &mut self.session {
            Some(session) => session,
            none => none.insert(LaneSession::open(&self.store, self.begin).await?),
        };
        session.attempt(items, in_doubt).await
    }

    /// Leaves the failed transaction; drops the connection where that does not work.
    async fn recover(&mut self, error: &tokio_postgres::Error) {
        let Some(session) = &self.session else { return };
        if error.is_closed() || session.client.batch_execute("ROLLBACK").await.is_err() {
            self.session = None;
        }
    }
}

impl LaneSession {
    async fn open(store: &Store, begin: &'static str) -> Result<Self, tokio_postgres::Error> {
        let mut config = store.config.clone();
        add_options(&mut config, LANE_SETTINGS);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection.map(drop));
        let (count, check, insert) =
            try_join3(client.prepare(COUNT), client.prepare(CHECK), client.prepare(INSERT)).await?;
        Ok(Self { client, begin, count, check, insert })
    }

    async fn attempt(
        &mut self,
        items: &[&Append],
        in_doubt: bool,
    ) -> Result<Attempt, tokio_postgres::Error> {
        let (counters, refused) = self.lock_and_check(items).await?;
        let refused = refusals(items, &counters, &refused, in_doubt);
        if !refused.is_empty() {
            self.client.batch_execute("ROLLBACK").await?;
            return Ok(Attempt::Refused(refused));
        }
        let placed = place(items, counters);
        self.insert_and_commit(items, &placed).await?;
        Ok(Attempt::Committed(
            items.iter().zip(placed).map(|(item, at)| at.appended(item)).collect(),
        ))
    }

    /// The first round trip: locks the counters, takes the places, then checks.
    async fn lock_and_check(
        &self,
        items: &[&Append],
    ) -> Result<(BTreeMap<i64, Counter>, Vec<Row>), tokio_postgres::Error> {
        let mut entries: BTreeMap<i64, i64> = BTreeMap::new();
        for item in items {
            for owner in item.owners() {
                *entries.entry(owner.0).or_default() += 1;
            }
        }
        let (owners, counts): (Vec<i64>, Vec<i64>) = entries.iter().unzip();
        let numbers: Vec<i64> = (0..).take(items.len()).collect();
        let senders = column(items, |item| item.sender.0);
        let sessions = column(items, |item| item.session_id.0);
        let ids = column(items, |item| item.client_message_id);
        // Polled together, so sent together.
        let ((), counters, refused) = try_join3(
            self.client.batch_execute(self.begin),
            self.client.query(&self.count, &[&owners, &counts]),
            self.client.query(&self.check, &[&numbers, &senders, &sessions, &ids]),
        )
        .await?;
        let counter = |row: &Row| {
            let owner = row.get(0);
            (owner, Counter::before(row, entries[&owner]))
        };
        Ok((counters.iter().map(counter).collect(), refused))
    }

    /// The second round trip.
    async fn insert_and_commit(
        &self,
        items: &[&Append],
        placed: &[Placed],
    ) -> Result<(), tokio_postgres::Error> {
        let received = |read: fn(&Place) -> i64| -> Vec<Option<i64>> {
            placed.iter().map(|p| p.received.as_ref().map(read)).collect()
        };
        let sent = |read: fn(&Place) -> i64| -> Vec<i64> {
            placed.iter().map(|p| read(&p.sent)).collect()
        };
        let sent_at: Vec<OffsetDateTime> = placed.iter().map(|p| p.sent.at).collect();
        let received_at: Vec<Option<OffsetDateTime>> =
            placed.iter().map(|p| p.received.as_ref().map(|place| place.at)).collect();
        let inserting = async {
            self.client
                .execute(
                    &self.insert,
                    &[
                        &column(items, |item| item.sender.0),
                        &sent(|place| place.cursor.seq),
                        &sent(|place| place.message_no),
                        &sent_at,
                        &column(items, |item| item.recipient.0),
                        &received(|place| place.cursor.seq),
                        &received(|place| place.message_no),
                        &received_at,
                        &column(items, |item| item.client_message_id),
                        &column(items, |item| item.content_hash.as_slice()),
                        &column(items, |item| item.content.content_type()),
                        &column(items, |item| item.content.body().as_ref()),
                    ],
                )
                .await
        };
        // A COMMIT behind a failed statement answers ROLLBACK and no error: both must succeed.
        futures::future::try_join(inserting, self.client.batch_execute("COMMIT")).await?;
        Ok(())
    }
}

fn column<'a, T>(items: &[&'a Append], read: impl Fn(&'a Append) -> T) -> Vec<T> {
    items.iter().map(|item| read(item)).collect()
}

impl Append {
    /// Whose timelines it goes to.
    fn owners(&self) -> impl Iterator<Item = UserNo> {
        let other = (self.recipient != self.sender).then_some(self.recipient);
        std::iter::once(self.sender).chain(other)
    }
}

/// How far a timeline has been filled.
struct Counter {
    epoch: i64,
    seq: i64,
    message_no: i64,
    at: OffsetDateTime,
}

impl Counter {
    /// The counter as it was before it took `entries` places.
    fn before(row: &Row, entries: i64) -> Self {
        Self {
            epoch: row.get(1),
            seq: row.get::<_, i64>(2) - entries,
            message_no: row.get::<_, i64>(3) - entries,
            at: row.get(4),
        }
    }

    fn next(&mut self) -> Place {
        self.seq += 1;
        self.message_no += 1;
        let cursor = Cursor { epoch: self.epoch, seq: self.seq };
        Place { cursor, message_no: self.message_no, at: self.at }
    }
}

/// The place of one copy.
struct Place {
    cursor: Cursor,
    message_no: i64,
    at: OffsetDateTime,
}

/// The places of one message.
struct Placed {
    sent: Place,
    received: Option<Place>,
}

/// Gives out the places that the counters took. Every owner has a counter: `refusals` saw to it.
fn place(items: &[&Append], mut counters: BTreeMap<i64, Counter>) -> Vec<Placed> {
    let mut next = |owner: UserNo| counters.get_mut(&owner.0).map(Counter::next);
    items
        .iter()
        .filter_map(|item| {
            let sent = next(item.sender)?;
            let received = (item.recipient != item.sender).then(|| next(item.recipient)).flatten();
            Some(Placed { sent, received })
        })
        .collect()
}

impl Placed {
    fn appended(self, item: &Append) -> Appended {
        let message_id = MessageId { sender: item.sender, sender_seq: self.sent.cursor.seq };
        let entry = |place: Place, peer: &UserId, client_message_id| {
            Arc::new(Entry {
                cursor: place.cursor,
                appended_at: place.at,
                kind: EntryKind::Message(Message {
                    message_id,
                    conversation_id: ConversationId::User(peer.clone()),
                    sender: item.sender_id.clone(),
                    client_message_id,
                    body: Body::Content(item.content.clone()),
                }),
            })
        };
        let cursor = self.sent.cursor;
        let appended_at = self.sent.at;
        let sent = entry(self.sent, &item.recipient_id, Some(item.client_message_id));
        let received = self.received.map(|place| entry(place, &item.sender_id, None));
        let received = received.map(|entry| (item.recipient, entry));
        let entries: Vec<_> = std::iter::once((item.sender, sent)).chain(received).collect();
        let places = entries.iter().map(|(owner, entry)| (*owner, entry.seq())).collect();
        Appended { message_id, cursor, appended_at, duplicate: false, places, entries }
    }
}

/// The items that must not be appended, and their results.
fn refusals(
    items: &[&Append],
    counters: &BTreeMap<i64, Counter>,
    checked: &[Row],
    in_doubt: bool,
) -> Vec<(usize, Result<Appended>)> {
    let mut refused: BTreeMap<usize, Result<Appended>> = BTreeMap::new();
    for (position, item) in items.iter().enumerate() {
        if !counters.contains_key(&item.sender.0) {
            refused.insert(position, Err(Error::InvalidToken("the token's user is not known")));
        } else if !counters.contains_key(&item.recipient.0) {
            refused.insert(position, Err(Error::UserNotFound(item.recipient_id.clone())));
        }
    }
    for row in checked {
        let position = usize::try_from(row.get::<_, i64>("item")).unwrap_or(usize::MAX);
        if let Some(item) = items.get(position) {
            refused.insert(position, verdict(item, row, in_doubt));
        }
    }
    refused.into_iter().collect()
}

fn verdict(item: &Append, row: &Row, in_doubt: bool) -> Result<Appended> {
    // A message that this very call has committed stands, whatever became of its session since.
    if in_doubt && let Some(appended) = earlier(item, row) {
        return Ok(appended);
    }
    if row.get::<_, Option<Uuid>>("session_id").is_none() {
        return Err(Error::InvalidToken("the token's session is not known"));
    }
    if let Some(end) = read_end(row) {
        return Err(end.into());
    }
    earlier(item, row).ok_or(Error::ClientMessageIdConflict)
}

/// The same message, where it stands already.
fn earlier(item: &Append, row: &Row) -> Option<Appended> {
    let same_recipient = row.get::<_, Option<i64>>("conversation") == Some(item.recipient.0);
    let same_content = row.get::<_, Option<&[u8]>>("content_hash") == Some(&item.content_hash);
    if !(same_recipient && same_content) {
        return None;
    }
    let cursor = Cursor { epoch: row.get("epoch"), seq: row.get("seq") };
    let copies: Option<Vec<i64>> = row.get("copies");
    let others = copies.unwrap_or_default();
    let others = others.chunks_exact(2).map(|copy| (UserNo(copy[0]), copy[1]));
    Some(Appended {
        message_id: MessageId { sender: item.sender, sender_seq: cursor.seq },
        cursor,
        appended_at: row.get("appended_at"),
        duplicate: true,
        places: std::iter::once((item.sender, cursor.seq)).chain(others).collect(),
        entries: Vec::new(),
    })
}

/// Whether the server was on its way down.
fn is_shutdown(code: &SqlState) -> bool {
    code.code().starts_with("57P")
}

/// Whether a batch that failed so may succeed when it is run again as it is. That includes a lost
/// connection: what was committed all the same is found by the check for duplicates.
fn worth_another_try(error: &tokio_postgres::Error) -> bool {
    const PASSING: [SqlState; 5] = [
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        SqlState::UNIQUE_VIOLATION,
    ];
    match error.code() {
        Some(code) => PASSING.contains(code) || is_shutdown(code),
        None => true,
    }
}
