//! The streams of this node, and the hand-over of entries to them.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use metrics::{counter, gauge};
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use super::recipients::Recipients;
use crate::{
    model::{Cursor, Entry, Error, Limit, Presence, Result, SessionId, Signal, TimelineNo, UserNo},
    store::LoginPoint,
    telemetry,
};

/// How many entries wait for a stream that does not take them. Beyond that they are dropped and the
/// stream reads the log at its own pace (I10).
const INBOX_LIMIT: usize = 256;

/// How many signals wait for a stream that does not take them. More are dropped.
const MOST_SIGNALS: usize = 32;

/// How many entries may wait for a stream that still gets signals: they are what it goes without first.
const ENTRIES_BEFORE_SIGNALS: usize = INBOX_LIMIT / 4;

/// When a session with too many streams may try again: a dead one ends about then.
const STREAM_WAIT: Duration = Duration::from_secs(10);

/// The shortest pause between streams that are sent elsewhere one after the other.
const LEAST_PAUSE: Duration = Duration::from_millis(10);

/// Spreads the users over locks. A power of two.
const SHARDS: usize = 64;

/// The streams of this node by user.
pub(super) struct Hub {
    shards: [Mutex<HashMap<TimelineNo, Vec<Stream>>>; SHARDS],
    next_stream_no: AtomicI64,
    streams: AtomicUsize,
    closed: AtomicBool,
    recipients: Recipients,
}

struct Stream {
    point: LoginPoint,
    inbox: Arc<Inbox>,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            next_stream_no: AtomicI64::new(1),
            streams: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            recipients: Recipients::default(),
        }
    }
}

impl Hub {
    fn shard(&self, owner: TimelineNo) -> &Mutex<HashMap<TimelineNo, Vec<Stream>>> {
        let index = owner.0.unsigned_abs() % SHARDS as u64;
        &self.shards[usize::try_from(index).unwrap_or_default()]
    }

    /// Hands the user's entries over from now on, until the registration is dropped.
    ///
    /// Errors: [`Error::RateLimited`] when the session has `most` streams here already.
    pub(super) fn register(
        self: &Arc<Self>,
        user_no: UserNo,
        session_id: SessionId,
        most: usize,
    ) -> Result<Registration> {
        let stream_no = self.next_stream_no.fetch_add(1, Ordering::Relaxed);
        let point = LoginPoint { user_no, session_id, stream_no };
        let inbox = Arc::new(Inbox::default());
        let stream = Stream { point, inbox: inbox.clone() };
        self.add(user_no.into(), stream, most)?;
        self.streams.fetch_add(1, Ordering::Relaxed);
        gauge!(telemetry::STREAMS).increment(1.0);
        if self.closed.load(Ordering::SeqCst) {
            inbox.close();
        }
        Ok(Registration { hub: self.clone(), point, inbox })
    }

    fn add(&self, owner: TimelineNo, stream: Stream, most: usize) -> Result<()> {
        let mut shard = self.shard(owner).lock();
        let streams = shard.entry(owner).or_default();
        let session_id = stream.point.session_id;
        if streams.iter().filter(|other| other.point.session_id == session_id).count() >= most {
            let (limit, retry_after) = (Limit::StreamsPerSession, STREAM_WAIT);
            return Err(Error::RateLimited { limit, retry_after });
        }
        streams.push(stream);
        Ok(())
    }

    /// Who has got messages, with streams or without.
    pub(super) fn recipients(&self) -> &Recipients {
        &self.recipients
    }

    /// Whether the owner has streams here.
    pub(super) fn has_streams(&self, owner: TimelineNo) -> bool {
        self.shard(owner).lock().contains_key(&owner)
    }

    /// Hands an entry to the owner's streams.
    pub(super) fn publish(&self, owner: TimelineNo, entry: &Arc<Entry>) {
        self.recipients.note(owner, entry);
        self.each(owner, |inbox| inbox.put(entry));
    }

    /// Hands a signal to the owner's streams, but not to those of the session `except`.
    pub(super) fn signal(
        &self,
        owner: TimelineNo,
        signal: &Arc<Signal>,
        except: Option<SessionId>,
    ) {
        if let Some(streams) = self.shard(owner).lock().get(&owner) {
            let others = streams.iter().filter(|stream| Some(stream.point.session_id) != except);
            others.for_each(|stream| stream.inbox.put_signal(signal));
        }
    }

    /// Says that the owner's timeline reaches `seq`: the owner's streams that are behind read the log.
    pub(super) fn wake(&self, owner: TimelineNo, seq: i64) {
        self.each(owner, |inbox| inbox.expect(seq));
    }

    /// Says where the owner's timeline ends: the owner's streams that are behind, or of another
    /// numbering, read the log.
    pub(super) fn compare(&self, owner: TimelineNo, end: Cursor) {
        self.each(owner, |inbox| inbox.compare(end));
    }

    fn each(&self, owner: TimelineNo, tell: impl Fn(&Inbox)) {
        if let Some(streams) = self.shard(owner).lock().get(&owner) {
            for stream in streams {
                tell(&stream.inbox);
            }
        }
    }

    /// Asks the streams that are open to go elsewhere, one after the other over so long, so that they do not all come
    /// to the other nodes at once.
    pub(super) async fn close_over(&self, period: Duration) {
        let mut inboxes = Vec::new();
        for shard in &self.shards {
            inboxes.extend(shard.lock().values().flatten().map(|stream| stream.inbox.clone()));
        }
        let began = Instant::now();
        let count = u32::try_from(inboxes.len()).unwrap_or(u32::MAX);
        for (inbox, place) in inboxes.into_iter().zip(1..) {
            inbox.close();
            let due = period.mul_f64(f64::from(place) / f64::from(count));
            if due > began.elapsed() + LEAST_PAUSE || place == count {
                sleep(due.saturating_sub(began.elapsed())).await;
            }
        }
    }

    /// Asks every stream, open or yet to come, to go elsewhere.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        for shard in &self.shards {
            for stream in shard.lock().values().flatten() {
                stream.inbox.close();
            }
        }
    }

    /// The users with streams here.
    pub(super) fn owners(&self) -> Vec<i64> {
        self.shards
            .iter()
            .flat_map(|s| s.lock().keys().map(|owner| owner.0).collect::<Vec<_>>())
            .collect()
    }

    /// Where all the streams are.
    pub(super) fn points(&self) -> Vec<LoginPoint> {
        let of = |shard: &Mutex<HashMap<TimelineNo, Vec<Stream>>>| -> Vec<LoginPoint> {
            shard.lock().values().flatten().map(|stream| stream.point).collect()
        };
        self.shards.iter().flat_map(of).collect()
    }

    /// How many streams there are.
    pub(super) fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }
}

/// A stream's place in the hub.
pub(super) struct Registration {
    hub: Arc<Hub>,
    point: LoginPoint,
    inbox: Arc<Inbox>,
}

impl Registration {
    pub(super) fn point(&self) -> LoginPoint {
        self.point
    }

    pub(super) fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let owner = self.point.user_no.into();
        let mut users = self.hub.shard(owner).lock();
        if let Some(streams) = users.get_mut(&owner) {
            streams.retain(|stream| stream.point != self.point);
            if streams.is_empty() {
                users.remove(&owner);
            }
        }
        self.hub.streams.fetch_sub(1, Ordering::Relaxed);
        gauge!(telemetry::STREAMS).decrement(1.0);
    }
}

/// What waits for one stream.
#[derive(Default)]
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

/// What a stream finds in its inbox.
#[derive(Default)]
pub(super) struct Waiting {
    /// Entries, mostly in the order of `seq`.
    pub(super) entries: VecDeque<Arc<Entry>>,
    /// Since when the first of them has waited.
    pub(super) since: Option<Instant>,
    /// Signals, each with the number of the entries that came before it.
    pub(super) signals: VecDeque<(usize, Arc<Signal>)>,
    /// Users whom the stream watches and who have changed: how they are now.
    pub(super) presence: BTreeMap<UserNo, Presence>,
    /// How far the timeline is known to reach beyond those entries; 0 when nothing is known.
    pub(super) expected: i64,
    /// The stamp of the numbering that was last seen to hold, if one was.
    pub(super) epoch: Option<i64>,
    /// Whether the stream is to go elsewhere.
    pub(super) closed: bool,
}

impl Inbox {
    fn put(&self, entry: &Arc<Entry>) {
        let mut waiting = self.waiting.lock();
        if waiting.entries.is_empty() {
            waiting.since = Some(Instant::now());
        }
        if waiting.entries.len() < INBOX_LIMIT {
            waiting.entries.push_back(entry.clone());
        } else {
            let dropped = waiting.entries.iter().map(|entry| entry.seq()).max().unwrap_or_default();
            waiting.expected = waiting.expected.max(dropped).max(entry.seq());
            waiting.entries = VecDeque::new();
            drop_signals(waiting.signals.len());
            waiting.signals = VecDeque::new();
        }
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Signals wait in the order in which they came among the entries, so that a message ends the typing
    /// before it and not the one behind it.
    fn put_signal(&self, signal: &Arc<Signal>) {
        let mut waiting = self.waiting.lock();
        waiting.signals.retain(|(_, earlier)| !earlier.is_replaced_by(signal));
        let before = waiting.entries.len();
        if before >= ENTRIES_BEFORE_SIGNALS || waiting.signals.len() >= MOST_SIGNALS {
            drop_signals(1);
            return;
        }
        waiting.signals.push_back((before, signal.clone()));
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Of each user the last that is known waits, so those that the stream watches bound it.
    pub(super) fn put_presence(&self, user_no: UserNo, presence: Presence) {
        self.waiting.lock().presence.insert(user_no, presence);
        self.arrived.notify_one();
    }

    /// Drops what waits of those who were watched so far.
    pub(super) fn forget_presence(&self) {
        self.waiting.lock().presence.clear();
    }

    fn expect(&self, seq: i64) {
        let mut waiting = self.waiting.lock();
        waiting.expected = waiting.expected.max(seq);
        drop(waiting);
        self.arrived.notify_one();
    }

    fn compare(&self, end: Cursor) {
        self.waiting.lock().epoch = Some(end.epoch);
        self.expect(end.seq);
    }

    fn close(&self) {
        self.waiting.lock().closed = true;
        self.arrived.notify_one();
    }

    /// Waits until something has arrived since the last call. May return early.
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Takes all that waits.
    pub(super) fn take(&self) -> Waiting {
        let mut waiting = self.waiting.lock();
        let closed = waiting.closed;
        Waiting { closed, ..std::mem::take(&mut *waiting) }
    }
}

/// Counts signals that a stream goes without.
fn drop_signals(count: usize) {
    counter!(telemetry::SIGNALS_DROPPED, "reason" => "stream").increment(count as u64);
}
