//! Terminals of a load that follow their timelines.

use std::time::Duration;

use imd_client::{
    Event, Timeline,
    history::{Marks, Sightings},
    proto::{Entry, entry::Kind, message::Content},
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout_at},
};

/// A terminal that follows its timeline over as many streams as it takes.
pub(super) struct Follower {
    /// The place of the last entry that came.
    reached: watch::Receiver<i64>,
    stop: watch::Sender<bool>,
    task: JoinSet<Followed>,
}

/// What a follower saw.
pub(super) struct Followed {
    pub(super) sightings: Sightings,
    pub(super) delivered: u64,
    pub(super) streams: u64,
    /// Entries that came again.
    pub(super) repeated: u64,
    /// What should never have come.
    pub(super) failure: Option<String>,
}

impl Follower {
    pub(super) fn start(timeline: Timeline, sightings: Sightings, marks: Marks) -> Self {
        let followed = Followed { sightings, delivered: 0, streams: 0, repeated: 0, failure: None };
        let (last_seq, reached) = watch::channel(0);
        let (stop, stopped) = watch::channel(false);
        let mut task = JoinSet::new();
        task.spawn(follow(timeline, followed, marks, last_seq, stopped));
        Self { reached, stop, task }
    }

    /// Stops it when it has seen the entry `seq`, or at `give_up`.
    pub(super) async fn finish(mut self, seq: i64, give_up: Instant) -> Followed {
        // The checker tells whether it got there.
        let _ = timeout_at(give_up, self.reached.wait_for(|reached| *reached >= seq)).await;
        self.stop.send_replace(true);
        let stopped = tokio::time::timeout(Duration::from_secs(5), self.task.join_next()).await;
        stopped.expect("it stops").expect("one task").expect("no panic")
    }
}

async fn follow(
    mut timeline: Timeline,
    mut followed: Followed,
    marks: Marks,
    last_seq: watch::Sender<i64>,
    mut stopped: watch::Receiver<bool>,
) -> Followed {
    while followed.failure.is_none() {
        let event = tokio::select! {
            event = timeline.next() => event,
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        match event {
            Ok(Event::Opened(_)) => followed.streams += 1,
            Ok(Event::Entry(entry)) => {
                followed.delivered += 1;
                see(&mut followed.sightings, &entry, &marks);
                last_seq.send_replace(entry.seq);
            }
            other => followed.failure = Some(format!("{other:?}")),
        }
    }
    followed.repeated = timeline.repeated();
    followed
}

fn see(sightings: &mut Sightings, entry: &Entry, marks: &Marks) {
    match &entry.kind {
        Some(Kind::Message(message)) if message.tombstone != 0 => {
            sightings.tombstone(entry.seq, &message.message_id);
        }
        Some(Kind::Message(message)) => {
            let send = match &message.content {
                Some(Content::Text(text)) => marks.read(text),
                _ => None,
            };
            sightings.message(entry.seq, send, &message.message_id);
        }
        _ => sightings.event(entry.seq),
    }
}
