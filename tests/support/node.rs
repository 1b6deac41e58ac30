//! Nodes in this process.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use imd::{app::App, config::Settings};

use super::{
    admin::Admin,
    api::{Api, Transport},
    postgres::Database,
};

/// The key of every node's administrator.
pub(crate) const ADMIN_KEY: &str = "key-of-the-tests";

/// A node on ports of its own. It ends with the runtime of its test, or before by [`Node::stop`].
pub(crate) struct Node {
    app: App,
    settings: Settings,
}

impl Node {
    pub(crate) async fn start(database: &Database) -> Self {
        Self::start_with(database, |_| ()).await
    }

    /// A node on the database at this URL.
    pub(crate) async fn start_at(url: &str) -> Self {
        Self::try_start(url, |_| ()).await.expect("a node")
    }

    /// Why a node does not start on the database at this URL.
    pub(crate) async fn refused(url: &str) -> String {
        Self::try_start(url, |_| ()).await.err().expect("a node that does not start")
    }

    /// A node with other settings than those of the tests.
    pub(crate) async fn start_with(
        database: &Database,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        // All settings are in it.
        Box::pin(Self::try_start(database.url(), change)).await.expect("a node")
    }

    async fn try_start(url: &str, change: impl FnOnce(&mut Settings)) -> Result<Self, String> {
        show_logs();
        let any_port = ([127, 0, 0, 1], 0).into();
        let mut settings = Settings { listen: any_port, ..Settings::default() };
        settings.admin.listen = any_port;
        settings.database.pool_size = 6;
        settings.streams.heartbeat = Duration::from_secs(1);
        settings.shutdown.grace = Duration::from_secs(1);
        settings.presence.grace = Duration::from_secs(1);
        settings.limits.failed_logins = 0;
        settings.limits.failed_logins_per_address = 0;
        settings.limits.logins_per_user = 0;
        settings.limits.sends_per_session = 0;
        settings.limits.sends_per_user = 0;
        settings.limits.signals_per_session = 0;
        settings.limits.reads_per_user = 0;
        settings.limits.changes_per_user = 0;
        settings.limits.streams_per_session = 0;
        settings.attachments.folder = Some(super::packages::scratch("attachments"));
        change(&mut settings);
        let app = App::start(&settings, url, ADMIN_KEY.to_owned().into()).await;
        Ok(Self { app: app.map_err(|error| format!("{error:#}"))?, settings })
    }

    /// Does what a node does at SIGHUP when its settings have changed.
    pub(crate) fn reload(&self, change: impl FnOnce(&mut Settings)) -> Result<(), String> {
        let mut settings = self.settings.clone();
        change(&mut settings);
        self.app.reload(&settings).map_err(|error| format!("{error:#}"))
    }

    /// The folder with the bytes of attachments.
    pub(crate) fn attachments(&self) -> PathBuf {
        self.settings.attachments.folder.clone().expect("a folder")
    }

    pub(crate) fn public_address(&self) -> SocketAddr {
        self.app.public_address()
    }

    /// The link to the page that `imd` prints at its start.
    pub(crate) async fn page_url(&self) -> String {
        self.app.page_url().await.expect("a link")
    }

    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.app.admin_address()
    }

    /// A client on connections of its own.
    pub(crate) fn api(&self, transport: Transport) -> Arc<dyn Api> {
        transport.connect(self.public_address())
    }

    pub(crate) fn admin(&self) -> Admin {
        Admin::new(self.admin_address(), ADMIN_KEY)
    }

    /// How many messages wait for a batch.
    pub(crate) fn queued(&self) -> usize {
        self.app.queued()
    }

    /// Stops as a node does that is asked to.
    pub(crate) async fn stop(self) {
        self.app.stop().await;
    }
}

/// What the nodes log goes to the output of the test, which is shown when it fails. `RUST_LOG` says
/// how much.
fn show_logs() {
    let levels = std::env::var("RUST_LOG").unwrap_or_else(|_| "imd=warn".to_owned());
    // The first test of the process sets it up for all.
    let _ = tracing_subscriber::fmt().with_env_filter(levels).with_test_writer().try_init();
}
