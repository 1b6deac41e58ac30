//! Following a timeline.

use std::{sync::Arc, time::Duration};

use imd_proto::v1::{
    Entry, HistoryTruncated, PresenceChanged, Signal, TimelineReset, TimelineState,
    subscribe_response::Event as Received,
};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::{
    backoff::Backoff,
    connection::Line,
    error::Error,
    session::{AccessToken, Session},
    wire::{Asked, Events, ended},
};

/// A place to follow from: the oldest entry that can be had.
pub const FLOOR: &str = "";

/// A place to follow from: only what comes from now on.
pub const NOW: &str = "now";

/// What a timeline says.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly every event is an entry")]
pub enum Event {
    /// A stream is open: the first one, or after an interruption the next one. How far the timeline
    /// reaches.
    Opened(TimelineState),
    /// The next entry.
    Entry(Entry),
    /// Entries are gone; what follows stands behind them.
    HistoryTruncated(HistoryTruncated),
    /// The numbering has changed: drop what is stored locally. Entries follow from the floor.
    TimelineReset(TimelineReset),
    /// Somebody types, or says something that is stored nowhere.
    Signal(Signal),
    /// How users are now whom the stream watches.
    Presence(PresenceChanged),
}

/// A terminal's view of its user's timeline: every entry after a cursor, in the order of `seq`, each
/// once, over as many streams as it takes.
#[derive(Debug)]
pub struct Timeline {
    session: Arc<Session>,
    cursor: String,
    /// Whose presence the streams tell, by user id.
    asked: Asked,
    /// The place of the cursor; none where it is not known yet.
    last_seq: Option<i64>,
    /// The epoch of the timeline as the last stream opened.
    epoch: i64,
    stream: Option<Stream>,
    silence: Duration,
    /// When to open a stream again, after one has failed.
    again_at: Option<Instant>,
    /// The pauses since a stream last brought something.
    backoff: Option<Backoff>,
    repeated: u64,
    /// The error that ended it for good.
    over: Option<Error>,
}

#[derive(Debug)]
struct Stream {
    events: Events,
    line: Line,
    /// When it counts as dead unless something is heard.
    dead_at: Instant,
}

impl Timeline {
    pub(crate) fn new(session: Arc<Session>, after: &str, silence: Duration) -> Self {
        Self {
            session,
            cursor: after.to_owned(),
            asked: Asked::default(),
            last_seq: after.split_once('.').and_then(|(_, seq)| seq.parse().ok()),
            epoch: 0,
            stream: None,
            silence,
            again_at: None,
            backoff: None,
            repeated: 0,
            over: None,
        }
    }

    /// Has the streams tell the presence of these users, by id: up to 500, all of whom there must be. To be
    /// called before the first [`Timeline::next`].
    #[must_use]
    pub fn watching(self, user_ids: Vec<String>) -> Self {
        let asked = Asked { watched: user_ids, ..self.asked };
        Self { asked, ..self }
    }

    /// Has the server count the terminal as having what it says by [`Timeline::acknowledge`], and not what a stream
    /// has handed over: so that it is told by push of whatever was lost with a connection. To be called before the
    /// first [`Timeline::next`].
    #[must_use]
    pub fn acknowledging(self) -> Self {
        let asked = Asked { acknowledging: true, ..self.asked };
        Self { asked, ..self }
    }

    /// Says that the terminal has everything up to [`Timeline::cursor`].
    ///
    /// # Errors
    /// No connection; no answer in time; [`Error::SessionEnded`]; `invalid_argument` before anything came.
    pub async fn acknowledge(&mut self) -> Result<(), Error> {
        let token = self.session.access_token().await?;
        let line = self.session.connection.line();
        let noted = line.wire.acknowledge(&token, &self.cursor).await;
        noted.inspect_err(|error| self.session.connection.leave_if_at_fault(&line, error))
    }

    /// The cursor after the last entry delivered: to be kept, and given to
    /// [`Terminal::follow`](crate::Terminal::follow) next time.
    #[must_use]
    pub fn cursor(&self) -> &str {
        &self.cursor
    }

    /// How many entries came again and were dropped. The contract has it that none does.
    #[must_use]
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// The next event. A stream that breaks off is opened again with the cursor, for as long as it
    /// takes. Safe to cancel: nothing is lost.
    ///
    /// # Errors
    /// Those that no reconnecting helps against, the end of the session first of all; then every
    /// further call gives the same error.
    pub async fn next(&mut self) -> Result<Event, Error> {
        if let Some(error) = &self.over {
            return Err(error.clone());
        }
        let next = self.find_next().await;
        if let Err(error) = &next {
            self.stream = None;
            self.over = Some(self.session.note(error.clone()));
        }
        next
    }

    async fn find_next(&mut self) -> Result<Event, Error> {
        loop {
            let Some(stream) = &mut self.stream else {
                return self.open().await.map(Event::Opened);
            };
            match timeout_at(stream.dead_at, stream.events.next()).await {
                Ok(Ok(Some(event))) => {
                    stream.dead_at = Instant::now() + self.silence;
                    if let Some(event) = self.take(event)? {
                        return Ok(event);
                    }
                }
                Ok(Ok(None)) => self.lost(&ended())?,
                Ok(Err(error)) => self.lost(&error)?,
                Err(_) => self.lost(&Error::Timeout)?,
            }
        }
    }

    /// What of a received event is to be told.
    fn take(&mut self, event: Option<Received>) -> Result<Option<Event>, Error> {
        match event {
            Some(Received::Entry(entry)) => {
                self.backoff = None;
                if self.last_seq.is_some_and(|last| entry.seq <= last) {
                    self.repeated += 1;
                    return Ok(None);
                }
                self.last_seq = Some(entry.seq);
                self.cursor.clone_from(&entry.cursor);
                Ok(Some(Event::Entry(entry)))
            }
            Some(Received::HistoryTruncated(gone)) => {
                self.last_seq = Some(gone.to);
                self.cursor = format!("{}.{}", self.epoch, gone.to);
                Ok(Some(Event::HistoryTruncated(gone)))
            }
            Some(Received::TimelineReset(reset)) => {
                self.epoch = reset.epoch;
                self.last_seq = None;
                FLOOR.clone_into(&mut self.cursor);
                Ok(Some(Event::TimelineReset(reset)))
            }
            Some(Received::SessionEnded(end)) => Err(Error::SessionEnded(Box::new(end))),
            Some(Received::Reconnect(_)) => {
                self.leave();
                Ok(None)
            }
            Some(Received::Signal(signal)) => {
                self.backoff = None;
                Ok(Some(Event::Signal(signal)))
            }
            Some(Received::Presence(changed)) => {
                self.backoff = None;
                Ok(Some(Event::Presence(changed)))
            }
            Some(Received::Heartbeat(_)) => {
                self.backoff = None;
                Ok(None)
            }
            Some(Received::Opened(_)) => Err(Error::Contract("`opened` in the middle of a stream")),
            None => Ok(None),
        }
    }

    /// The stream has failed: another one may do better, or nothing does.
    fn lost(&mut self, error: &Error) -> Result<(), Error> {
        if !error.may_pass() && !error.is_of_the_token() {
            return Err(error.clone());
        }
        self.leave();
        Ok(())
    }

    /// Gives up the stream, to open one elsewhere a little later.
    fn leave(&mut self) {
        if let Some(stream) = self.stream.take() {
            self.session.connection.leave(&stream.line);
        }
        self.again_at = Some(Instant::now() + self.pause());
    }

    fn pause(&mut self) -> Duration {
        self.backoff.get_or_insert_with(Backoff::new).next()
    }

    async fn open(&mut self) -> Result<TimelineState, Error> {
        loop {
            if let Some(at) = self.again_at {
                sleep_until(at).await;
            }
            match self.try_open().await {
                Ok((stream, state)) => {
                    self.stream = Some(stream);
                    self.again_at = None;
                    self.opened(&state);
                    return Ok(state);
                }
                Err(error) if error.may_pass() => {
                    let pause = self.pause().max(error.retry_after().unwrap_or_default());
                    self.again_at = Some(Instant::now() + pause);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The first stream fixes where `now` is.
    fn opened(&mut self, state: &TimelineState) {
        self.epoch = state.epoch;
        if self.cursor == NOW {
            self.cursor = format!("{}.{}", state.epoch, state.last_seq);
            self.last_seq = Some(state.last_seq);
        }
    }

    async fn try_open(&mut self) -> Result<(Stream, TimelineState), Error> {
        let token = self.session.access_token().await?;
        match self.subscribe(&token).await {
            Err(error) if error.is_of_the_token() => {
                let token = self.session.renew(&token).await?;
                self.subscribe(&token).await
            }
            opened => opened,
        }
    }

    async fn subscribe(&mut self, token: &AccessToken) -> Result<(Stream, TimelineState), Error> {
        let line = self.session.connection.line();
        let opened = line.wire.subscribe(token, &self.cursor, &self.asked).await;
        let (first, events) =
            opened.inspect_err(|error| self.session.connection.leave_if_at_fault(&line, error))?;
        match first {
            Some(Received::Opened(state)) => {
                let dead_at = Instant::now() + self.silence;
                Ok((Stream { events, line, dead_at }, state))
            }
            Some(Received::SessionEnded(end)) => Err(Error::SessionEnded(Box::new(end))),
            Some(Received::Reconnect(_)) => {
                self.session.connection.leave(&line);
                Err(Error::Connection("the server sends its streams elsewhere".to_owned()))
            }
            _ => Err(Error::Contract("a stream has to begin with `opened`")),
        }
    }
}
