//! What can keep the embedded Postgres from running, said so that a newcomer can act on it.

use std::io;
use std::path::{Path, PathBuf};

use super::binaries::OLDEST_MAJOR;

/// Why the embedded Postgres cannot be started, or could not be kept running.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedPostgresError {
    /// No usable programs on this machine.
    #[error(
        "no PostgreSQL {OLDEST_MAJOR} or newer found on PATH or in the usual system folders: \
         install it with `{install}`, or set pg_bin (IMD_PG_BIN) to the folder of its programs, \
         or database.url (IMD_DATABASE_URL) to a server"
    )]
    NotInstalled {
        /// The command that installs it here.
        install: String,
    },
    /// No usable programs on this machine, and none can be fetched.
    #[error(
        "{missing}, and it cannot be fetched from {from}: {reason}. Install it with `{install}`, or set \
         pg_source (IMD_PG_SOURCE) to a mirror, a folder or an archive, or pg_bin (IMD_PG_BIN) to the \
         folder of its programs, or database.url (IMD_DATABASE_URL) to a server"
    )]
    NotFetched {
        /// What is missing.
        missing: String,
        /// The source.
        from: String,
        /// Why it is of no use.
        reason: String,
        /// The command that installs it here.
        install: String,
    },
    /// The cluster needs the programs of a major version that is not installed.
    #[error(
        "the database in {} was made by PostgreSQL {major}, which is not installed: install it \
         with `{install}` (if there is no such package, see https://www.postgresql.org/download), or \
         set pg_bin (IMD_PG_BIN) to the folder of its programs. Nothing was changed", cluster.display()
    )]
    MajorNotInstalled {
        /// The cluster.
        cluster: PathBuf,
        /// The major version that made it.
        major: u32,
        /// The command that installs that version here.
        install: String,
    },
    /// The programs in the folder given by `pg_bin` are of another major version than the cluster.
    #[error(
        "the database in {} was made by PostgreSQL {major}, but pg_bin or pg_source names PostgreSQL {found} \
         ({}). Nothing was changed", cluster.display(), folder.display()
    )]
    OtherMajor {
        /// The cluster.
        cluster: PathBuf,
        /// The major version that made it.
        major: u32,
        /// The folder given by `pg_bin`.
        folder: PathBuf,
        /// The major version of its programs.
        found: u32,
    },
    /// Postgres is older than `imd` supports.
    #[error("{} is of PostgreSQL {major}; imd needs {OLDEST_MAJOR} or newer", path.display())]
    TooOld {
        /// The cluster, or the folder of the programs.
        path: PathBuf,
        /// Its major version.
        major: u32,
    },
    /// The folder given by `pg_bin` does not hold the programs, or they do not run.
    #[error("no PostgreSQL programs in {} (pg_bin or pg_source): {reason}", folder.display())]
    NoPrograms {
        /// The folder given by `pg_bin`.
        folder: PathBuf,
        /// What was tried and failed.
        reason: String,
    },
    /// `imd` runs as root and has no other account for Postgres, which refuses to run as root.
    #[error(
        "PostgreSQL refuses to run as root, and there is neither a user `postgres` nor a user \
         `nobody`: run imd as another user, or let another user own the data folder"
    )]
    NoAccount,
    /// A folder that must be Postgres's alone is open to other accounts, and stays so.
    #[error(
        "{} is open to other accounts, which PostgreSQL refuses, and cannot be closed to them: \
         run `chmod 700 {}`", path.display(), path.display()
    )]
    OpenFolder {
        /// The folder.
        path: PathBuf,
        /// Why its mode cannot be changed.
        source: io::Error,
    },
    /// A folder that must be Postgres's alone belongs to somebody else.
    #[error("{} belongs to user id {owner}, not to {expected}: change its owner or remove it", path.display())]
    ForeignFolder {
        /// The folder.
        path: PathBuf,
        /// The user id it belongs to.
        owner: u32,
        /// The user id it should belong to.
        expected: u32,
    },
    /// The cluster folder does not say which Postgres made it.
    #[error("{} is not a whole PostgreSQL cluster: its PG_VERSION is missing or unreadable", cluster.display())]
    Damaged {
        /// The cluster.
        cluster: PathBuf,
    },
    /// `initdb` failed.
    #[error("initdb failed ({status}):\n{output}")]
    Initdb {
        /// Its exit status.
        status: std::process::ExitStatus,
        /// What it printed.
        output: String,
    },
    /// The server ended before it was ready.
    #[error("PostgreSQL ended while starting ({status}); the end of {}:\n{tail}", log.display())]
    Start {
        /// Its exit status.
        status: std::process::ExitStatus,
        /// The server's log file.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// A server process left by an earlier `imd` does not end.
    #[error("a PostgreSQL process left by an earlier imd does not end (pid {pid})")]
    Leftover {
        /// Its process id.
        pid: i32,
    },
    /// A statement of the set-up failed.
    #[error("setting up the embedded database: {0}")]
    Sql(#[from] tokio_postgres::Error),
    /// A program cannot be run, or a file or folder cannot be used.
    #[error("{}: {source}", path.display())]
    Io {
        /// The program, file or folder.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The task that looks after the server has panicked.
    #[error("the supervisor of the embedded PostgreSQL failed: {0}")]
    Supervisor(#[from] tokio::task::JoinError),
}

pub(super) type Result<T> = std::result::Result<T, EmbeddedPostgresError>;

/// Says which file or program an I/O error is about.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> EmbeddedPostgresError {
    let path = path.to_owned();
    move |source| EmbeddedPostgresError::Io { path, source }
}
