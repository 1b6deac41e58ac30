//! Connections to the database: opened on whichever of the hosts takes writes, set up so that nothing
//! that a role or a server configures changes what imd relies on, and given up when the server has
//! not answered in time.

mod error;
pub(super) mod generation;
mod hosts;
mod settings;

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::stream::{FuturesUnordered, StreamExt};
use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, watch},
    time::{sleep, timeout},
};
use tokio_postgres::{AsyncMessage, Client, Notification, error::SqlState};
use tokio_util::sync::{CancellationToken, DropGuard};

pub(super) use self::error::ConnectError;
use self::{
    error::Refusal,
    generation::{Generations, Known},
    hosts::Host,
    settings::prepare,
};
use super::{
    address::{Address, Tls},
    clock::Clock,
    fault,
};

/// How long one host may take until a connection to it can be used, name resolution included.
const PER_HOST: Duration = Duration::from_secs(5);

/// How long a host may keep silent before the next one is tried beside it. A server that hangs still
/// accepts connections, and must not hold up those that another would serve.
const NEXT_HOST: Duration = Duration::from_millis(500);

/// How long a connection that nobody holds any more has for taking leave of the server.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a connection is opened for, beyond what every connection needs: settings as `name=value`.
pub(super) type Extra<'a> = &'a [(&'a str, &'a str)];

/// Which servers a connector connects to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The one that takes writes.
    Primary,
    /// Any; standbys are what it is for.
    Follower,
}

/// How long the plan of a prepared statement is kept. One that was made while the tables were empty, or just had been,
/// reads all there is once they have grown, and PostgreSQL keeps it until it analyses the tables the next time.
pub(super) const PLANS_FOR: Duration = Duration::from_secs(10);

/// Has the statements of a connection be planned anew, by how large the tables are then.
pub(super) const FORGET_PLANS: &str = "DISCARD PLANS";

/// Opens connections to one database.
pub(super) struct Connector {
    role: Role,
    address: Address,
    tls: Tls,
    /// The place, among the hosts, of the one that took the last connection.
    preferred: AtomicUsize,
    /// The schema that all connections work in, once it is known.
    schema: OnceLock<String>,
    /// Connections that are older than this lead to a server that has hung, moved or turned read-only.
    suspected: Mutex<Option<Instant>>,
    /// When the server last had no room for a write, or no memory.
    full: Mutex<Option<Instant>>,
    /// When the server last kept silent on a connection that had nothing else to do.
    silent: watch::Sender<Option<Instant>>,
    pub(super) clock: Clock,
    pub(super) generations: Generations,
}

/// An open connection.
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) driver: Driver,
    /// Where it leads; `None` before there are tables.
    pub(super) known: Option<Known>,
    opened_at: Instant,
}

/// The task that moves a connection's bytes. It ends with this value.
pub(super) struct Driver {
    task: tokio::task::AbortHandle,
    broken: AtomicBool,
    _gone: DropGuard,
}

impl Connector {
    pub(super) fn new(role: Role, address: Address, tls: Tls) -> Self {
        Self {
            role,
            address,
            tls,
            preferred: AtomicUsize::default(),
            schema: OnceLock::new(),
            suspected: Mutex::default(),
            full: Mutex::default(),
            silent: watch::Sender::default(),
            clock: Clock::default(),
            generations: Generations::default(),
        }
    }

    /// Whether it is for the server that takes writes.
    pub(super) fn leads_to_primary(&self) -> bool {
        self.role == Role::Primary
    }

    /// Works in this schema from now on, whatever the search path of the role. The first call decides.
    pub(super) fn use_schema(&self, schema: String) {
        let _ = self.schema.set(schema);
    }

    /// The schema, once it is known.
    pub(super) fn schema(&self) -> Option<&String> {
        self.schema.get()
    }

    /// Opens a connection to the first host of the role.
    pub(super) async fn open(&self, extra: Extra<'_>) -> Result<Link, ConnectError> {
        // Boxed: it is large, and nearly every future of the server could come to hold one.
        Box::pin(self.race(extra, None)).await
    }

    /// As [`Connector::open`]; what the server notifies the connection of goes to `notifications`.
    pub(super) async fn open_listening(
        &self,
        notifications: mpsc::UnboundedSender<Notification>,
    ) -> Result<Link, ConnectError> {
        Box::pin(self.race(&[], Some(notifications))).await
    }

    /// Tries the hosts one after the other, each as soon as the one before has failed or has been
    /// silent for [`NEXT_HOST`]; the first good connection wins.
    async fn race(
        &self,
        extra: Extra<'_>,
        notifications: Option<mpsc::UnboundedSender<Notification>>,
    ) -> Result<Link, ConnectError> {
        let hosts = hosts::resolve(&self.address.config).await?;
        let first = self.preferred.load(Ordering::Relaxed) % hosts.len();
        let order = (first..hosts.len()).chain(0..first);
        let mut waiting = order.map(|place| (place, &hosts[place])).peekable();
        let mut trying = FuturesUnordered::new();
        let mut refusals = Vec::new();
        loop {
            if let Some((place, host)) = waiting.next() {
                let notifications = notifications.clone();
                trying
                    .push(async move { (place, self.try_host(host, extra, notifications).await) });
            }
            let finished = tokio::select! {
                Some(finished) = trying.next() => finished,
                () = sleep(NEXT_HOST), if waiting.peek().is_some() => continue,
                else => return Err(ConnectError::new(refusals)),
            };
            match finished {
                (place, Ok(link)) => {
                    self.preferred.store(place, Ordering::Relaxed);
                    return Ok(link);
                }
                (place, Err(refusal)) => refusals.push((hosts[place].name.clone(), refusal)),
            }
        }
    }

    async fn try_host(
        &self,
        host: &Host,
        extra: Extra<'_>,
        notifications: Option<mpsc::UnboundedSender<Notification>>,
    ) -> Result<Link, Refusal> {
        let opening = async {
            let mut link = Link::open(host, self.tls.clone(), notifications).await?;
            let schema = self.schema.get().map(String::as_str);
            prepare(&link.client, self.role, schema, extra).await?;
            match self.role {
                Role::Primary => link.known = self.generations.enter(&link.client).await?,
                Role::Follower => generation::follow(&link.client).await?,
            }
            Ok(link)
        };
        timeout(PER_HOST, opening).await.unwrap_or(Err(Refusal::Silent(PER_HOST)))
    }

    /// Has no connection that was opened until now handed out any more.
    pub(super) fn suspect(&self) {
        *self.suspected.lock() = Some(Instant::now());
    }

    /// Notes that the server has not answered the simplest question: it hangs.
    pub(super) fn note_silence(&self) {
        self.silent.send_replace(Some(Instant::now()));
    }

    /// Waits until silence has been noted that began after `begun`, or has been already.
    pub(super) async fn silent_since(&self, begun: Instant) {
        let mut silent = self.silent.subscribe();
        let noted = silent.wait_for(|at| at.is_some_and(|at| at >= begun)).await.is_ok();
        debug_assert!(noted, "the sender is there");
    }

    /// Notes an error that the server has answered with.
    pub(super) fn note(&self, code: &SqlState) {
        if fault::is_full(code) {
            *self.full.lock() = Some(Instant::now());
        }
    }

    /// When the server last had no room for a write, or no memory.
    pub(super) fn full_since(&self) -> Option<Instant> {
        *self.full.lock()
    }

    /// Whether a connection may still be used.
    pub(super) fn trusts(&self, link: &Link) -> bool {
        let suspected = *self.suspected.lock();
        !link.is_closed() && suspected.is_none_or(|suspected| link.opened_at > suspected)
    }
}

impl Link {
    async fn open(
        host: &Host,
        tls: Tls,
        notifications: Option<mpsc::UnboundedSender<Notification>>,
    ) -> Result<Self, Refusal> {
        let (client, mut connection) = host.config.connect(tls).await?;
        let gone = CancellationToken::new();
        let released = gone.clone();
        let task = tokio::spawn(async move {
            let mut running = pin!(async {
                while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                    if let (AsyncMessage::Notification(notification), Some(receiver)) =
                        (message, &notifications)
                    {
                        let _ = receiver.send(notification);
                    }
                }
            });
            tokio::select! {
                () = &mut running => return,
                () = released.cancelled() => {}
            }
            // A server that hangs is not waited for.
            let _ = timeout(FAREWELL, running).await;
        });
        let driver = Driver {
            task: task.abort_handle(),
            broken: AtomicBool::default(),
            _gone: gone.drop_guard(),
        };
        Ok(Self { client, driver, known: None, opened_at: Instant::now() })
    }

    /// The generation of the database that it works in.
    pub(super) fn generation(&self) -> i16 {
        self.known.as_ref().map_or(0, Known::generation)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed() || self.driver.is_broken()
    }
}

impl Driver {
    /// Closes the connection at once: what waits for an answer on it gets the error of a lost one. The
    /// server notices within `client_connection_check_interval` and gives up what it is working on. A
    /// cancel request would come sooner, but it would also end a wait for a synchronous standby, and
    /// make visible what is not replicated.
    pub(super) fn cut(&self) {
        self.broken.store(true, Ordering::Relaxed);
        self.task.abort();
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Waits for `exchange`, which uses this connection, but not longer than `deadline`: then the
    /// connection is cut, which ends the exchange with an error.
    pub(super) fn within<T>(
        &self,
        deadline: Duration,
        exchange: impl Future<Output = T>,
    ) -> impl Future<Output = T> {
        // No `async fn`, which would keep the room for the exchange twice.
        self.unless(sleep(deadline), exchange)
    }

    /// As [`Driver::within`], until `given_up` is done.
    pub(super) async fn unless<T>(
        &self,
        given_up: impl Future<Output = ()>,
        exchange: impl Future<Output = T>,
    ) -> T {
        let mut exchange = pin!(exchange);
        tokio::select! {
            biased;
            answered = &mut exchange => answered,
            () = given_up => {
                self.cut();
                exchange.await
            }
        }
    }
}
