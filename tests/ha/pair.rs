//! A primary and a standby, without anybody who watches over them.

use std::{fs, path::PathBuf, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio_postgres::{Client, NoTls};

use super::service::{folder, free_ports, postgres_programs, start};
use crate::{faults::until, support::process::processes_of};

/// How long a step may take.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// A primary and a standby that take turns on two ports.
pub(super) struct Pair {
    ports: [u16; 2],
    /// The place of the primary.
    primary: usize,
    servers: [Option<Child>; 2],
    folder: TempDir,
}

impl Pair {
    pub(super) async fn start() -> Self {
        let mut pair =
            Self { ports: free_ports(), primary: 0, servers: [None, None], folder: folder() };
        let data = pair.data(0);
        let mut initdb = Command::new(postgres_programs().join("initdb"));
        initdb.arg("-D").arg(&data).args(["-U", "imd", "-A", "trust", "-E", "UTF8", "--no-sync"]);
        initdb.arg("--locale=C.UTF-8");
        pair.run("initdb", initdb).await;
        pair.start_server(0);
        let sql = pair.sql(0, "postgres").await;
        sql.batch_execute("CREATE DATABASE imd").await.expect("a superuser may");
        pair
    }

    fn data(&self, server: usize) -> PathBuf {
        self.folder.path().join(format!("data-{server}"))
    }

    /// Runs a program to its end.
    async fn run(&self, name: &str, command: Command) {
        let status = start(name, command, self.folder.path()).wait().await.expect("it ends");
        let log = fs::read_to_string(self.folder.path().join(format!("{name}.log")));
        assert!(status.success(), "{name}: {}", log.unwrap_or_default());
    }

    fn start_server(&mut self, server: usize) {
        let mut postgres = Command::new(postgres_programs().join("postgres"));
        postgres.arg("-D").arg(self.data(server)).args(["-p", &self.ports[server].to_string()]);
        // What is tested survives the death of processes, not that of the machine.
        for setting in ["unix_socket_directories=", "fsync=off", "max_connections=60"] {
            postgres.args(["-c", setting]);
        }
        let name = format!("server-{server}");
        self.servers[server] = Some(start(&name, postgres, self.folder.path()));
    }

    /// A connection, as soon as the server takes any.
    async fn sql(&self, server: usize, database: &str) -> Client {
        let url = format!("host=127.0.0.1 port={} user=imd dbname={database}", self.ports[server]);
        until("the server takes connections", PATIENCE, async || {
            let (sql, connection) = tokio_postgres::connect(&url, NoTls).await.ok()?;
            tokio::spawn(connection);
            Some(sql)
        })
        .await
    }

    /// A connection to the primary.
    pub(super) async fn primary(&self) -> Client {
        self.sql(self.primary, "imd").await
    }

    /// For nodes: the URL of the standby alone.
    pub(super) fn standby_url(&self) -> String {
        format!("postgresql://imd@127.0.0.1:{}/imd", self.ports[1 - self.primary])
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
        let [one, other] = self.ports;
        format!("postgresql://imd@127.0.0.1:{one},127.0.0.1:{other}/imd")
    }

    /// Makes a standby of a copy of the primary, and waits until it has everything.
    pub(super) async fn add_standby(&mut self) {
        let standby = 1 - self.primary;
        let _ = fs::remove_dir_all(self.data(standby));
        let mut copy = Command::new(postgres_programs().join("pg_basebackup"));
        copy.args(["-h", "127.0.0.1", "-U", "imd", "-p", &self.ports[self.primary].to_string()]);
        copy.arg("-D").arg(self.data(standby)).args(["-R", "-c", "fast", "--no-sync"]);
        self.run("pg_basebackup", copy).await;
        self.start_server(standby);
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
        let sql = self.sql(self.primary, "imd").await;
        let row = sql.query_one("SELECT pid FROM pg_stat_replication", &[]).await;
        let sender = Pid::from_raw(row.expect("one standby").get(0));
        kill(sender, Signal::SIGSTOP).expect("it runs");
    }

    /// Kills the standby with all its processes.
    pub(super) async fn lose_standby(&mut self) {
        let mut dead = self.servers[1 - self.primary].take().expect("a standby");
        kill_all(&dead);
        dead.wait().await.expect("it ends");
    }

    /// Kills the primary with all its processes, and has the standby take over.
    pub(super) async fn fail_over(&mut self) {
        let mut dead = self.servers[self.primary].take().expect("a primary");
        kill_all(&dead);
        dead.wait().await.expect("it ends");
        self.primary = 1 - self.primary;
        let sql = self.sql(self.primary, "imd").await;
        sql.batch_execute("SELECT pg_promote()").await.expect("a superuser may");
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // One of them stands still and would not notice that its parent is gone.
        self.servers.iter().flatten().for_each(kill_all);
    }
}

/// Kills a server with all its processes.
fn kill_all(server: &Child) {
    let Some(postmaster) = server.id().and_then(|id| i32::try_from(id).ok()) else { return };
    for process in processes_of(Pid::from_raw(postmaster)) {
        let _ = kill(process, Signal::SIGKILL);
    }
}
