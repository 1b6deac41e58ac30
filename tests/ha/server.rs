//! A PostgreSQL server of a test's own.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::process::{Child, Command};
use tokio_postgres::{Client, NoTls};

use super::{
    pair::PATIENCE,
    service::{postgres_programs, start},
};
use crate::{faults::until, support::process::processes_of};

/// A server with its files in a folder; it is killed when it is dropped.
pub(super) struct Server {
    name: String,
    folder: PathBuf,
    port: u16,
    process: Option<Child>,
}

impl Server {
    /// One that has no files yet. `name` is that of its folder in `folder`, and of its log.
    pub(super) fn new(name: &str, folder: &Path, port: u16) -> Self {
        Self { name: name.to_owned(), folder: folder.to_owned(), port, process: None }
    }

    /// Makes its files.
    pub(super) async fn init(&self) {
        let mut initdb = Command::new(postgres_programs().join("initdb"));
        initdb.arg("-D").arg(self.data()).args(["-U", "imd", "-A", "trust", "-E", "UTF8"]);
        initdb.args(["--locale=C.UTF-8", "--no-sync"]);
        self.run("initdb", initdb).await;
    }

    /// Makes its files a copy of those of a server that runs.
    pub(super) async fn copy(&self, of: &Self, options: &[&str]) {
        let _ = fs::remove_dir_all(self.data());
        let mut copy = Command::new(postgres_programs().join("pg_basebackup"));
        copy.args(["-h", "127.0.0.1", "-U", "imd", "-p", &of.port.to_string()]);
        copy.arg("-D").arg(self.data()).args(["-c", "fast", "--no-sync"]).args(options);
        self.run("pg_basebackup", copy).await;
    }

    /// Runs a program to its end.
    async fn run(&self, name: &str, command: Command) {
        let status = start(name, command, &self.folder).wait().await.expect("it ends");
        let log = fs::read_to_string(self.folder.join(format!("{name}.log")));
        assert!(status.success(), "{name}: {}", log.unwrap_or_default());
    }

    /// Starts it, with these settings beside those of its files.
    pub(super) fn start(&mut self, settings: &[String]) {
        let mut postgres = Command::new(postgres_programs().join("postgres"));
        postgres.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        // What is tested survives the death of processes, not that of the machine.
        for setting in ["unix_socket_directories=", "fsync=off", "max_connections=60"] {
            postgres.args(["-c", setting]);
        }
        for setting in settings {
            postgres.args(["-c", setting]);
        }
        self.process = Some(start(&self.name, postgres, &self.folder));
    }

    /// Its folder.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// For nodes.
    pub(super) fn url(&self) -> String {
        format!("postgresql://imd@127.0.0.1:{}/imd", self.port)
    }

    /// A connection, as soon as the server takes any.
    pub(super) async fn sql(&self, database: &str) -> Client {
        let url = format!("host=127.0.0.1 port={} user=imd dbname={database}", self.port);
        until("the server takes connections", PATIENCE, async || {
            let (sql, connection) = tokio_postgres::connect(&url, NoTls).await.ok()?;
            tokio::spawn(connection);
            Some(sql)
        })
        .await
    }

    /// Makes the database of imd.
    pub(super) async fn create_database(&self) {
        let sql = self.sql("postgres").await;
        sql.batch_execute("CREATE DATABASE imd").await.expect("a superuser may");
    }

    /// Kills it with all its processes.
    pub(super) async fn kill(&mut self) {
        let mut dead = self.process.take().expect("it runs");
        kill_all(&dead);
        dead.wait().await.expect("it ends");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that stands still would not notice that its parent is gone.
        self.process.iter().for_each(kill_all);
    }
}

fn kill_all(server: &Child) {
    let Some(postmaster) = server.id().and_then(|id| i32::try_from(id).ok()) else { return };
    for process in processes_of(Pid::from_raw(postmaster)) {
        let _ = kill(process, Signal::SIGKILL);
    }
}
