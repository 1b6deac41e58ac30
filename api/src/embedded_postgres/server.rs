//! The server process: its settings, how it starts and how it stops.

use std::fs;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::time::{sleep, timeout};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

use super::binaries::Binaries;
use super::cluster::{Cluster, PORT, SUPERUSER};
use super::error::{EmbeddedPostgresError, Result, at};
use super::leftovers;
use super::log::ServerLog;

/// How long a fast shutdown, with its checkpoint, may take.
const FAST_SHUTDOWN: Duration = Duration::from_secs(30);
/// How long an immediate shutdown may take. It skips the checkpoint; the next start recovers.
const IMMEDIATE_SHUTDOWN: Duration = Duration::from_secs(5);

/// Pause between two looks at a starting server; doubled each time.
const FIRST_LOOK: Duration = Duration::from_millis(10);
const LONGEST_LOOK: Duration = Duration::from_millis(500);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

const MIB: u64 = 1024 * 1024;

/// Everything it takes to start the server of a cluster, again and again.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) cluster: Cluster,
    pub(super) binaries: Binaries,
    pub(super) log: ServerLog,
}

impl Server {
    /// Starts the server, once nothing of an earlier one is left, and waits until it takes
    /// connections. That can take as long as the recovery after a crash.
    ///
    /// Returns the postmaster and a superuser's connection to the database `postgres`.
    pub(super) async fn start(&self) -> Result<(Postmaster, Client)> {
        leftovers::stop(&self.cluster).await?;
        let mut postmaster = self.spawn().await?;
        let client = self.ready(&mut postmaster).await?;
        Ok((postmaster, client))
    }

    async fn spawn(&self) -> Result<Postmaster> {
        let program = self.binaries.program("postgres");
        let account = self.cluster.account();
        let folder = account.pass_folder(&self.cluster.data())?;

        // `-C` only checks the value; builds without lz4 refuse it.
        let lz4 = account
            .command(&program)
            .arg("-D")
            .arg(&folder.name)
            .args(["-C", "wal_compression", "-c", "wal_compression=lz4"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await
            .map_err(at(&program))?
            .success();

        let log = self.log.open().map_err(at(self.log.path()))?;
        let mut command = account.command(&program);
        command.arg("-D").arg(&folder.name);
        for (name, value) in self.settings(lz4)? {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        let child = command.stdout(Stdio::null()).stderr(log).spawn().map_err(at(&program))?;
        Ok(Postmaster { child })
    }

    fn settings(&self, lz4: bool) -> Result<Vec<(&'static str, String)>> {
        let socket_folder = self.cluster.socket_folder_for_server();
        let mut settings = vec![
            ("cluster_name", self.cluster.server_name()?),
            ("unix_socket_directories", socket_folder.display().to_string()),
            ("port", PORT.to_string()),
            ("shared_buffers", format!("{}MB", shared_buffers_mib())),
        ];
        let fixed = [
            ("listen_addresses", ""),
            ("unix_socket_permissions", "0700"),
            ("max_connections", "100"),
            ("fsync", "on"),
            ("full_page_writes", "on"),
            ("synchronous_commit", "on"),
            ("wal_compression", if lz4 { "lz4" } else { "pglz" }),
            ("max_wal_size", "2GB"),
            ("checkpoint_timeout", "15min"),
            ("jit", "off"),
            // Our supervisor starts it again, whichever process has crashed. (Postgres itself
            // hangs if it is told to stop while it recovers from a crash of a backend.)
            ("restart_after_crash", "off"),
            ("timezone", "UTC"),
            ("log_timezone", "UTC"),
            ("log_min_messages", "warning"),
            // Details of a failed statement could hold message bodies.
            ("log_error_verbosity", "terse"),
        ];
        settings.extend(fixed.map(|(name, value)| (name, value.to_owned())));
        Ok(settings)
    }

    async fn ready(&self, postmaster: &mut Postmaster) -> Result<Client> {
        let mut pause = FIRST_LOOK;
        loop {
            tokio::select! {
                status = postmaster.ended() => {
                    return Err(EmbeddedPostgresError::Start {
                        status: status?,
                        log: self.log.path().to_owned(),
                        tail: self.log.tail(),
                    });
                }
                () = sleep(pause) => pause = LONGEST_LOOK.min(pause * 2),
            }
            if let Some(client) = self.try_connect().await? {
                return Ok(client);
            }
        }
    }

    /// A connection, or `None` while the server does not take connections yet.
    async fn try_connect(&self) -> Result<Option<Client>> {
        let mut config = Config::new();
        config
            .host_path(self.cluster.socket_folder())
            .port(PORT)
            .user(SUPERUSER)
            .dbname("postgres");
        match timeout(CONNECT_TIMEOUT, config.connect(NoTls)).await {
            Ok(Ok((client, connection))) => {
                tokio::spawn(connection);
                Ok(Some(client))
            }
            Ok(Err(error)) => match error.code() {
                Some(code) if *code != SqlState::CANNOT_CONNECT_NOW => Err(error.into()),
                _ => Ok(None),
            },
            Err(_) => Ok(None),
        }
    }
}

/// The first process of a running server. Dropped, it is told to shut down, unwatched.
#[derive(Debug)]
pub(super) struct Postmaster {
    child: Child,
}

impl Postmaster {
    /// Resolves when the postmaster has ended. Cancel-safe.
    pub(super) async fn ended(&mut self) -> Result<ExitStatus> {
        let path = PathBuf::from("postgres");
        self.child.wait().await.map_err(at(&path))
    }

    /// Shuts the server down: fast, and where that takes too long, immediately.
    pub(super) async fn stop(mut self) -> Result<()> {
        for (signal, patience) in
            [(Signal::SIGINT, FAST_SHUTDOWN), (Signal::SIGQUIT, IMMEDIATE_SHUTDOWN)]
        {
            self.signal(signal);
            if let Ok(status) = timeout(patience, self.ended()).await {
                tracing::info!(status = %status?, "PostgreSQL has stopped");
                return Ok(());
            }
            tracing::warn!(%signal, "PostgreSQL does not stop");
        }
        self.signal(Signal::SIGKILL);
        self.ended().await?;
        Ok(())
    }

    /// Does nothing if the end of the postmaster has been seen, so never hits a reused pid.
    fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid
            && let Err(error) = kill(Pid::from_raw(pid), signal)
        {
            tracing::warn!(%signal, %error, "cannot signal PostgreSQL");
        }
    }
}

impl Drop for Postmaster {
    fn drop(&mut self) {
        self.signal(Signal::SIGINT);
    }
}

/// An eighth of the memory that this process may use, between 128 MiB and 1 GiB.
fn shared_buffers_mib() -> u64 {
    (memory_bytes().unwrap_or(0) / 8 / MIB).clamp(128, 1024)
}

/// The machine's memory, or the limit of our control group if that is less. `None` where the
/// system has no `/proc`.
fn memory_bytes() -> Option<u64> {
    let table = fs::read_to_string("/proc/meminfo").ok()?;
    let kib: u64 = table
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?
        .trim()
        .strip_suffix(" kB")?
        .parse()
        .ok()?;
    let limit = fs::read_to_string("/sys/fs/cgroup/memory.max")
        .ok()
        .and_then(|limit| limit.trim().parse().ok())
        .unwrap_or(u64::MAX);
    Some(limit.min(kib * 1024))
}
