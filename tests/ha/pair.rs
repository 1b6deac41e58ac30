//! A primary and a standby, without anybody who watches over them.

use std::time::Duration;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio_postgres::Client;

use super::{
    server::Server,
    service::{folder, free_ports},
};
use crate::faults::until;

/// How long a step may take.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// A primary and a standby that take turns on two ports.
pub(super) struct Pair {
    servers: [Server; 2],
    /// The place of the primary.
    primary: usize,
    _folder: TempDir,
}

impl Pair {
    pub(super) async fn start() -> Self {
        let folder = folder();
        let [one, other] = free_ports();
        let server = |name, port| Server::new(name, folder.path(), port);
        let mut servers = [server("server-0", one), server("server-1", other)];
        servers[0].init().await;
        servers[0].start(&[]);
        servers[0].create_database().await;
        Self { servers, primary: 0, _folder: folder }
    }

    fn standby(&self) -> &Server {
        &self.servers[1 - self.primary]
    }

    /// A connection to the primary.
    pub(super) async fn primary(&self) -> Client {
        self.servers[self.primary].sql("imd").await
    }

    /// For nodes: the URL of the standby alone.
    pub(super) fn standby_url(&self) -> String {
        self.standby().url()
    }

    /// Waits until the standby has replayed everything.
    pub(super) async fn replicated(&self) {
        let sql = self.primary().await;
        until("the standby has everything", PATIENCE, async || {
            let has = "SELECT FROM pg_stat_replication
                       WHERE state = 'streaming' AND replay_lsn = pg_current_wal_lsn()";
            sql.query_opt(has, &[]).await.ok().flatten().map(drop)
        })
        .await;
    }

    /// For nodes: both.
    pub(super) fn url(&self) -> String {
        let [one, other] = self.servers.each_ref().map(Server::port);
        format!("postgresql://imd@127.0.0.1:{one},127.0.0.1:{other}/imd")
    }

    /// Makes a standby of a copy of the primary, and waits until it has everything.
    pub(super) async fn add_standby(&mut self) {
        self.standby().copy(&self.servers[self.primary], &["-R"]).await;
        self.servers[1 - self.primary].start(&[]);
        self.replicated().await;
    }

    /// Has commits wait for the standby.
    pub(super) async fn wait_for_standby(&self) {
        let sql = self.primary().await;
        let wait = "ALTER SYSTEM SET synchronous_standby_names = '*'";
        sql.batch_execute(wait).await.expect("a superuser may");
        sql.batch_execute("SELECT pg_reload_conf()").await.expect("a superuser may");
    }

    /// Has the standby get nothing any more.
    pub(super) async fn hold(&self) {
        let sql = self.primary().await;
        let row = sql.query_one("SELECT pid FROM pg_stat_replication", &[]).await;
        let sender = Pid::from_raw(row.expect("one standby").get(0));
        kill(sender, Signal::SIGSTOP).expect("it runs");
    }

    /// Kills the standby with all its processes.
    pub(super) async fn lose_standby(&mut self) {
        self.servers[1 - self.primary].kill().await;
    }

    /// Kills the primary with all its processes, and has the standby take over.
    pub(super) async fn fail_over(&mut self) {
        self.servers[self.primary].kill().await;
        self.primary = 1 - self.primary;
        let sql = self.primary().await;
        sql.batch_execute("SELECT pg_promote()").await.expect("a superuser may");
    }
}
