//! Getting entries to streams: the lanes that append, the hub that hands entries to the streams of
//! this node, and the hints that tell the other nodes.
//!
//! PostgreSQL is the truth. What the hub and the hints carry only brings a stream sooner what stands in
//! its timeline: losing, repeating or reordering any of it delays a delivery and does no more (I9).

mod bus;
mod cursors;
mod fan_out;
mod fetcher;
mod gathered;
mod hint;
mod hint_queue;
mod hub;
mod lanes;
mod login_points;
mod node;
mod presence;
mod presence_frame;
mod recipients;
mod signal_frame;
mod signals;
mod subscription;

use std::{sync::Arc, time::Duration};

use metrics::gauge;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::{
    cursors::Cursors,
    fan_out::FanOut,
    fetcher::Fetcher,
    hint_queue::{HintQueue, HintSender},
    hub::Hub,
    lanes::Lanes,
    login_points::LoginPoints,
    presence::PresenceOfNode,
    signals::Signals,
};
use crate::{
    model::{
        Cursor, Entry, Error, GroupNo, Presence, Result, SessionId, TimelineNo, UserId, UserNo,
    },
    planted_bugs::PlantedBugs,
    store::{Append, Store},
    tasks::{Task, Tasks},
    telemetry,
};

pub use bus::BusSettings;
pub use lanes::{Appending, LaneSettings};
pub use presence::{PresenceSettings, Watcher};
pub use signals::NewSignal;
pub use subscription::{Event, Following, Subscription};

/// How far a timeline is said to reach whose numbering has changed, or that is gone. No stream is as
/// far, so each reads the log, which says how to go on.
const RENUMBERED: i64 = i64::MAX;

/// The moving parts of one node. Cheap to clone.
#[derive(Clone)]
pub struct Delivery {
    store: Store,
    hub: Arc<Hub>,
    lanes: Arc<Lanes>,
    hint_queue: HintQueue,
    fan_out: FanOut,
    login_points: LoginPoints,
    signals: Signals,
    presence: Arc<PresenceOfNode>,
    cursors: Cursors,
    tasks: Tasks,
    node_no: i64,
    heartbeat: Duration,
    /// Cancelled when the node is about to stop, and takes part no more in what it is chosen for.
    leaving: CancellationToken,
    /// Cancelled when clients are to go elsewhere.
    draining: CancellationToken,
}

/// What delivery is to be like.
#[derive(Debug, Clone)]
pub struct DeliverySettings {
    /// The node's id for people: unique in the cluster.
    pub node_id: String,
    /// How often a quiet stream sends a heartbeat.
    pub heartbeat: Duration,
    /// How appends are gathered.
    pub lanes: LaneSettings,
    /// Where hints travel.
    pub bus: BusSettings,
    /// What presence is to be like.
    pub presence: PresenceSettings,
    /// None but in tests.
    pub bugs: PlantedBugs,
}

impl Delivery {
    /// Registers the node and starts its tasks. What keeps the node in the cluster goes over `control`,
    /// so that requests which use up all the connections of `store` do not make it count as dead.
    pub async fn start(
        store: Store,
        control: Store,
        tasks: Tasks,
        settings: DeliverySettings,
    ) -> Result<Self> {
        let version = env!("CARGO_PKG_VERSION");
        let node_no = control.register_node(&settings.node_id, version).await?;
        let hub = Arc::new(Hub::default());
        let planted = settings.bugs;
        let bus = bus::open(&control, &settings.bus).await?;
        let hint_queue = HintQueue::default();
        let (telling, bus_to_tell) = (hint_queue.clone(), bus.clone());
        let hint_sender =
            HintSender::new(telling, control.clone(), bus_to_tell, node_no, planted.clone());
        tasks.start(Task::new("hint_sender"), hint_sender);
        let presence =
            PresenceOfNode::start(store.clone(), hint_queue.clone(), settings.presence, &tasks);
        let cursors = Cursors::default();
        let login_points = LoginPoints::start(
            store.clone(),
            control.clone(),
            presence.clone(),
            cursors.clone(),
            node_no,
            &tasks,
        );
        let (keeping, keeping_in, stop) = (cursors.clone(), store.clone(), tasks.stopping());
        tasks.start(Task::new("cursors").finishing(), move || {
            keeping.clone().keep(keeping_in.clone(), stop.clone())
        });
        let fan_out =
            FanOut::new(store.clone(), hub.clone(), hint_queue.clone(), node_no, planted.clone());
        fan_out.start(&tasks);
        let lanes =
            Lanes::start(&hub, &hint_queue, &fan_out, &settings.lanes, &tasks, &planted, || {
                let connection = store.append_connection(node_no);
                let connection = connection.messages_from(settings.lanes.messages_from);
                #[cfg(feature = "planted-bugs")]
                if planted.count_outside_transaction {
                    return connection.without_transactions();
                }
                connection
            });
        let signals = Signals::start(
            store.clone(),
            hub.clone(),
            hint_queue.clone(),
            node_no,
            settings.lanes.messages_from,
            &tasks,
        );
        let node = node::Node {
            fetcher: Fetcher::new(control.clone(), hub.clone()),
            store: control,
            hub: hub.clone(),
            presence: presence.clone(),
            bus,
            hint_queue: hint_queue.clone(),
            node_no,
            node_id: settings.node_id,
            version,
            peers: Mutex::default(),
            sweep_wanted: Notify::new(),
            bugs: planted,
        };
        node.start(&tasks);
        Ok(Self {
            store,
            hub,
            lanes: Arc::new(lanes),
            hint_queue,
            fan_out,
            login_points,
            signals,
            presence,
            cursors,
            tasks,
            node_no,
            heartbeat: settings.heartbeat,
            leaving: CancellationToken::new(),
            draining: CancellationToken::new(),
        })
    }

    /// The number of this node in the cluster.
    #[must_use]
    pub fn node_no(&self) -> i64 {
        self.node_no
    }

    /// Queues a message to be appended to every participant's timeline. Entries reach the streams by
    /// themselves. Messages of one sender are appended in the order of the calls.
    pub fn append(&self, append: Append) -> Result<Appending> {
        self.lanes.append(append)
    }

    /// Sends a signal to the streams of its recipients. Returns when it is on its way.
    ///
    /// Errors: those of a message to the same recipient.
    pub async fn signal(&self, signal: NewSignal) -> Result<()> {
        self.signals.send(signal).await
    }

    /// How these users are for one who looks, in their order.
    pub async fn look(
        &self,
        watcher: UserNo,
        users: Vec<(UserNo, UserId)>,
    ) -> Result<Vec<Presence>> {
        self.presence.look(watcher, users).await
    }

    /// Has the streams that watch these users, on every node, learn how they are now.
    pub fn presence_changed(&self, users: impl IntoIterator<Item = UserNo>) {
        self.presence.changed(users);
    }

    /// The same where these users stand to somebody else in another way than before.
    pub fn relations_changed(&self, users: impl IntoIterator<Item = UserNo>) {
        self.presence.related(users);
    }

    /// Has the recipients of messages remembered that this node appends.
    pub fn want_recipients(&self) {
        self.hub.recipients().want();
    }

    /// The users who have got messages so long ago and were not taken yet.
    #[must_use]
    pub fn take_recipients(&self, waited: Duration) -> Vec<UserNo> {
        self.hub.recipients().take(waited)
    }

    /// How many messages wait for a batch on this node.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.lanes.queued()
    }

    /// Sets the gauges that say how much waits.
    pub fn observe(&self) {
        let gauge = |name, waiting: usize| {
            gauge!(name).set(u32::try_from(waiting).unwrap_or(u32::MAX));
        };
        gauge(telemetry::QUEUED, self.queued());
        gauge(telemetry::FAN_OUT_WAITING, self.fan_out.waiting());
    }

    /// Hands on an entry that was committed outside the lanes.
    pub fn announce(&self, owner: TimelineNo, entry: Entry) {
        let entry = Arc::new(entry);
        self.hub.publish(owner, &entry);
        self.hint_queue.announce(&[(owner, entry)], None);
    }

    /// Has the members of a group get what was appended to its timeline.
    pub fn fan_out(&self, group_no: GroupNo) {
        self.fan_out.want(group_no);
    }

    /// Has the streams over a timeline, on every node, read what was appended to it outside the lanes.
    pub fn read_log(&self, owner: TimelineNo) {
        self.announce_renumbered(&[owner]);
    }

    /// Has the streams over these timelines, on every node, notice that the numbering has changed.
    pub fn announce_renumbered(&self, owners: &[TimelineNo]) {
        for owner in owners {
            self.hub.wake(*owner, RENUMBERED);
        }
        self.hint_queue.announce_places(owners.iter().map(|owner| (*owner, RENUMBERED)));
    }

    /// Follows a timeline from `start` on, as the session `session_id`, which may have `most` streams
    /// here. `check` is called at the moment from which on no
    /// entry can be missed: it says whether the session may.
    pub async fn subscribe<C>(
        &self,
        owner: UserNo,
        session_id: SessionId,
        how: Following,
        most: usize,
        check: C,
    ) -> Result<Subscription>
    where
        C: Future<Output = Result<()>>,
    {
        // In this order: from the registration on, this node hands its entries over; from the login
        // point on, the others send hints; and whatever was committed before is in the log.
        let registration = self.hub.register(owner, session_id, most)?;
        let login_point = self.login_points.hold(registration.point(), how.idle).await?;
        check.await?;
        let cursors = (self.cursors.clone(), how.acknowledging);
        let (store, start) = (self.store.clone(), how.start);
        let watcher = Arc::new(self.presence.watcher(owner, registration.inbox().clone()));
        let heartbeat = self.heartbeat;
        Subscription::open(store, registration, login_point, watcher, cursors, start, heartbeat)
            .await
    }

    /// Notes that a session has everything up to `cursor` without a stream.
    pub fn reached(&self, user_no: UserNo, session_id: SessionId, cursor: Cursor) {
        self.cursors.note(user_no, session_id, cursor);
    }

    /// Whether the tasks that get entries to streams, and the others of the node, work.
    ///
    /// Errors: [`crate::model::Error::TasksFailing`]; [`crate::model::Error::ShuttingDown`] from
    /// [`Delivery::leave`] on.
    pub fn check(&self) -> Result<()> {
        if self.leaving.is_cancelled() {
            return Err(Error::ShuttingDown);
        }
        self.tasks.check()
    }

    /// How many streams this node holds.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.hub.streams()
    }

    /// Has the node say that it is not ready, while it goes on serving.
    pub fn leave(&self) {
        self.leaving.cancel();
    }

    /// Asks the streams that are open to go elsewhere, one after the other over so long.
    pub async fn send_elsewhere_over(&self, period: Duration) {
        self.hub.close_over(period).await;
    }

    /// Asks every stream to go elsewhere, and refuses none: each ends with [`Event::Reconnect`].
    pub fn drain(&self) {
        self.draining.cancel();
        self.hub.close();
    }

    /// Until [`Delivery::drain`].
    pub async fn draining(&self) {
        self.draining.cancelled().await;
    }

    /// Finishes what is under way and takes the node off the list.
    pub async fn stop(&self) {
        self.hub.close();
        self.tasks.stop().await;
        if let Err(error) = self.store.remove_node(self.node_no).await {
            tracing::warn!(%error, "the node stays on the list until its heartbeat is too old");
        }
    }
}
