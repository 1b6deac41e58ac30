//! One node, put together: store, delivery, service, and a transport on each of the two listeners.

mod attachments;
mod certificates;
mod check;
mod issuers;
mod policy;
mod push;
mod webhooks;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{Router, http::HeaderMap, response::Response};
use futures::FutureExt;
use metrics::gauge;
use secrecy::{ExposeSecret, SecretString};
use time::OffsetDateTime;
use tokio::{
    net::TcpListener,
    sync::watch,
    time::{Instant, sleep, timeout_at},
};
use tonic_health::server::HealthReporter;

use crate::{
    config::{self, Settings},
    cors,
    delivery::{BusSettings, Delivery, DeliverySettings, LaneSettings, PresenceSettings},
    grpc,
    model::{Error, PresenceDefaults, RetentionLimits, TerminalType, Tier, UserSettings},
    planted_bugs::PlantedBugs,
    rest::{self, Sockets},
    serve::{Listening, Recognize, Tls, serve},
    service::{CheckSettings, ClientLimits, Limits, OutwardSettings, Service},
    store::Store,
    tasks::{Health, OnPanic, Task, Tasks},
    telemetry,
};

pub use self::check::{Finding, check};

/// How many connections a node has for staying in the cluster: one for each task that does so.
const CONTROL_CONNECTIONS: usize = 5;

/// The sockets of a node. Clients that connect before it serves wait until it does.
pub struct Listeners {
    public: TcpListener,
    admin: TcpListener,
}

/// Applies the migrations that the database at `database_url` lacks, or says only which those are: their names, in their
/// order.
///
/// # Errors
/// When the database cannot be reached or migrated.
pub async fn migrate(
    settings: &Settings,
    database_url: &str,
    dry_run: bool,
) -> anyhow::Result<Vec<String>> {
    let store = Store::trusting(settings.database.ca.as_deref(), database_url, 1);
    let store = store.context("database")?;
    store.check_server().await.context("database")?;
    Ok(if dry_run { store.missing_migrations().await? } else { store.migrate().await? })
}

impl Listeners {
    /// Takes the addresses of the settings.
    ///
    /// # Errors
    /// When an address is taken, or is none of this machine's.
    pub async fn bind(settings: &Settings) -> anyhow::Result<Self> {
        Ok(Self {
            public: listen(settings.listen, "listen").await?,
            admin: listen(settings.admin.listen, "admin.listen").await?,
        })
    }
}

/// A node that serves.
pub struct App {
    public_address: SocketAddr,
    admin_address: SocketAddr,
    public_tls: Option<Tls>,
    admin_tls: Option<Tls>,
    service: Arc<Service>,
    delivery: Delivery,
    health: HealthReporter,
    tasks: Tasks,
    /// They stop before the others.
    listeners: Tasks,
    sockets: Sockets,
    delay: Duration,
    grace: Duration,
}

/// How long a node may take to leave the cluster when its connections have used up the grace.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl App {
    /// Brings the database at `database_url` up to date, joins the cluster that shares it, and serves.
    ///
    /// # Errors
    /// When the database cannot be reached or migrated, or an address is taken.
    pub async fn start(
        settings: &Settings,
        database_url: &str,
        admin_key: SecretString,
    ) -> anyhow::Result<Self> {
        let listeners = Listeners::bind(settings).await?;
        Self::start_on(listeners, settings, database_url, admin_key).await
    }

    /// As [`App::start`], on sockets that are there already.
    ///
    /// # Errors
    /// When the database cannot be reached or migrated.
    pub async fn start_on(
        listeners: Listeners,
        settings: &Settings,
        database_url: &str,
        admin_key: SecretString,
    ) -> anyhow::Result<Self> {
        let bugs = PlantedBugs::of_environment();
        Self::start_with_bugs(listeners, settings, database_url, admin_key, bugs).await
    }

    /// As [`App::start`], with bugs: for tests alone.
    #[cfg(feature = "planted-bugs")]
    pub async fn start_with(
        settings: &Settings,
        database_url: &str,
        admin_key: SecretString,
        bugs: PlantedBugs,
    ) -> anyhow::Result<Self> {
        let listeners = Listeners::bind(settings).await?;
        Self::start_with_bugs(listeners, settings, database_url, admin_key, bugs).await
    }

    async fn start_with_bugs(
        Listeners { public, admin }: Listeners,
        settings: &Settings,
        database_url: &str,
        admin_key: SecretString,
        bugs: PlantedBugs,
    ) -> anyhow::Result<Self> {
        telemetry::start_metrics();
        let (public_address, admin_address) = (public.local_addr()?, admin.local_addr()?);

        let public_tls = Tls::load(&settings.tls).context("tls")?;
        let admin_tls = Tls::load(&settings.admin.tls).context("admin.tls")?;
        let issuers = issuers::read(&settings.login.issuers)?;

        let pool_size = usize::try_from(settings.database.pool_size)?;
        let ca = settings.database.ca.as_deref();
        let store = Store::trusting(ca, database_url, pool_size).context("database")?;
        let control = store.beside(CONTROL_CONNECTIONS)?;
        store.check_server().await.context("database")?;
        if settings.database.migrate {
            store.migrate().await.context("bring the database up to date")?;
        } else {
            store.require_migrated().await.context("database")?;
        }
        let store = match &settings.database.read_url {
            Some(url) => store.reading_from(ca, url.expose_secret(), pool_size),
            None => Ok(store),
        };
        let store = store.context("database.read_url")?;
        store.seed_terminal_types(&terminal_types(settings)).await?;
        store.seed_tiers(&tiers(settings)).await?;
        check_default_tier(&store, &settings.default_tier).await?;

        let node_id = node_id(public_address);
        let tasks = Tasks::new(bugs.clone());
        let delivery = Delivery::start(
            store.clone(),
            control,
            tasks.clone(),
            DeliverySettings {
                node_id: node_id.clone(),
                heartbeat: settings.streams.heartbeat,
                lanes: lanes(settings),
                bus: bus(&settings.bus),
                presence: presence(&settings.presence),
                bugs,
            },
        )
        .await?;
        let limits = limits(settings, public_address, pool_size);
        let outward = OutwardSettings {
            push: push::read(&settings.push)?,
            webhooks: webhooks::read(&settings.webhooks)?,
            policy: policy::read(&settings.policy)?,
            attachments: attachments::read(settings)?,
        };
        let checks = checks(settings);
        let starting =
            Service::start(store, delivery.clone(), admin_key, limits, outward, checks, node_id);
        let service = Arc::new(starting.await?);
        service.trust(issuers);

        let sockets = Sockets::default();
        let (grpc, health) = grpc::public_router(service.clone()).await;
        let rest = rest::public_router(service.clone(), sockets.clone(), settings.page);
        let public_routes = merge(grpc, rest);
        let public_routes = cors::allow(&settings.cors.allowed_origins, public_routes);
        let admin_routes =
            merge(grpc::admin_router(service.clone()), rest::admin_router(service.clone()));
        start_loops(&tasks, &service);
        observe(&service, settings);
        let grace = settings.shutdown.grace;
        let listeners = tasks.group();
        report_health(&listeners, &health);
        let (by_token, by_key) = recognizers(&service);
        for (name, listener, router, tls, recognize) in [
            ("public", public, public_routes, &public_tls, by_token),
            ("admin", admin, admin_routes, &admin_tls, by_key),
        ] {
            let listening = Listening {
                name,
                router,
                refuse,
                recognize,
                tls: tls.clone(),
                limits: settings.limits.clone(),
                trusted_proxies: settings.trusted_proxies.clone(),
            };
            let mut serving = Some(serve(listener, listening, listeners.stopping(), grace));
            // A listener cannot be started again: its socket goes with it.
            let task = Task::new(format!("{name}_listener")).on_panic(OnPanic::Exit).finishing();
            listeners.start(task, move || serving.take().expect("it is started once"));
        }
        Ok(Self {
            public_address,
            admin_address,
            public_tls,
            admin_tls,
            service,
            delivery,
            health,
            tasks,
            listeners,
            sockets,
            delay: settings.shutdown.delay,
            grace,
        })
    }

    /// Takes over what of the settings can change while the node runs: `login.issuers` with their keys,
    /// and the files of certificates. Connections that live go on.
    ///
    /// # Errors
    /// When a file cannot be used; what was read from it stays as it was.
    pub fn reload(&self, settings: &Settings) -> anyhow::Result<()> {
        let issuers = issuers::read(&settings.login.issuers)?;
        for (tls, settings) in
            [(&self.public_tls, &settings.tls), (&self.admin_tls, &settings.admin.tls)]
        {
            if let Some(tls) = tls {
                tls.reload(settings)?;
            }
        }
        self.service.trust(issuers);
        Ok(())
    }

    /// The URL of the public listener.
    #[must_use]
    pub fn public_url(&self) -> String {
        url(self.public_address, self.public_tls.as_ref())
    }

    /// The URL of the admin listener.
    #[must_use]
    pub fn admin_url(&self) -> String {
        url(self.admin_address, self.admin_tls.as_ref())
    }

    /// The URL of the page, for who has started the node: with the code for demo users in it, as long as
    /// there is nobody else.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn page_url(&self) -> anyhow::Result<String> {
        let url = self.public_url();
        if !self.service.demo_users_offered().await? {
            return Ok(format!("{url}/"));
        }
        Ok(format!("{url}/#demo={}", self.service.demo_code().expose_secret()))
    }

    /// Where the public listener is.
    #[must_use]
    pub fn public_address(&self) -> SocketAddr {
        self.public_address
    }

    /// Where the admin listener is.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Waits until a task of the node cannot be kept running: its name. The node is then to be stopped.
    pub async fn given_up(&self) -> String {
        let mut health = self.tasks.health();
        loop {
            if let Some(task) = &health.borrow_and_update().given_up {
                return task.clone();
            }
            if health.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// How many messages wait for a batch.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.delivery.queued()
    }

    /// Says for `shutdown.delay` that the node is not ready while it goes on serving, sends the streams elsewhere one
    /// after the other over the same time, finishes what is under way, and leaves the cluster. Takes little longer than
    /// twice `shutdown.delay` and `shutdown.grace`.
    pub async fn stop(self) {
        self.delivery.leave();
        grpc::set_health(&self.health, false).await;
        if !self.delay.is_zero() {
            let delay = self.delay;
            tracing::info!(?delay, "not ready any more; serving on until balancers have noticed");
            sleep(delay).await;
            self.delivery.send_elsewhere_over(delay).await;
        }
        // Open streams would hold the listeners up until the deadline.
        self.delivery.drain();
        self.sockets.stop();
        let deadline = Instant::now() + self.grace;
        self.listeners.stop().await;
        let _ = timeout_at(deadline, self.sockets.stopped()).await;
        self.sockets.cut();
        let deadline = deadline.max(Instant::now() + LAST_WORDS);
        if timeout_at(deadline, self.delivery.stop()).await.is_err() {
            // No loss: what was not acknowledged is sent again, and a dead node is noticed.
            tracing::warn!("the database does not answer; stopping without deregistering");
        }
    }
}

/// How appends are gathered, and what they go by.
fn lanes(settings: &Settings) -> LaneSettings {
    LaneSettings {
        lanes: settings.append.lanes,
        batch: settings.append.batch,
        queue: settings.append.queue,
        messages_from: settings.messages.from,
    }
}

fn presence(settings: &config::Presence) -> PresenceSettings {
    let (visible_to, shows_types) = (settings.visible_to, settings.terminal_types);
    let defaults = PresenceDefaults { visible_to, shows_types };
    PresenceSettings { grace: settings.grace, defaults }
}

/// What a node does unasked, now and then.
fn start_loops(tasks: &Tasks, service: &Arc<Service>) {
    let (working, looking, stop) = (service.clone(), service.clone(), tasks.stopping());
    let jobs = Task::new("jobs").on_panic(OnPanic::Restart).finishing();
    tasks.start(jobs, move || working.clone().keep_working_at_jobs(stop.clone()));
    tasks.start(Task::new("keys"), move || looking.clone().keep_keys());
    let telling = service.clone();
    let reactions = Task::new("reactions").on_panic(OnPanic::Restart);
    tasks.start(reactions, move || telling.clone().keep_telling_of_reactions());
    let showing = service.clone();
    let profiles = Task::new("profiles").on_panic(OnPanic::Restart);
    tasks.start(profiles, move || showing.clone().keep_telling_of_profiles());
    let pushing = service.clone();
    let push = Task::new("push").on_panic(OnPanic::Restart);
    tasks.start(push, move || pushing.clone().keep_pushing());
    let counting = service.clone();
    let census = Task::new("census").on_panic(OnPanic::Restart);
    tasks.start(census, move || counting.clone().keep_counting());
    let watching = service.clone();
    let security = Task::new("security_events").on_panic(OnPanic::Restart);
    tasks.start(security, move || watching.clone().keep_telling_of_security());
    let (telling, stop) = (service.clone(), tasks.stopping());
    let webhooks = Task::new("webhooks").on_panic(OnPanic::Restart).finishing();
    tasks.start(webhooks, move || telling.clone().keep_telling_webhooks(stop.clone()));
    let (meeting, stop) = (service.clone(), tasks.stopping());
    let inbox = Task::new("inbox").on_panic(OnPanic::Restart).finishing();
    tasks.start(inbox, move || meeting.clone().keep_meeting_requests(stop.clone()));
}

/// Has the gauges set that are looked at when metrics are asked for, as long as the node is there.
fn observe(service: &Arc<Service>, settings: &Settings) {
    let service = Arc::downgrade(service);
    let certificates = certificates_of(settings);
    telemetry::observe(move || {
        let Some(service) = service.upgrade() else { return false };
        service.observe();
        for (setting, file) in &certificates {
            let listener = if setting.starts_with("admin.") { "admin" } else { "public" };
            if let Ok(end) = certificates::expiry(file) {
                let end = Duration::try_from(end - OffsetDateTime::UNIX_EPOCH).unwrap_or_default();
                gauge!(telemetry::CERTIFICATE_EXPIRY, "listener" => listener)
                    .set(end.as_secs_f64());
            }
        }
        true
    });
}

/// The files of the certificates that the listeners show, each with the setting that names it.
fn certificates_of(settings: &Settings) -> Vec<(&'static str, PathBuf)> {
    let files = [("tls.cert", &settings.tls.cert), ("admin.tls.cert", &settings.admin.tls.cert)];
    files.into_iter().filter_map(|(setting, file)| Some((setting, file.clone()?))).collect()
}

fn checks(settings: &Settings) -> CheckSettings {
    CheckSettings {
        data_folder: settings.data_dir.clone(),
        certificates: certificates_of(settings),
        settings: settings.to_masked_toml(),
        expiry: certificates::expiry,
    }
}

/// Has gRPC's health service say the same of the node's tasks as `/readyz`.
fn report_health(tasks: &Tasks, reporter: &HealthReporter) {
    let (health, reporter) = (tasks.health(), reporter.clone());
    let task = Task::new("health_reporter").on_panic(OnPanic::Restart);
    tasks.start(task, move || report(health.clone(), reporter.clone()));
}

async fn report(mut health: watch::Receiver<Health>, reporter: HealthReporter) {
    let mut known = true;
    loop {
        let works = health.borrow_and_update().failing.is_empty();
        if works != known {
            grpc::set_health(&reporter, works).await;
            known = works;
        }
        if health.changed().await.is_err() {
            return;
        }
    }
}

fn url(address: SocketAddr, tls: Option<&Tls>) -> String {
    let scheme = if tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{address}")
}

async fn listen(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("cannot listen on {address} (setting `{setting}`)"))
}

fn merge(grpc: Router, rest: Router) -> Router {
    grpc.merge(rest).fallback(async |headers: HeaderMap| {
        if grpc::is_call(&headers) { grpc::unknown_method() } else { rest::unknown_path() }
    })
}

/// The answer to a request that is refused before anybody has looked at its path.
fn refuse(headers: &HeaderMap, error: Error) -> Response {
    if grpc::is_call(headers) { grpc::refuse(error) } else { rest::refuse(error) }
}

/// Whether a request carries an access token of this deployment's, whose session may have ended; and
/// whether it carries the key of an administrator.
fn recognizers(service: &Arc<Service>) -> (Recognize, Recognize) {
    let bearer = |headers: &HeaderMap| grpc::bearer_token(headers).map(str::to_owned);
    let (tokens, keys) = (service.clone(), service.clone());
    let by_token: Recognize = Arc::new(move |headers| {
        let (service, token) = (tokens.clone(), bearer(headers));
        async move { service.recognize(token.as_deref()).await }.boxed()
    });
    let by_key: Recognize = Arc::new(move |headers| {
        let (service, key) = (keys.clone(), bearer(headers));
        async move { service.check_admin_key(key.as_deref()).await }.boxed()
    });
    (by_token, by_key)
}

fn limits(settings: &Settings, public_address: SocketAddr, pool_size: usize) -> Limits {
    Limits {
        access_ttl: settings.tokens.access_ttl,
        refresh_ttl: settings.tokens.refresh_ttl,
        max_body_bytes: settings.messages.max_body_bytes,
        recall_window: settings.messages.recall_window,
        edit_window: settings.messages.edit_window,
        keep_edits: settings.messages.keep_edits,
        dedupe_for: settings.messages.dedupe_for,
        read_receipts: settings.messages.read_receipts,
        search: settings.messages.search,
        if_blocked: settings.messages.if_blocked,
        settings: UserSettings {
            messages_from: settings.messages.from,
            groups_invite_from: settings.groups.invite_from,
            presence_visible_to: settings.presence.visible_to,
            presence_terminal_types: settings.presence.terminal_types,
            invisible: false,
        },
        max_members: settings.groups.max_members.into(),
        heartbeat: settings.streams.heartbeat,
        purge_after: settings.retention.purge_after,
        keep_ended: settings.sessions.keep_ended,
        keep_audit: settings.audit.keep,
        default_tier: settings.default_tier.clone(),
        demo_users: settings.database.url.is_none() && public_address.ip().is_loopback(),
        passwords: settings.login.passwords,
        call_timeout: settings.limits.call_timeout,
        // Others than those who read pages find a connection.
        pages_at_a_time: pool_size.div_ceil(2),
        clients: client_limits(&settings.limits),
    }
}

fn client_limits(limits: &config::Limits) -> ClientLimits {
    ClientLimits {
        failed_logins: limits.failed_logins,
        failed_logins_per_address: limits.failed_logins_per_address,
        logins_per_user: limits.logins_per_user,
        sends_per_session: limits.sends_per_session,
        sends_per_user: limits.sends_per_user,
        signals_per_session: limits.signals_per_session,
        reads_per_user: limits.reads_per_user,
        reads_at_once: limits.reads_at_once,
        changes_per_user: limits.changes_per_user,
        streams_per_session: limits.streams_per_session,
        pings_per_second: limits.pings_per_second,
    }
}

async fn check_default_tier(store: &Store, name: &str) -> anyhow::Result<()> {
    let exists = store.tiers().await?.iter().any(|used| used.tier.name == name);
    anyhow::ensure!(exists, "default_tier: there is no tier {name:?}");
    Ok(())
}

fn bus(settings: &config::Bus) -> BusSettings {
    BusSettings {
        url: settings.url.clone(),
        ca: settings.ca.clone(),
        identity: settings.cert.clone().zip(settings.key.clone()),
    }
}

fn tiers(settings: &Settings) -> Vec<Tier> {
    let tier = |(name, limits): (&String, &config::Tier)| Tier {
        name: name.clone(),
        limits: RetentionLimits {
            max_age: limits.days.map(|days| Duration::from_hours(24) * days),
            max_messages: limits.messages.map(i64::from),
            max_bytes: limits.bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        },
    };
    settings.tiers.iter().map(tier).collect()
}

fn terminal_types(settings: &Settings) -> Vec<TerminalType> {
    let terminal_type = |(name, limit): (&String, &u32)| TerminalType {
        name: name.clone(),
        session_limit: i32::try_from(*limit).unwrap_or(i32::MAX),
        excludes: settings.terminals.excluded_by(name),
    };
    settings.terminals.limits.iter().map(terminal_type).collect()
}

/// Where the node can be found, for people.
fn node_id(address: SocketAddr) -> String {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    format!("{}:{}", host.unwrap_or_else(|| address.ip().to_string()), address.port())
}
