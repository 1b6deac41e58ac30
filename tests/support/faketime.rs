//! Clocks that are wrong.

use std::{fs, path::PathBuf};

/// Where the library is that shows programs another time, below the folder of the machine's architecture.
pub(crate) fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let files = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    let found = files.into_iter().find(|file| file.is_file());
    found.expect("libfaketime is missing: install it with `apt-get install libfaketime`")
}
