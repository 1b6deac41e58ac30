//! The data folder of one `imd`: its lock, its key files and, unless `database.url` is set, the
//! embedded database.
//!
//! | path | what |
//! |---|---|
//! | `imd.lock` | locked while an `imd` runs here; holds its pid |
//! | `admin.key` | bearer key of the admin listener |
//! | `postgres/` | the embedded Postgres, the only part that belongs to its account |
//! | `postgres.log` | what the embedded Postgres has to say |

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use nix::fcntl::OFlag;
use nix::unistd::geteuid;
use secrecy::SecretString;

/// Random bytes in a secret made by [`DataFolder::read_or_create_secret`].
const SECRET_BYTES: usize = 32;

/// Why the data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    /// Another `imd` holds the lock.
    #[error("another imd{} is running on this data folder ({})", pid_note(*pid), path.display())]
    Locked {
        /// The data folder.
        path: PathBuf,
        /// Process id of the holder, if it has already written it down.
        pid: Option<u32>,
    },
    /// A key file that is there but holds nothing.
    #[error("{} is empty; delete it to have a new key made", path.display())]
    EmptySecret {
        /// The key file.
        path: PathBuf,
    },
    /// The operating system has no random bytes to give.
    #[error("no random bytes for a new key")]
    Random,
    /// A file or folder cannot be made, read or written. The source says why.
    #[error("{}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

fn pid_note(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}

/// An open data folder. Until it is dropped, or its process ends in whatever way, no other `imd`
/// can open the same folder.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Opens the folder at `path`, making it (mode 0700, with its parents) if it is missing, and
    /// locks it. An existing folder keeps its owner and mode.
    ///
    /// # Errors
    /// [`DataFolderError::Locked`] if another `imd` has it open, [`DataFolderError::Io`] if it
    /// cannot be made or written.
    pub fn open(path: &Path) -> Result<Self, DataFolderError> {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at(path))?;
        let path = path.canonicalize().map_err(at(path))?;
        let lock = lock(&path)?;
        Ok(Self { path, _lock: lock })
    }

    /// The folder of Postgres's programs where they had to be fetched: beside this one, because they are no data.
    #[must_use]
    pub fn programs(&self) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".postgresql");
        self.path.with_file_name(name)
    }

    /// The folder itself: absolute, without symbolic links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file that holds the key of the admin listener.
    #[must_use]
    pub fn admin_key(&self) -> PathBuf {
        self.path.join("admin.key")
    }

    /// The folder of the embedded Postgres. It is made when that is first started.
    #[must_use]
    pub fn postgres(&self) -> PathBuf {
        self.path.join("postgres")
    }

    /// The log file of the embedded Postgres.
    #[must_use]
    pub fn postgres_log(&self) -> PathBuf {
        self.path.join("postgres.log")
    }

    /// Reads the secret in the file `name` of this folder. If there is no such file, makes one
    /// with 256 random bits in URL-safe base64 first: whole or not at all, and with mode 0600
    /// from its first moment.
    ///
    /// # Errors
    /// [`DataFolderError::EmptySecret`] if the file is blank, [`DataFolderError::Io`] if it
    /// cannot be read or made.
    pub fn read_or_create_secret(&self, name: &str) -> Result<SecretString, DataFolderError> {
        let path = self.path.join(name);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.create_secret(name)?,
            read => read.map_err(at(&path))?,
        };
        match text.trim_start_matches('\u{feff}').trim() {
            "" => Err(DataFolderError::EmptySecret { path }),
            secret => Ok(secret.into()),
        }
    }

    fn create_secret(&self, name: &str) -> Result<String, DataFolderError> {
        let mut bytes = [0; SECRET_BYTES];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| DataFolderError::Random)?;
        let secret = BASE64_URL_SAFE_NO_PAD.encode(bytes);

        let draft = self.path.join(format!(".{name}.new"));
        self.write_durably(&draft, &self.path.join(name), &secret).map_err(at(&draft))?;
        Ok(secret)
    }

    fn write_durably(&self, draft: &Path, path: &Path, text: &str) -> io::Result<()> {
        match fs::remove_file(draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = private_file().create_new(true).open(draft)?;
        give_to_owner(&file, &self.path)?;
        writeln!(file, "{text}")?;
        file.sync_all()?;
        fs::rename(draft, path)?;
        File::open(&self.path)?.sync_all()
    }
}

fn lock(folder: &Path) -> Result<File, DataFolderError> {
    let path = folder.join("imd.lock");
    let mut file =
        private_file().read(true).create(true).truncate(false).open(&path).map_err(at(&path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            file.read_to_string(&mut holder).map_err(at(&path))?;
            return Err(DataFolderError::Locked {
                path: folder.to_owned(),
                pid: holder.trim().parse().ok(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(at(&path)(error)),
    }
    give_to_owner(&file, folder)
        .and_then(|()| file.set_len(0))
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(at(&path))?;
    Ok(file)
}

/// How to open a file of ours in a data folder: only its owner may read it, and a link that the
/// folder's owner may have put in its place is not followed, as we could be root.
pub(crate) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
    options
}

/// Gives a file of ours to the owner of the data folder, who can so run `imd` again after root
/// has run it once.
pub(crate) fn give_to_owner(file: &File, folder: &Path) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let owner = fs::metadata(folder)?;
    fchown(file, Some(owner.uid()), Some(owner.gid()))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> DataFolderError {
    let path = path.to_owned();
    move |source| DataFolderError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret;
    use tempfile::tempdir;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_new_folder_is_private_and_existing_ones_keep_their_mode() {
        let parent = tempdir().unwrap();
        let folder = DataFolder::open(&parent.path().join("deep/imd-data")).unwrap();
        assert_eq!(mode(folder.path()), 0o700);

        let shared = parent.path().join("shared");
        fs::create_dir(&shared).unwrap();
        // Whatever the umask leaves.
        fs::set_permissions(&shared, Permissions::from_mode(0o750)).unwrap();
        let folder = DataFolder::open(&shared).unwrap();
        assert_eq!(mode(folder.path()), 0o750);
    }

    #[test]
    fn a_second_imd_is_told_who_runs_on_the_folder() {
        let parent = tempdir().unwrap();
        let first = DataFolder::open(parent.path()).unwrap();
        let error = DataFolder::open(parent.path()).unwrap_err();
        let holder =
            format!("another imd (pid {}) is running on this data folder", std::process::id());
        assert!(error.to_string().starts_with(&holder), "{error}");

        drop(first);
        DataFolder::open(parent.path()).unwrap();
    }

    #[test]
    fn a_secret_is_made_once_and_only_its_owner_can_read_it() {
        let parent = tempdir().unwrap();
        let folder = DataFolder::open(parent.path()).unwrap();
        let made = folder.read_or_create_secret("admin.key").unwrap();
        let read = folder.read_or_create_secret("admin.key").unwrap();
        let other = folder.read_or_create_secret("other.key").unwrap();

        assert_eq!(made.expose_secret(), read.expose_secret());
        assert_ne!(made.expose_secret(), other.expose_secret());
        assert_eq!(made.expose_secret().len(), 43);
        assert_eq!(mode(&folder.admin_key()), 0o600);
    }

    #[test]
    fn a_draft_left_by_a_crash_does_not_become_the_secret() {
        let parent = tempdir().unwrap();
        let folder = DataFolder::open(parent.path()).unwrap();
        fs::write(parent.path().join(".admin.key.new"), "half").unwrap();
        let made = folder.read_or_create_secret("admin.key").unwrap();
        assert_eq!(made.expose_secret().len(), 43);
    }

    #[test]
    fn what_editors_add_to_a_secret_is_no_part_of_it() {
        let parent = tempdir().unwrap();
        let folder = DataFolder::open(parent.path()).unwrap();
        fs::write(folder.admin_key(), "\u{feff}secret\r\n").unwrap();
        let read = folder.read_or_create_secret("admin.key").unwrap();
        assert_eq!(read.expose_secret(), "secret");
    }

    #[test]
    fn an_empty_secret_is_refused() {
        let parent = tempdir().unwrap();
        let folder = DataFolder::open(parent.path()).unwrap();
        fs::write(folder.admin_key(), "\n").unwrap();
        let error = folder.read_or_create_secret("admin.key").unwrap_err();
        assert!(error.to_string().contains("is empty"), "{error}");
    }
}
