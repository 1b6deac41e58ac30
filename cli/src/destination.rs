//! Files that commands write their results to.
//!
//! A plain file is written beside its place and takes it when it is whole: until then what was there
//! before stays, and when the command fails nothing else is left behind. The new file has the owner and
//! the permissions of the old one. Whatever is no plain file (a FIFO, a device, a file with several
//! names) is written to where it is. Symbolic links are followed, never replaced.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use crate::error::Error;

/// The most symbolic links from one to the next, as in Linux.
const MOST_LINKS: usize = 40;

/// A file that is being written.
pub(crate) struct Destination {
    path: PathBuf,
    to: BufWriter<To>,
}

enum To {
    /// Written where it is.
    Itself(File),
    /// Written beside `place`, which it takes when it is whole.
    Beside { file: NamedTempFile, place: PathBuf },
}

impl Destination {
    /// Opens the file at `path`, so that a path that cannot be written is an error before there is
    /// anything to write. Waits for a reader where it is a FIFO.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let to = open(path).map_err(|cause| unwritable(path, &cause))?;
        Ok(Self { path: path.to_owned(), to: BufWriter::new(to) })
    }

    /// What a failed write means.
    pub(crate) fn failure(&self, cause: &io::Error) -> Error {
        unwritable(&self.path, cause)
    }

    /// The file is whole: it takes its place.
    pub(crate) fn finish(self) -> Result<(), Error> {
        let Self { path, to } = self;
        let finish = || match to.into_inner().map_err(io::IntoInnerError::into_error)? {
            To::Itself(mut file) => file.flush(),
            To::Beside { file, place } => file.persist(place).map(drop).map_err(Into::into),
        };
        finish().map_err(|cause| unwritable(&path, &cause))
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Write for To {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Itself(file) => file.write(bytes),
            Self::Beside { file, .. } => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Itself(file) => file.flush(),
            Self::Beside { file, .. } => file.flush(),
        }
    }
}

fn open(path: &Path) -> io::Result<To> {
    let there = match fs::metadata(path) {
        Ok(there) => Some(there),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => None,
        Err(cause) => return Err(cause),
    };
    let there = match there {
        Some(there) if there.is_dir() => {
            return Err(io::Error::other("it is a folder; name a file in it"));
        }
        Some(there) if unix::is_stdout(&there) => return unix::stdout().map(To::Itself),
        Some(there) if !there.is_file() || unix::has_other_names(&there) => {
            return itself(path);
        }
        there => there,
    };
    let place = followed(path)?;
    match beside(&place, there.as_ref()) {
        // The folder may be closed to us and the file open.
        Err(_) if there.is_some() => itself(path),
        Err(cause) => Err(cause),
        Ok(file) => Ok(To::Beside { file, place }),
    }
}

fn itself(path: &Path) -> io::Result<To> {
    OpenOptions::new().write(true).truncate(true).open(path).map(To::Itself)
}

/// The file at the end of the symbolic links, which need not exist.
fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::symlink_metadata(&path) {
            Ok(link) if link.is_symlink() => {
                let target = fs::read_link(&path)?;
                path = path.parent().unwrap_or(Path::new("")).join(target);
            }
            Ok(_) => return Ok(path),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(path),
            Err(cause) => return Err(cause),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// A file in the folder of `place`, with the owner and the permissions of what is `there`.
fn beside(place: &Path, there: Option<&Metadata>) -> io::Result<NamedTempFile> {
    let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut name = std::ffi::OsString::from(".");
    name.push(place.file_name().unwrap_or_default());
    name.push(".");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&name).suffix(".partial");
    let Some(there) = there else {
        return unix::as_the_umask_says(&mut builder).tempfile_in(folder);
    };
    // What this process may not write to is not replaced either.
    OpenOptions::new().append(true).open(place)?;
    let file = builder.tempfile_in(folder)?;
    unix::give_owner(file.as_file(), there)?;
    file.as_file().set_permissions(there.permissions())?;
    Ok(file)
}

/// What a failed write of the file at `path` means.
pub(crate) fn unwritable(path: &Path, cause: &io::Error) -> Error {
    Error::File(format!("cannot write {}: {cause}", path.display()))
}

#[cfg(unix)]
mod unix {
    use std::{
        fs::{File, Metadata, Permissions},
        io,
        os::{
            fd::AsFd as _,
            unix::fs::{MetadataExt as _, PermissionsExt as _, fchown},
        },
    };

    pub(super) fn stdout() -> io::Result<File> {
        Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
    }

    /// Whether the file is where standard output goes: `/dev/stdout`, by whatever name. Opened a second
    /// time it would be written from its beginning.
    pub(super) fn is_stdout(file: &Metadata) -> bool {
        let stdout = stdout().and_then(|stdout| stdout.metadata());
        stdout.is_ok_and(|stdout| (stdout.dev(), stdout.ino()) == (file.dev(), file.ino()))
    }

    pub(super) fn has_other_names(file: &Metadata) -> bool {
        file.nlink() > 1
    }

    pub(super) fn give_owner(file: &File, of: &Metadata) -> io::Result<()> {
        let own = file.metadata()?;
        if (own.uid(), own.gid()) == (of.uid(), of.gid()) {
            return Ok(());
        }
        fchown(file, Some(of.uid()), Some(of.gid()))
    }

    pub(super) fn as_the_umask_says<'a, 'b>(
        builder: &'a mut tempfile::Builder<'b, 'b>,
    ) -> &'a mut tempfile::Builder<'b, 'b> {
        builder.permissions(Permissions::from_mode(0o666))
    }
}

/// Elsewhere files have neither modes nor owners of this kind.
#[cfg(not(unix))]
mod unix {
    use std::{
        fs::{File, Metadata},
        io,
    };

    pub(super) fn stdout() -> io::Result<File> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn is_stdout(_file: &Metadata) -> bool {
        false
    }

    pub(super) fn has_other_names(_file: &Metadata) -> bool {
        false
    }

    pub(super) fn give_owner(_file: &File, _of: &Metadata) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn as_the_umask_says<'a, 'b>(
        builder: &'a mut tempfile::Builder<'b, 'b>,
    ) -> &'a mut tempfile::Builder<'b, 'b> {
        builder
    }
}
