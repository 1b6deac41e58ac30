//! Watching from the admin listener: security events and a user's timeline, as they come.

use std::time::Duration;

use futures::{Stream, TryStreamExt, stream};
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use super::Admin;
use crate::{
    delivery::Delivery,
    model::{Cursor, Entry, Error, Result, Role, Start, UserId, UserNo},
    service::{
        SecurityEvent,
        tail::{self, Tail},
    },
    store::Store,
    telemetry::load::{self, Load},
};

/// How often it is looked whether a timeline has got longer.
const LOOK: Duration = Duration::from_millis(500);

/// How many entries are read at a time.
const PAGE: i64 = 100;

/// How a node fares, as administrators see it.
#[derive(Debug)]
pub struct NodeLoad {
    /// The answering node.
    pub node_id: String,
    /// Its calls.
    pub load: Load,
    /// Messages that wait for a batch.
    pub queued: usize,
    /// Open streams.
    pub streams: usize,
    /// Its settings as a settings file, secrets masked; empty for those who are not the role `admin`.
    pub settings: String,
}

impl Admin<'_> {
    /// How the answering node fares.
    pub fn load(&self) -> Result<NodeLoad> {
        self.require(Role::Viewer)?;
        let service = self.service;
        let is_admin = self.require(Role::Admin).is_ok();
        Ok(NodeLoad {
            node_id: service.node_id.clone(),
            load: load::load(),
            queued: service.delivery.queued(),
            streams: service.delivery.streams(),
            settings: if is_admin { service.checks.settings.clone() } else { String::new() },
        })
    }

    /// Security events as they happen, on whichever node, for so many seconds; 0 for as long as there is somebody.
    pub async fn tail_events(
        &self,
        seconds: i32,
    ) -> Result<impl Stream<Item = Result<SecurityEvent>> + Send + 'static> {
        self.require(Role::Viewer)?;
        let until = tail::until(seconds)?;
        let listener = self.service.store.listen_to_security().await?;
        let tail = Tail::new(self.service.delivery.clone(), listener, until);
        Ok(stream::try_unfold(tail, |mut tail| async move {
            Ok(tail.next().await?.map(|event| (event, tail)))
        }))
    }

    /// The entries that a user's timeline gets from now on, for so many seconds; 0 for as long as there is somebody.
    /// Whoever watches does not count as a terminal.
    ///
    /// Errors: [`Error::UserNotFound`].
    pub async fn tail_timeline(
        &self,
        user_id: &str,
        seconds: i32,
    ) -> Result<impl Stream<Item = Result<Entry>> + Send + 'static> {
        self.require(Role::Admin)?;
        let until = tail::until(seconds)?;
        let store = self.service.store.clone();
        let owner = store.user_no(&UserId::parse("user_id", user_id)?).await?;
        store.record_about(owner, self.audit("tail_timeline", json!({}))).await?;
        let state = store.read_timeline(owner, Start::parse("now", 0)?, 1).await?;
        let tail = TimelineTail {
            delivery: self.service.delivery.clone(),
            store,
            owner,
            after: state.after,
            until,
        };
        let pages = stream::try_unfold(tail, |mut tail| async move {
            let page = tail.next().await?;
            Ok::<_, Error>(page.map(|page| (stream::iter(page.into_iter().map(Ok)), tail)))
        });
        Ok(pages.try_flatten())
    }
}

struct TimelineTail {
    delivery: Delivery,
    store: Store,
    owner: UserNo,
    after: Cursor,
    until: Option<Instant>,
}

impl TimelineTail {
    /// The next entries.
    async fn next(&mut self) -> Result<Option<Vec<Entry>>> {
        loop {
            let page = self.store.read_timeline(self.owner, Start::After(self.after), PAGE).await?;
            self.after = page.entries.last().map_or(page.after, |entry| entry.cursor);
            if !page.entries.is_empty() {
                return Ok(Some(page.entries));
            }
            if self.until.is_some_and(|until| Instant::now() >= until) {
                return Ok(None);
            }
            let look = Instant::now() + LOOK;
            tokio::select! {
                () = sleep_until(self.until.map_or(look, |until| until.min(look))) => {}
                () = self.delivery.draining() => return Err(Error::ShuttingDown),
            }
        }
    }
}
