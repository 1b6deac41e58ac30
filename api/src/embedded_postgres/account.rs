//! The operating-system account of the server, and how its programs are run.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;
use std::process::Stdio;

use nix::fcntl::OFlag;
use nix::unistd::{Uid, User, dup, getegid, geteuid};
use tokio::process::Command;

use super::error::{EmbeddedPostgresError, Result, at};

/// The only variables of our environment that the programs get to see. Others could change what
/// they do (`PGPORT`, `NOTIFY_SOCKET`) or are none of their business.
const PASSED_VARIABLES: [&str; 3] = ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"];

/// The account that owns the cluster and runs its server: our own, or an unprivileged one if we
/// are root.
#[derive(Debug, Clone)]
pub(super) struct Account {
    uid: u32,
    gid: u32,
    /// Whether programs have to change to this account, because we are root.
    switch: bool,
}

impl Account {
    /// Chooses the account. For root that is the owner of `postgres`, so that it stays the same
    /// once chosen, else the owner of `data_folder`, else `postgres`, else `nobody`.
    pub(super) fn choose(data_folder: &Path, postgres: &Path) -> Result<Self> {
        if !geteuid().is_root() {
            return Ok(Self { uid: geteuid().as_raw(), gid: getegid().as_raw(), switch: false });
        }
        if let Some((uid, gid)) = unprivileged_owner(postgres)? {
            return Ok(Self::switching_to(uid, gid));
        }
        // initdb needs an account with a name; the owner of a mounted folder may have none here.
        if let Some((uid, gid)) = unprivileged_owner(data_folder)?
            && let Ok(Some(_)) = User::from_uid(Uid::from_raw(uid))
        {
            return Ok(Self::switching_to(uid, gid));
        }
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map(|user| Self::switching_to(user.uid.as_raw(), user.gid.as_raw()))
            .ok_or(EmbeddedPostgresError::NoAccount)
    }

    fn switching_to(uid: u32, gid: u32) -> Self {
        Self { uid, gid, switch: true }
    }

    pub(super) fn uid(&self) -> u32 {
        self.uid
    }

    /// A command that runs `program` under this account, with a bare environment, and in a
    /// process group of its own: a Ctrl-C in the terminal is for `imd`, which stops the server
    /// after it has drained.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(PASSED_VARIABLES.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(Stdio::null())
            .process_group(0);
        if self.switch {
            // Also drops root's supplementary groups.
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Makes `path` a folder that only this account can enter, unless it already is one.
    /// Somebody else's folder is refused; root's is taken over only while it is empty.
    pub(super) fn private_folder(&self, path: &Path) -> Result<()> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(at(path)(error)),
            _ => {}
        }
        // From here on through the open folder: the name could be changed to a link meanwhile.
        let folder = OpenOptions::new()
            .read(true)
            .custom_flags((OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW).bits())
            .open(path)
            .map_err(at(path))?;
        let metadata = folder.metadata().map_err(at(path))?;
        if metadata.uid() != self.uid {
            if !self.switch || metadata.uid() != 0 || !is_empty(path).map_err(at(path))? {
                return Err(EmbeddedPostgresError::ForeignFolder {
                    path: path.to_owned(),
                    owner: metadata.uid(),
                    expected: self.uid,
                });
            }
            fchown(&folder, Some(self.uid), Some(self.gid)).map_err(at(path))?;
        }
        if metadata.mode() & 0o777 == 0o700 {
            return Ok(());
        }
        tracing::info!(folder = %path.display(), mode = %format_args!("{:o}", metadata.mode() & 0o777),
            "closing a folder to other accounts");
        let open = |source| EmbeddedPostgresError::OpenFolder { path: path.to_owned(), source };
        folder.set_permissions(Permissions::from_mode(0o700)).map_err(open)
    }

    /// How to name the folder `path` to a program run under this account.
    pub(super) fn pass_folder(&self, path: &Path) -> Result<PassedFolder> {
        if !(self.switch && cfg!(target_os = "linux")) {
            return Ok(PassedFolder { name: path.into(), _open: None });
        }
        let folder = File::open(path).map_err(at(path))?;
        // Unlike `folder`, the duplicate is inherited by the programs we start.
        let open = dup(&folder).map_err(|errno| at(path)(errno.into()))?;
        Ok(PassedFolder {
            name: format!("/proc/self/fd/{}", open.as_raw_fd()).into(),
            _open: Some(open),
        })
    }
}

/// A name for a folder that works for a program of another account.
///
/// That account may lack the right to pass the folders above: a checkout below `/root`, say.
/// So the program inherits the folder already open, and is told its magic link, which leads
/// straight there. Keep this value until the program has been spawned.
#[derive(Debug)]
pub(super) struct PassedFolder {
    pub(super) name: OsString,
    _open: Option<OwnedFd>,
}

/// User and group id of the owner of `path`, if it exists and its owner is not root.
fn unprivileged_owner(path: &Path) -> Result<Option<(u32, u32)>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.uid() == 0 => Ok(None),
        Ok(metadata) => Ok(Some((metadata.uid(), metadata.gid()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path)(error)),
    }
}

fn is_empty(folder: &Path) -> io::Result<bool> {
    Ok(fs::read_dir(folder)?.next().is_none())
}
