//! The login points of this node: a stream holds one for as long as it is open.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::{cursors::Cursors, presence::PresenceOfNode};
use crate::{
    model::{Error, Result},
    store::{LoginPoint, Store},
    tasks::{Run, Task, Tasks},
};

/// How long to wait before removing again what could not be removed.
const PAUSE: Duration = Duration::from_secs(1);

/// The most login points to remove at a time.
const BATCH: usize = 500;

#[derive(Clone)]
pub(super) struct LoginPoints {
    store: Store,
    presence: Arc<PresenceOfNode>,
    node_no: i64,
    // Unbounded in form only: the streams bound it.
    left: mpsc::UnboundedSender<LoginPoint>,
}

/// A login point that is removed, a little later, when this is dropped.
pub(super) struct Held {
    point: LoginPoint,
    left: mpsc::UnboundedSender<LoginPoint>,
}

impl Drop for Held {
    fn drop(&mut self) {
        // Fails only when the node has stopped, which removes them all.
        let _ = self.left.send(self.point);
    }
}

impl LoginPoints {
    /// Starts the task that removes, over `control`, what streams leave behind.
    pub(super) fn start(
        store: Store,
        control: Store,
        presence: Arc<PresenceOfNode>,
        cursors: Cursors,
        node_no: i64,
        tasks: &Tasks,
    ) -> Self {
        let (left, leaving) = mpsc::unbounded_channel();
        let remover = Remover {
            store: control,
            presence: presence.clone(),
            cursors,
            node_no,
            leaving,
            points: Vec::new(),
        };
        tasks.start(Task::new("login_point_remover"), remover);
        Self { store, presence, node_no, left }
    }

    /// Commits a login point, of a terminal that somebody is at unless it is `idle`.
    pub(super) async fn hold(&self, point: LoginPoint, idle: bool) -> Result<Held> {
        let held = Held { point, left: self.left.clone() };
        let (store, node_no) = (self.store.clone(), self.node_no);
        let presence = self.presence.clone();
        // A task of its own, so that a call that is given up half-way cannot have the login point
        // removed before it stands.
        let adding = tokio::spawn(async move {
            store.add_login_points(node_no, &[point], idle).await?;
            presence.changed([point.user_no]);
            Ok(held)
        });
        adding.await.map_err(Error::internal)?
    }
}

/// Removes what streams leave behind.
struct Remover {
    store: Store,
    presence: Arc<PresenceOfNode>,
    cursors: Cursors,
    node_no: i64,
    leaving: mpsc::UnboundedReceiver<LoginPoint>,
    /// Those that are being removed.
    points: Vec<LoginPoint>,
}

impl Run for Remover {
    async fn run(&mut self) {
        loop {
            if self.points.is_empty() && self.leaving.recv_many(&mut self.points, BATCH).await == 0
            {
                return;
            }
            // First how far they have got: a terminal without a login point counts as one that has no more.
            let sessions = self.points.iter().map(|point| (point.user_no, point.session_id));
            self.cursors.write_those(&self.store, sessions).await;
            match self.store.remove_login_points(self.node_no, &self.points).await {
                Ok(()) => self.presence.changed(self.points.drain(..).map(|point| point.user_no)),
                Err(error) => {
                    tracing::warn!(%error, "login points stay for now");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}
