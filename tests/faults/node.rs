//! Nodes in this process that can die.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use imd::{app::App, config::Settings, planted_bugs::PlantedBugs};
use tokio::runtime::{self, Runtime};
use uuid::Uuid;

use crate::support::{
    admin::Admin,
    api::{Api, Transport},
    cluster::{PASSWORD, login},
    node::ADMIN_KEY,
    terminal::Terminal,
};

/// What a node is to be like.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) database_url: String,
    /// `None` for PostgreSQL's own bus.
    pub(super) bus_url: Option<String>,
    pub(super) bugs: PlantedBugs,
    pub(super) lanes: usize,
    pub(super) grace: Duration,
}

impl Plan {
    /// A node as it should be, on this database.
    pub(super) fn on(database_url: &str) -> Self {
        Self {
            database_url: database_url.to_owned(),
            bus_url: None,
            bugs: PlantedBugs::default(),
            lanes: 1,
            grace: Duration::from_secs(1),
        }
    }

    fn settings(&self) -> Settings {
        let any_port = ([127, 0, 0, 1], 0).into();
        let mut settings = Settings { listen: any_port, ..Settings::default() };
        settings.admin.listen = any_port;
        // Some databases are shared with the nodes of other tests.
        settings.database.pool_size = 4;
        settings.append.lanes = self.lanes;
        settings.streams.heartbeat = Duration::from_secs(1);
        settings.shutdown.grace = self.grace;
        settings.bus.url = self.bus_url.clone().map(Into::into);
        settings
    }

    /// Starts the node, on a runtime of its own.
    pub(super) async fn start(&self) -> Node {
        let plan = self.clone();
        let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let starting = runtime.spawn(async move {
            let key = ADMIN_KEY.to_owned().into();
            App::start_with(&plan.settings(), &plan.database_url, key, plan.bugs).await
        });
        let app = starting.await.expect("no panic").expect("a node");
        let (public, admin) = (app.public_address(), app.admin_address());
        Node { public, admin, app: Some(app), runtime: Some(runtime) }
    }
}

/// A node that ends without a word when it is dropped, as by `kill -9`.
pub(super) struct Node {
    pub(super) public: SocketAddr,
    pub(super) admin: SocketAddr,
    app: Option<App>,
    runtime: Option<Runtime>,
}

impl Node {
    pub(super) fn api(&self) -> Arc<dyn Api> {
        Transport::Grpc.connect(self.public)
    }

    pub(super) fn admin(&self) -> Admin {
        Admin::new(self.admin, ADMIN_KEY)
    }

    pub(super) async fn create_users(&self, user_ids: &[&str]) {
        for user_id in user_ids {
            self.admin().create_user(user_id, PASSWORD).await.expect("a new user");
        }
    }

    /// Logs a user in on a new device.
    pub(super) async fn log_in(&self, user_id: &str, terminal_type: &str) -> Terminal {
        let login = login(user_id, terminal_type, &Uuid::new_v4().to_string());
        let logged_in = self.api().login(&login).await.expect("a session");
        Terminal::new(self.api(), user_id, logged_in)
    }

    /// Waits until a task of the node cannot be kept running: its name.
    pub(super) async fn given_up(&self) -> String {
        self.app.as_ref().expect("it has not been stopped").given_up().await
    }

    /// How many messages wait for a batch.
    pub(super) fn queued(&self) -> usize {
        self.app.as_ref().expect("it has not been stopped").queued()
    }

    /// Stops as a node does that is asked to.
    pub(super) async fn stop(mut self) {
        if let (Some(app), Some(runtime)) = (self.app.take(), &self.runtime) {
            runtime.spawn(app.stop()).await.expect("no panic");
        }
    }

    /// Ends without a word.
    pub(super) fn kill(self) {
        drop(self);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
