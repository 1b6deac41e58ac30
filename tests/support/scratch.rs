//! Where tests put what they throw away.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use nix::sys::statvfs::statvfs;

/// A folder in memory, on most systems.
const MEMORY: &str = "/dev/shm";

/// How much memory has to be left for tests to use some of it.
const ENOUGH: u64 = 8 << 30;

/// A folder in memory where there is plenty, else the usual one. Each test makes a database of hundreds of files and
/// drops it again: on a disk that is most of what a short test takes.
pub(crate) fn scratch() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| match (free(), available()) {
        (Some(free), Some(available)) if free.min(available) >= ENOUGH => PathBuf::from(MEMORY),
        _ => env::temp_dir(),
    });
    &FOLDER
}

/// How many bytes the folder takes.
fn free() -> Option<u64> {
    let found = statvfs(MEMORY).ok()?;
    Some(found.blocks_available() * found.fragment_size())
}

/// How many bytes of memory programs can have.
fn available() -> Option<u64> {
    let found = fs::read_to_string("/proc/meminfo").ok()?;
    let line = found.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes << 10)
}
