//! Nodes as processes, with a proxy on either side.

use std::{fs, net::SocketAddr, path::PathBuf, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::time::Instant;

use super::proxy::{Proxy, Target};
use crate::support::{
    admin::Admin,
    process::{DataFolder, Imd},
};

/// What a drain may take: `shutdown.grace`, and what the process needs to end.
const DRAIN: Duration = Duration::from_secs(5);

/// An `imd` that can be killed and started again; its clients find it where it was.
pub(super) struct ProcessNode {
    // Ends before the folder goes.
    imd: Imd,
    folder: DataFolder,
    /// Before its public listener.
    pub(super) front: Proxy,
    /// Before its database, unless that is its own.
    pub(super) back: Option<Proxy>,
    /// Past the proxy.
    database_url: String,
    /// Through the proxy.
    url: Option<String>,
    footing: Footing,
}

/// What a node stands on.
#[derive(Debug, Default)]
pub(super) struct Footing {
    /// A program that becomes what the rest of its arguments say, and arguments of its own; none for no other
    /// program than imd.
    pub(super) by: Vec<String>,
    /// Environment variables.
    pub(super) environment: Vec<(&'static str, String)>,
}

impl ProcessNode {
    /// A node on a database, or on its own.
    pub(super) async fn start(database_url: Option<&str>, bus_url: Option<&str>) -> Self {
        Self::start_on(DataFolder::new(), Footing::default(), database_url, bus_url).await
    }

    /// A node of another version, on a database.
    pub(super) async fn start_version(program: PathBuf, database_url: &str) -> Self {
        let mut folder = DataFolder::new();
        folder.runs(program);
        Self::start_on(folder, Footing::default(), Some(database_url), None).await
    }

    /// As [`ProcessNode::start`], on a data folder that may have been used before.
    pub(super) async fn start_on(
        folder: DataFolder,
        footing: Footing,
        database_url: Option<&str>,
        bus_url: Option<&str>,
    ) -> Self {
        let settings = settings(bus_url);
        let home = folder.path().parent().expect("a folder");
        fs::write(home.join("imd.toml"), settings).expect("a file can be made");
        let (back, url) = match database_url {
            Some(url) => Some(Proxy::before_database(url).await).unzip(),
            None => (None, None),
        };
        let imd = start(&folder, &footing, url.as_deref()).await;
        let front = Proxy::start(Target::Tcp(imd.public)).await;
        let database_url = match database_url {
            Some(url) => url.to_owned(),
            None => folder.database_url().await,
        };
        Self { imd, folder, front, back, database_url, url, footing }
    }

    /// Where clients find it.
    pub(super) fn address(&self) -> SocketAddr {
        self.front.address()
    }

    pub(super) fn database_url(&self) -> &str {
        &self.database_url
    }

    pub(super) fn folder(&self) -> &DataFolder {
        &self.folder
    }

    pub(super) fn admin(&self) -> Admin {
        self.imd.admin()
    }

    pub(super) async fn create_users(&self, user_ids: &[String]) {
        let user_ids: Vec<_> = user_ids.iter().map(String::as_str).collect();
        self.imd.create_users(&user_ids).await;
    }

    pub(super) fn pid(&self) -> Pid {
        self.imd.pid()
    }

    /// Whether it still runs.
    pub(super) fn is_running(&mut self) -> bool {
        self.imd.is_running()
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill(self.imd.pid(), signal).expect("it runs");
    }

    pub(super) async fn kill(&mut self) {
        self.imd.end(Signal::SIGKILL).await;
    }

    /// Stops it as it is meant to be stopped, and in time.
    pub(super) async fn drain(&mut self) {
        let began = Instant::now();
        let status = self.imd.end(Signal::SIGTERM).await;
        assert!(status.success() && began.elapsed() < DRAIN, "{status} {:?}", began.elapsed());
    }

    /// Puts another version in its place.
    pub(super) async fn replace(&mut self, program: PathBuf) {
        self.drain().await;
        self.folder.runs(program);
        self.start_again().await;
    }

    pub(super) async fn start_again(&mut self) {
        self.imd = start(&self.folder, &self.footing, self.url.as_deref()).await;
        self.front.lead_to(self.imd.public);
    }
}

async fn start(folder: &DataFolder, footing: &Footing, database_url: Option<&str>) -> Imd {
    let environment = footing.environment.iter().map(|(name, value)| (*name, value.as_str()));
    let database = database_url.map(|url| ("IMD_DATABASE_URL", url));
    folder.start_by(&footing.by, &environment.chain(database).collect::<Vec<_>>()).await
}

fn settings(bus_url: Option<&str>) -> String {
    // Terminals give a stream up that has been silent for three heartbeats.
    let settings = "streams.heartbeat = \"1s\"
        shutdown.grace = \"2s\"
        # The database may be that of other tests too.
        database.pool_size = 6";
    let bus = bus_url.map(|url| format!("bus.url = \"{url}\"")).unwrap_or_default();
    format!("{settings}\n{bus}\n")
}
