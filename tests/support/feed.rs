//! A terminal that reads its stream.

use futures::StreamExt;
use tokio::sync::mpsc;

use super::{
    api::{Events, Result},
    types::{Entry, Event, TimelineState},
    within_deadline,
};

/// Collects the events of a stream in the background, heartbeats left out.
pub(crate) struct Feed {
    events: mpsc::UnboundedReceiver<Result<Event>>,
    /// What the stream opened with.
    pub(crate) opened: TimelineState,
    /// The cursor after the last entry taken; empty when none was.
    pub(crate) cursor: String,
}

impl Feed {
    /// Waits for the first event, which is `opened`.
    pub(crate) async fn open(mut events: Events) -> Self {
        let first = within_deadline("the first event", events.next()).await;
        let opened = match first {
            Some(Ok(Event::Opened(state))) => state,
            other => panic!("a stream begins with {other:?}"),
        };
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let collect = async {
                while let Some(event) = events.next().await {
                    if event != Ok(Event::Heartbeat) {
                        let _ = sender.send(event);
                    }
                }
            };
            tokio::select! {
                () = collect => {}
                // Nobody reads any more: the stream is to be closed.
                () = sender.closed() => {}
            }
        });
        Self { events: receiver, opened, cursor: String::new() }
    }

    /// The next event; `None` after the last one.
    pub(crate) async fn next(&mut self) -> Option<Result<Event>> {
        let event = within_deadline("the next event", self.events.recv()).await;
        if let Some(Ok(Event::Entry(entry))) = &event {
            self.cursor.clone_from(&entry.cursor);
        }
        event
    }

    /// The next event; panics when the stream has ended or failed.
    #[track_caller]
    pub(crate) fn event(&mut self) -> impl Future<Output = Event> {
        let caller = std::panic::Location::caller();
        async move {
            match self.next().await {
                Some(Ok(event)) => event,
                other => panic!("{caller}: the stream goes on with {other:?}"),
            }
        }
    }

    /// The next event of presence; entries before it are left out.
    pub(crate) async fn presence(&mut self) -> Event {
        loop {
            match self.event().await {
                Event::Entry(_) => {}
                event => return event,
            }
        }
    }

    /// The next event, which must be an entry.
    #[track_caller]
    pub(crate) fn entry(&mut self) -> impl Future<Output = Entry> {
        let caller = std::panic::Location::caller();
        async move {
            match self.next().await {
                Some(Ok(Event::Entry(entry))) => entry,
                other => panic!("{caller}: the stream goes on with {other:?}"),
            }
        }
    }

    /// The next `count` events, which must be entries.
    pub(crate) async fn entries(&mut self, count: usize) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(count);
        while entries.len() < count {
            entries.push(self.entry().await);
        }
        entries
    }

    /// The entries up to `seq`.
    pub(crate) async fn entries_to(&mut self, seq: i64) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        while entries.last().is_none_or(|entry| entry.seq < seq) {
            entries.push(self.entry().await);
        }
        entries
    }

    /// The rest of the stream up to its last event; panics when it goes on after that one.
    #[expect(
        clippy::wrong_self_convention,
        reason = "it reads on to the end; nothing is converted"
    )]
    pub(crate) async fn to_the_end(&mut self) -> (Vec<Entry>, Event) {
        let mut entries = Vec::new();
        let last = loop {
            match self.event().await {
                Event::Entry(entry) => entries.push(entry),
                event => break event,
            }
        };
        assert_eq!(self.next().await, None, "after {last:?}");
        (entries, last)
    }
}
