//! How far the terminals of this node have got, remembered with every delivery and written down now
//! and then: all that have moved at once, and nothing at all while none has.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    model::{Cursor, SessionId, UserNo},
    store::{SessionCursor, Store},
};

/// How often what has moved is written down.
const EVERY: Duration = Duration::from_secs(2);

/// The most sessions in one statement.
const BATCH: usize = 1000;

/// The sessions that have moved since they were last written down. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Cursors(Arc<Mutex<HashMap<(UserNo, SessionId), Cursor>>>);

impl Cursors {
    /// Remembers how far a session has got.
    pub(super) fn note(&self, user_no: UserNo, session_id: SessionId, cursor: Cursor) {
        let mut moved = self.0.lock();
        let known = moved.entry((user_no, session_id)).or_insert(cursor);
        *known = cursor.max(*known);
    }

    /// Writes down what has moved, again and again until `stop` and once more then.
    pub(super) async fn keep(self, store: Store, stop: CancellationToken) {
        while stop.run_until_cancelled(sleep(EVERY)).await.is_some() {
            self.write_all(&store).await;
        }
        self.write_all(&store).await;
    }

    /// Writes down how far these have got, ahead of their turn. They stay noted until that is done: whoever is
    /// stopped meanwhile has lost nothing.
    pub(super) async fn write_those(
        &self,
        store: &Store,
        sessions: impl Iterator<Item = (UserNo, SessionId)>,
    ) {
        let moved: Vec<SessionCursor> = {
            let all = self.0.lock();
            sessions
                .filter_map(|session| Some(session_cursor(session, *all.get(&session)?)))
                .collect()
        };
        let left = write(store, &moved).await;
        let mut all = self.0.lock();
        for written in moved.iter().filter(|moved| !left.contains(moved)) {
            let session = (written.user_no, written.session_id);
            if all.get(&session) == Some(&written.cursor) {
                all.remove(&session);
            }
        }
    }

    async fn write_all(&self, store: &Store) {
        let moved = std::mem::take(&mut *self.0.lock());
        let moved: Vec<SessionCursor> =
            moved.into_iter().map(|(session, cursor)| session_cursor(session, cursor)).collect();
        for again in write(store, &moved).await {
            self.note(again.user_no, again.session_id, again.cursor);
        }
    }
}

fn session_cursor((user_no, session_id): (UserNo, SessionId), cursor: Cursor) -> SessionCursor {
    SessionCursor { user_no, session_id, cursor }
}

/// Those that could not be written.
async fn write(store: &Store, moved: &[SessionCursor]) -> Vec<SessionCursor> {
    let mut left = Vec::new();
    for cursors in moved.chunks(BATCH) {
        left.extend(store.write_cursors(cursors).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "cursors are written later");
            cursors.to_vec()
        }));
    }
    left
}
