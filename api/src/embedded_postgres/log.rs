//! The server's log file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Size in bytes at which the log is moved aside. Together with the one kept before it, the log
/// takes up about twice as much at most.
const LIMIT: u64 = 16 * 1024 * 1024;

const TAIL_LINES: usize = 15;
const TAIL_BYTES: u64 = 4096;

/// Where the server's standard error goes. `imd` opens the file, so it lies outside of the
/// folders that the server's account can write to.
#[derive(Debug)]
pub(super) struct ServerLog {
    path: PathBuf,
}

impl ServerLog {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn open(&self) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path)
    }

    /// Moves a log that has grown too large aside, in place of the one moved before. The server
    /// keeps its file open, so it is copied and emptied.
    pub(super) fn limit(&self) -> io::Result<()> {
        let log = self.open()?;
        if log.metadata()?.len() > LIMIT {
            fs::copy(&self.path, self.path.with_extension("log.1"))?;
            log.set_len(0)?;
        }
        Ok(())
    }

    /// The last lines of the log, or why they cannot be read.
    pub(super) fn tail(&self) -> String {
        self.last_bytes().map_or_else(|error| error.to_string(), |bytes| last_lines(&bytes))
    }

    fn last_bytes(&self) -> io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        let start = file.metadata()?.len().saturating_sub(TAIL_BYTES);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

fn last_lines(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
