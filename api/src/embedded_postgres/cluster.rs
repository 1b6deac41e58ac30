//! The files of the embedded Postgres: where they lie and how they come to be.
//!
//! | path below `postgres/` | what |
//! |---|---|
//! | `cluster/` | the database cluster; present only when `initdb` has completed |
//! | `initdb-*/` | a cluster being made, or left half-made by a crash |
//! | `run/` | the socket |

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use uuid::Uuid;

use super::account::Account;
use super::binaries::Binaries;
use super::error::{EmbeddedPostgresError, Result, at};

/// The superuser of the cluster. `imd` itself works as an ordinary role.
pub(super) const SUPERUSER: &str = "postgres";

/// The database, and the role that owns it.
pub(super) const DATABASE: &str = "imd";

/// Fixed, so that `PGPORT` in anybody's environment makes no difference. Names the socket only:
/// the server does not listen on TCP.
pub(super) const PORT: u16 = 5432;

/// The longest path of a unix socket that every system allows (macOS: 104 with the final NUL).
const LONGEST_SOCKET_PATH: usize = 103;

/// The embedded cluster of one data folder.
#[derive(Debug)]
pub(super) struct Cluster {
    /// The folder `postgres` of the data folder.
    root: PathBuf,
    account: Account,
}

impl Cluster {
    pub(super) fn new(root: PathBuf, account: Account) -> Self {
        Self { root, account }
    }

    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    /// Postgres's own data folder.
    pub(super) fn data(&self) -> PathBuf {
        self.root.join("cluster")
    }

    /// The major version that made the cluster, or `None` if there is no cluster yet.
    pub(super) fn major(&self) -> Result<Option<u32>> {
        let cluster = self.data();
        if !cluster.try_exists().map_err(at(&cluster))? {
            return Ok(None);
        }
        fs::read_to_string(cluster.join("PG_VERSION"))
            .ok()
            .and_then(|version| version.trim().parse().ok())
            .map(Some)
            .ok_or(EmbeddedPostgresError::Damaged { cluster })
    }

    /// A name for the server that tells its processes from those of any other cluster on this
    /// machine, wherever the folder is moved. Needs the cluster to exist.
    pub(super) fn server_name(&self) -> Result<String> {
        let cluster = self.data();
        let metadata = fs::metadata(&cluster).map_err(at(&cluster))?;
        Ok(format!("imd-{:x}-{:x}-pg", metadata.dev(), metadata.ino()))
    }

    pub(super) fn socket_folder(&self) -> PathBuf {
        socket_folder(&self.root)
    }

    pub(super) fn socket_lock(&self) -> PathBuf {
        self.socket_folder().join(format!("{}.lock", socket_name()))
    }

    /// The socket folder as the server is told it, seen from the cluster where possible: its
    /// account may be unable to pass the folders above.
    pub(super) fn socket_folder_for_server(&self) -> PathBuf {
        match self.socket_folder() {
            near if near.starts_with(&self.root) => PathBuf::from("../run"),
            far => far,
        }
    }

    /// Makes what is missing of folders and cluster. A cluster is made aside and moved into
    /// place when it is complete, so that a crash on the way leaves nothing that looks like one.
    pub(super) async fn prepare(&self, binaries: &Binaries) -> Result<()> {
        self.account.private_folder(&self.root)?;
        self.remove_half_made()?;
        if self.major()?.is_none() {
            self.initialise(binaries).await?;
        }
        // Some platforms open up whole volumes at every start, and PostgreSQL refuses such a folder.
        self.account.private_folder(&self.data())?;
        self.account.private_folder(&self.socket_folder())
    }

    async fn initialise(&self, binaries: &Binaries) -> Result<()> {
        tracing::info!(folder = %self.root.display(), "making a new database");
        // A new name each time: an initdb that has outlived its imd may still write to the old.
        let draft = self.root.join(format!("initdb-{}", Uuid::new_v4().simple()));
        self.account.private_folder(&draft)?;
        self.run_initdb(binaries, &draft).await?;

        let cluster = self.data();
        fs::rename(&draft, &cluster).map_err(at(&cluster))?;
        File::open(&self.root).and_then(|root| root.sync_all()).map_err(at(&self.root))
    }

    async fn run_initdb(&self, binaries: &Binaries, draft: &Path) -> Result<()> {
        let initdb = binaries.program("initdb");
        let folder = self.account.pass_folder(draft)?;
        let output = self
            .account
            .command(&initdb)
            .arg("--pgdata")
            .arg(&folder.name)
            .args(["--username", SUPERUSER, "--encoding=UTF8", "--locale=C"])
            // Who may use the socket is decided by the mode of its folder.
            .args(["--auth-local=trust", "--auth-host=reject"])
            .args(["--data-checksums", "--no-instructions"])
            .kill_on_drop(true)
            .output()
            .await
            .map_err(at(&initdb))?;
        if output.status.success() {
            return Ok(());
        }
        let printed = [output.stdout, output.stderr].concat();
        Err(EmbeddedPostgresError::Initdb {
            status: output.status,
            output: String::from_utf8_lossy(&printed).trim_end().to_owned(),
        })
    }

    fn remove_half_made(&self) -> Result<()> {
        for entry in fs::read_dir(&self.root).map_err(at(&self.root))? {
            let path = entry.map_err(at(&self.root))?.path();
            let name = path.file_name().unwrap_or_default().as_bytes();
            if !name.starts_with(b"initdb-") {
                continue;
            }
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    // Only takes up space; the next start tries again.
                    tracing::warn!(folder = %path.display(), %error, "cannot remove a half-made database");
                }
                _ => tracing::info!(folder = %path.display(), "removed a half-made database"),
            }
        }
        Ok(())
    }
}

fn socket_name() -> String {
    format!(".s.PGSQL.{PORT}")
}

/// The folder of the socket for the cluster under `root`: in there, or, where that path is too
/// long for a socket, a folder in `/tmp` that is the same at every start.
pub(super) fn socket_folder(root: &Path) -> PathBuf {
    let near = root.join("run");
    if near.join(socket_name()).as_os_str().len() <= LONGEST_SOCKET_PATH {
        return near;
    }
    let digest = digest(&SHA256, root.as_os_str().as_bytes());
    let head = digest.as_ref().first_chunk().expect("SHA-256 has 32 bytes");
    Path::new("/tmp").join(format!("imd-{:016x}", u64::from_be_bytes(*head)))
}
