//! The server's log file.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::data_folder::{give_to_owner, private_file};

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
        let log = private_file().append(true).create(true).open(&self.path)?;
        if let Some(data_folder) = self.path.parent() {
            give_to_owner(&log, data_folder)?;
        }
        Ok(log)
    }

    /// Moves a log that has grown too large aside, in place of the one moved before. The server
    /// keeps its file open, so it is copied and emptied.
    pub(super) fn limit(&self) -> io::Result<()> {
        let log = self.open()?;
        if log.metadata()?.len() <= LIMIT {
            return Ok(());
        }
        let aside = self.path.with_extension("log.1");
        match fs::remove_file(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut copy = private_file().create_new(true).open(&aside)?;
        io::copy(&mut File::open(&self.path)?, &mut copy)?;
        log.set_len(0)
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tempfile::tempdir;

    use super::*;

    #[test]
    fn a_log_grown_too_large_is_moved_aside_while_the_server_writes_on() {
        let folder = tempdir().unwrap();
        let log = ServerLog::new(folder.path().join("postgres.log"));
        let mut server = log.open().unwrap();
        for round in ["first", "second"] {
            server.set_len(LIMIT).unwrap();
            writeln!(server, "{round}").unwrap();
            log.limit().unwrap();
            writeln!(server, "after the {round}").unwrap();

            let aside = fs::read(folder.path().join("postgres.log.1")).unwrap();
            assert!(aside.ends_with(format!("{round}\n").as_bytes()));
            assert_eq!(log.tail(), format!("after the {round}"));
        }
    }
}
