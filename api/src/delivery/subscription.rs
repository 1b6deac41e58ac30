//! One terminal's stream over its user's timeline: first what is stored, then what comes, in order,
//! each entry once (I5).

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures::Stream;
use metrics::{counter, histogram};
use tokio::time::{Instant, timeout_at};

use super::{
    RENUMBERED, cursors::Cursors, hub::Registration, login_points::Held, presence::Watcher,
};
use crate::{
    model::{
        Cursor, Entry, EntryKind, Error, Presence, Result, SessionEnd, SessionId, Signal, Start,
        TimelineState, Truncated, UserNo,
    },
    store::{SessionCheck, Store, TimelinePage},
    telemetry::{self, trace},
};

/// How many entries a stream reads from the log at a time.
const PAGE: i64 = 200;

/// How long a stream waits for an entry that one after it has overtaken, before it reads the log.
const REORDERING: Duration = Duration::from_millis(20);

/// For how many events a stream that waits keeps room.
const SPARE: usize = 4;

/// What a stream says.
#[derive(Debug, Clone)]
pub enum Event {
    /// The first event: how far the timeline reaches.
    Opened(TimelineState),
    /// The next entry.
    Entry(Arc<Entry>),
    /// Entries after the cursor can no longer be had; what follows stands behind them.
    HistoryTruncated(Truncated),
    /// The cursor was of another numbering; this one holds now, and entries follow from the floor.
    TimelineReset {
        /// The stamp of the numbering.
        epoch: i64,
    },
    /// Somebody types, or says something that is stored nowhere.
    Signal(Arc<Signal>),
    /// How users are now whom the stream watches.
    Presence(Arc<[Presence]>),
    /// The stream is alive.
    Heartbeat,
    /// The session has ended. The last event.
    SessionEnded(SessionEnd),
    /// The client is wanted elsewhere. The last event.
    Reconnect,
}

/// How a stream is followed.
#[derive(Debug, Clone, Copy)]
pub struct Following {
    /// Where it starts.
    pub start: Start,
    /// Whether nobody is at the terminal.
    pub idle: bool,
    /// Whether the client says by itself how far it has got.
    pub acknowledging: bool,
}

/// A stream. Bounded in memory: what is not taken waits in the log.
pub struct Subscription {
    store: Store,
    registration: Registration,
    _login_point: Held,
    watcher: Arc<Watcher>,
    cursors: Cursors,
    /// Whether the client says by itself how far it has got.
    acknowledging: bool,
    owner: UserNo,
    session_id: SessionId,
    heartbeat: Duration,
    /// The last entry that was delivered or is ready to be.
    last: Cursor,
    /// To be delivered next.
    ready: VecDeque<Event>,
    /// Entries that came before their turn.
    early: BTreeMap<i64, Arc<Entry>>,
    /// Until when the entries before those are waited for.
    gap_until: Option<Instant>,
    /// How far the timeline is known to reach.
    expected: i64,
    /// Whether `ready` holds the last event.
    finished: bool,
}

impl Subscription {
    /// Reads the first page. The registration and the login point stand already.
    pub(super) async fn open(
        store: Store,
        registration: Registration,
        login_point: Held,
        watcher: Arc<Watcher>,
        (cursors, acknowledging): (Cursors, bool),
        start: Start,
        heartbeat: Duration,
    ) -> Result<Self> {
        let point = registration.point();
        let page = store.read_timeline(point.user_no, start, PAGE).await?;
        let mut subscription = Self {
            store,
            registration,
            _login_point: login_point,
            watcher,
            cursors,
            acknowledging,
            owner: point.user_no,
            session_id: point.session_id,
            heartbeat,
            last: page.after,
            ready: VecDeque::from([Event::Opened(page.state.clone())]),
            early: BTreeMap::new(),
            gap_until: None,
            expected: 0,
            finished: false,
        };
        if !page.reset {
            // A client has what stands before the cursor that it comes with.
            subscription.note(page.after);
        }
        subscription.take_page(page).await?;
        Ok(subscription)
    }

    /// The next event; `None` after the last one. An error ends the stream: the client is to open it
    /// again with its cursor.
    pub async fn next(&mut self) -> Result<Option<Event>> {
        let quiet_until = Instant::now() + self.heartbeat;
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.note_handing_over(&event);
                return Ok(Some(event));
            }
            if self.finished {
                return Ok(None);
            }
            self.take_inbox();
            if !self.ready.is_empty() {
                continue;
            }
            if self.expected > self.last.seq {
                // Apart: a stream that waits does not keep the room that a read takes.
                Box::pin(self.read_log()).await?;
                continue;
            }
            // A page of the log may have gone through, and quiet streams are many.
            self.ready.shrink_to(SPARE);
            let until = self.gap_until.map_or(quiet_until, |gap| gap.min(quiet_until));
            let arrived = timeout_at(until, self.registration.inbox().arrived()).await;
            match (arrived, self.early.last_key_value()) {
                (Ok(()), _) => {}
                (Err(_), Some((&seq, _))) => self.expected = seq,
                (Err(_), None) => return Ok(Some(Event::Heartbeat)),
            }
        }
    }

    /// What says whom the stream watches, now and when that changes.
    #[must_use]
    pub fn watcher(&self) -> Arc<Watcher> {
        self.watcher.clone()
    }

    /// The events as a stream for a transport.
    pub fn into_stream(self) -> impl Stream<Item = Result<Event>> + Send + 'static {
        // Boxed: the stream has room for it twice, in its state and in the future of the next event.
        futures::stream::try_unfold(Box::new(self), |mut subscription| async move {
            let event = subscription.next().await?;
            Ok(event.map(|event| (event, subscription)))
        })
    }

    /// Notes how far the terminal has got once it has this event.
    fn note_handing_over(&self, event: &Event) {
        if let Event::Entry(entry) = event {
            trace::note_delivery(self.owner.into(), entry.seq(), self.session_id);
        }
        if self.acknowledging {
            return;
        }
        let epoch = self.last.epoch;
        match event {
            Event::Entry(entry) => self.note(entry.cursor),
            Event::HistoryTruncated(gone) => self.note(Cursor { epoch, seq: gone.to }),
            Event::TimelineReset { epoch } => self.note(Cursor { epoch: *epoch, seq: 0 }),
            // The entry that ends the session is the last one it gets.
            Event::SessionEnded(_) => self.note(self.last),
            Event::Opened(_)
            | Event::Signal(_)
            | Event::Presence(_)
            | Event::Heartbeat
            | Event::Reconnect => {}
        }
    }

    fn note(&self, cursor: Cursor) {
        self.cursors.note(self.owner, self.session_id, cursor);
    }

    /// Sorts what the hub has handed over.
    fn take_inbox(&mut self) {
        let waiting = self.registration.inbox().take();
        if let Some(since) = waiting.since {
            histogram!(telemetry::DELIVERY_SECONDS).record(since.elapsed());
        }
        self.expected = self.expected.max(waiting.expected);
        if waiting.epoch.is_some_and(|epoch| epoch != self.last.epoch) {
            self.expected = RENUMBERED;
        }
        let mut signals = waiting.signals.into_iter().peekable();
        for (before, entry) in waiting.entries.into_iter().enumerate() {
            while let Some((_, signal)) = signals.next_if(|(entries, _)| *entries <= before) {
                self.deliver_early();
                self.deliver_signal(signal);
            }
            if entry.cursor.epoch != self.last.epoch {
                self.expected = RENUMBERED;
            } else if entry.seq() > self.last.seq {
                self.early.insert(entry.seq(), entry);
            }
        }
        self.deliver_early();
        signals.for_each(|(_, signal)| self.deliver_signal(signal));
        if !waiting.presence.is_empty() && !self.finished {
            self.ready.push_back(Event::Presence(waiting.presence.into_values().collect()));
        }
        if waiting.closed && !self.finished {
            self.finish(Event::Reconnect);
        }
    }

    /// Delivers a signal, unless the session has ended. It waits for no entry that is still missing.
    fn deliver_signal(&mut self, signal: Arc<Signal>) {
        if !self.finished {
            counter!(telemetry::SIGNALS_DELIVERED).increment(1);
            self.ready.push_back(Event::Signal(signal));
        }
    }

    /// Delivers those of the early entries whose turn it is.
    fn deliver_early(&mut self) {
        while let Some(entry) = self.early.first_entry() {
            match *entry.key() {
                seq if seq <= self.last.seq => drop(entry.remove()),
                seq if seq == self.last.seq + 1 => {
                    let entry = entry.remove();
                    counter!(telemetry::DELIVERED, "source" => "hub").increment(1);
                    self.deliver(entry);
                }
                _ => break,
            }
        }
        self.gap_until = if self.early.is_empty() {
            None
        } else {
            self.gap_until.or_else(|| Some(Instant::now() + REORDERING))
        };
    }

    async fn read_log(&mut self) -> Result<()> {
        let read = self.store.read_timeline(self.owner, Start::After(self.last), PAGE).await;
        let page = match read {
            // The timeline went with its user before this stream got to the end of it.
            Err(Error::SessionEnded(end)) => {
                self.finish(Event::SessionEnded(*end));
                return Ok(());
            }
            read => read?,
        };
        self.take_page(page).await?;
        self.deliver_early();
        Ok(())
    }

    async fn take_page(&mut self, page: TimelinePage) -> Result<()> {
        // What the floor hides may hold the end of this session.
        if page.after.seq + 1 == page.state.floor && page.state.floor > 1 {
            self.check_session().await?;
        }
        if page.reset && !self.finished {
            self.early.clear();
            self.ready.push_back(Event::TimelineReset { epoch: page.state.epoch });
        }
        if let Some(truncated) = page.truncated.filter(|_| !self.finished) {
            self.ready.push_back(Event::HistoryTruncated(truncated));
        }
        self.last = page.after;
        self.expected = page.state.last_seq;
        counter!(telemetry::DELIVERED, "source" => "log").increment(page.entries.len() as u64);
        for entry in page.entries {
            self.deliver(Arc::new(entry));
        }
        Ok(())
    }

    /// Ends the stream if its session has ended.
    async fn check_session(&mut self) -> Result<()> {
        let check = self.store.check_session(self.owner, self.session_id).await?;
        if let SessionCheck::Ended(end) = check {
            self.finish(Event::SessionEnded(*end));
        }
        Ok(())
    }

    /// Makes the next entry ready, up to the one that ends this very session (I3).
    fn deliver(&mut self, entry: Arc<Entry>) {
        if self.finished {
            return;
        }
        self.last = entry.cursor;
        let end = match &entry.kind {
            EntryKind::SessionChanged(change) => change.end_of(self.session_id).cloned(),
            _ => None,
        };
        match end {
            Some(end) => self.finish(Event::SessionEnded(end)),
            None => self.ready.push_back(Event::Entry(entry)),
        }
    }

    fn finish(&mut self, last: Event) {
        self.ready.push_back(last);
        self.finished = true;
    }
}
