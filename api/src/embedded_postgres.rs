//! A private Postgres, run as a child process when no `database.url` is set.
//!
//! It lives in the data folder, listens on a unix socket in there and nowhere else, and looks
//! after itself: started as root it runs under another account; a killed server is started
//! again; what a killed `imd` has left behind is cleared away by the next. Whatever is killed,
//! Postgres's own recovery brings back every committed transaction.

mod account;
mod binaries;
mod cluster;
mod error;
mod fetch;
mod leftovers;
mod log;
mod server;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, sleep};
use tokio_postgres::Client;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::account::Account;
use self::binaries::Binaries;
use self::cluster::{Cluster, DATABASE, PORT};
pub use self::error::EmbeddedPostgresError;
use self::error::Result;
use self::log::ServerLog;
use self::server::{Postmaster, Server};
use crate::data_folder::DataFolder;

/// Pause before the server is started again; doubled each time it does not last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A server that has run this long was all right.
const LASTING: Duration = Duration::from_secs(10);
/// Starts in a row that do not last before we give up: after about a minute.
const MOST_FAILURES: u32 = 15;

const LOG_CHECK: Duration = Duration::from_mins(1);

/// A running embedded Postgres, started again by itself whenever it dies.
///
/// End it with [`stop`](Self::stop). Dropped instead, it still shuts down, but nobody waits.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    url: String,
    supervisor: JoinHandle<Result<()>>,
    stop: DropGuard,
}

impl EmbeddedPostgres {
    /// Starts the Postgres of `data_folder` and returns when it takes connections. The first
    /// time makes the database; after a crash this includes recovery, and the end of any server
    /// process that was left over.
    ///
    /// `bin_dir` is the folder of Postgres's programs; without it they are fetched from `source`, unless that is `none`;
    /// without either they are looked for on PATH and in the usual system folders, and fetched where there are none. Cancelling the start stops what it has started.
    ///
    /// # Errors
    /// An existing cluster is never changed if its major version is not at hand
    /// ([`EmbeddedPostgresError::MajorNotInstalled`], [`EmbeddedPostgresError::OtherMajor`]).
    pub async fn start(
        data_folder: &DataFolder,
        bin_dir: Option<&Path>,
        source: Option<&str>,
    ) -> Result<Self> {
        let began = Instant::now();
        let root = data_folder.postgres();
        let account = Account::choose(data_folder.path(), &root)?;
        let cluster = Cluster::new(root, account);
        let binaries = Binaries::find(&cluster, bin_dir, source, &data_folder.programs()).await?;
        cluster.prepare(&binaries).await?;

        let server = Server { cluster, binaries, log: ServerLog::new(data_folder.postgres_log()) };
        let (postmaster, client) = server.start().await?;
        create_database(&client).await?;
        tracing::info!(elapsed = ?began.elapsed(), "PostgreSQL is ready");

        let url = Self::url_in(data_folder.path());
        let stop = CancellationToken::new();
        let supervisor = tokio::spawn(supervise(server, postmaster, stop.clone()));
        Ok(Self { url, supervisor, stop: stop.drop_guard() })
    }

    /// The URL of the database, for clients on this machine that run under the account of `imd`:
    /// the role `imd`, which owns the database `imd`, over the unix socket, without a password.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL that the embedded database of a data folder has or would have, running or not.
    #[must_use]
    pub fn url_in(data_folder: &Path) -> String {
        let absolute = data_folder
            .canonicalize()
            .or_else(|_| std::path::absolute(data_folder))
            .unwrap_or_else(|_| data_folder.to_owned());
        let host = percent_encoded(&cluster::socket_folder(&absolute.join("postgres")));
        format!("postgresql://{DATABASE}@{host}:{PORT}/{DATABASE}")
    }

    /// Resolves when the server has died and could not be brought back within about a minute.
    /// Cancel-safe. Not to be called again after it has resolved.
    ///
    /// # Errors
    /// Why the last start failed.
    pub async fn exited(&mut self) -> Result<()> {
        (&mut self.supervisor).await?
    }

    /// Shuts the server down and waits for its end: up to 30 seconds for a checkpoint, after
    /// which it is cut short and the next start recovers.
    ///
    /// # Errors
    /// If the server could not be waited for, or had been given up before.
    pub async fn stop(self) -> Result<()> {
        drop(self.stop);
        if self.supervisor.is_finished() {
            return Ok(());
        }
        self.supervisor.await?
    }
}

/// Keeps the server running until told to stop, or until it fails too often in a row.
async fn supervise(
    server: Server,
    mut postmaster: Postmaster,
    stop: CancellationToken,
) -> Result<()> {
    let mut failures = 0;
    loop {
        let began = Instant::now();
        tokio::select! {
            () = stop.cancelled() => return postmaster.stop().await,
            status = postmaster.ended() => {
                tracing::error!(status = %status?, "PostgreSQL has died; starting it again");
            }
            never = keep_log_small(&server.log) => match never {},
        }
        if began.elapsed() > LASTING {
            failures = 0;
        }
        postmaster = tokio::select! {
            // What was being started has been told to stop; this waits for its end.
            () = stop.cancelled() => return leftovers::stop(&server.cluster).await,
            restarted = restart(&server, &mut failures) => restarted?,
        };
    }
}

async fn restart(server: &Server, failures: &mut u32) -> Result<Postmaster> {
    loop {
        let pause = FIRST_PAUSE * 2_u32.saturating_pow(*failures);
        sleep(pause.min(LONGEST_PAUSE)).await;
        *failures += 1;
        match server.start().await {
            Ok((postmaster, _)) => {
                tracing::info!("PostgreSQL is running again");
                return Ok(postmaster);
            }
            Err(error) if *failures >= MOST_FAILURES => return Err(error),
            Err(error) => tracing::error!(%error, "PostgreSQL does not start; trying again"),
        }
    }
}

async fn keep_log_small(log: &ServerLog) -> std::convert::Infallible {
    let mut check = interval(LOG_CHECK);
    loop {
        check.tick().await;
        if let Err(error) = log.limit() {
            tracing::warn!(%error, log = %log.path().display(), "cannot limit the log's size");
        }
    }
}

/// Makes role and database, or what a crash during the first start has kept from being made.
async fn create_database(superuser: &Client) -> Result<()> {
    let missing =
        async |query| superuser.query_opt(query, &[&DATABASE]).await.map(|row| row.is_none());
    if missing("SELECT FROM pg_roles WHERE rolname = $1").await? {
        superuser.batch_execute(&format!("CREATE ROLE {DATABASE} LOGIN")).await?;
    }
    if missing("SELECT FROM pg_database WHERE datname = $1").await? {
        let create = format!("CREATE DATABASE {DATABASE} OWNER {DATABASE}");
        superuser.batch_execute(&create).await?;
    }
    Ok(())
}

fn percent_encoded(path: &Path) -> String {
    let mut encoded = String::new();
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => write!(encoded, "%{byte:02X}").expect("a String takes any text"),
        }
    }
    encoded
}
