//! Who has got messages: for telling terminals that have no stream, where the deployment does so.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::model::{Entry, EntryKind, TimelineNo, UserNo};

/// How many users are remembered. What is beyond that the regular look at all terminals finds.
const MOST: usize = 100_000;

/// Users who have got messages of others, and since when they are not looked at.
#[derive(Default)]
pub(super) struct Recipients {
    wanted: AtomicBool,
    since: Mutex<HashMap<UserNo, Instant>>,
}

impl Recipients {
    /// Remembers them from now on. Until then it costs a look at a flag.
    pub(super) fn want(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    /// Notes an entry of a timeline, if it is a message of somebody else.
    pub(super) fn note(&self, owner: TimelineNo, entry: &Entry) {
        if self.wanted.load(Ordering::Relaxed) {
            self.note_kind(owner, &entry.kind);
        }
    }

    /// The same for what the entry says.
    pub(super) fn note_kind(&self, owner: TimelineNo, kind: &EntryKind) {
        if !self.wanted.load(Ordering::Relaxed) || owner.0 <= 0 {
            return;
        }
        // Only its sender gets to see the id that it gave a message.
        let EntryKind::Message(message) = kind else { return };
        let mut since = self.since.lock();
        if message.client_message_id.is_none() && since.len() < MOST {
            since.entry(UserNo(owner.0)).or_insert_with(Instant::now);
        }
    }

    /// Takes those who have waited for so long.
    pub(super) fn take(&self, waited: Duration) -> Vec<UserNo> {
        let now = Instant::now();
        let mut since = self.since.lock();
        since.extract_if(|_, at| *at + waited <= now).map(|(user_no, _)| user_no).collect()
    }
}
