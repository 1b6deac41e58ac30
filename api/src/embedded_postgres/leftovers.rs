//! Processes of the server that nobody looks after: those of an `imd` that was killed, or those
//! of a postmaster that was.
//!
//! The caller holds the lock of the data folder, so no other `imd` uses the cluster, and every
//! process of its server that is still there is left over. Such a process is known by its user
//! id and by the cluster's own server name on its command line, never by a pid file alone: the
//! pid in there may by now be that of anybody.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

use super::cluster::Cluster;
use super::error::{EmbeddedPostgresError, Result, at};

/// Signals in order of rising force, with the time each is given to work. To a postmaster they
/// mean: fast shutdown, immediate shutdown, die.
const ESCALATION: [(Signal, Duration); 3] = [
    (Signal::SIGINT, Duration::from_secs(30)),
    (Signal::SIGQUIT, Duration::from_secs(5)),
    (Signal::SIGKILL, Duration::from_secs(5)),
];

const POLL: Duration = Duration::from_millis(20);

/// Stops every process of the cluster's server and waits until they are gone, shared memory and
/// all. Then removes pid files that would keep the next server from starting.
pub(super) async fn stop(cluster: &Cluster) -> Result<()> {
    let server = Server::of(cluster)?;
    for (signal, patience) in ESCALATION {
        let running = server.processes()?;
        let targets = match server.postmaster_of(&running) {
            // A postmaster passes both kinds of shutdown on to its children.
            Some(postmaster) if signal != Signal::SIGKILL => vec![postmaster],
            // Without one they end by themselves, except in the middle of a long query. SIGINT
            // would only cancel that, so it is skipped.
            None if signal == Signal::SIGINT => continue,
            _ => running,
        };
        for pid in targets {
            tracing::info!(%pid, %signal, "stopping a leftover PostgreSQL process");
            send(pid, signal)?;
        }
        if server.gone_within(patience).await? {
            return server.remove_blocking_pid_files();
        }
    }
    let pid = server.processes()?.first().map_or(0, |pid| pid.as_raw());
    Err(EmbeddedPostgresError::Leftover { pid })
}

struct Server {
    name: String,
    uid: u32,
    /// That of the cluster, then that of the socket.
    pid_files: [PathBuf; 2],
}

impl Server {
    fn of(cluster: &Cluster) -> Result<Self> {
        Ok(Self {
            name: cluster.server_name()?,
            uid: cluster.account().uid(),
            pid_files: [cluster.data().join("postmaster.pid"), cluster.socket_lock()],
        })
    }

    fn processes(&self) -> Result<Vec<Pid>> {
        let running = process_table().map_err(at(Path::new("the process table")))?;
        Ok(running
            .into_iter()
            .filter(|process| process.uid == self.uid)
            .filter(|process| process.is_postgres() && process.command.contains(&self.name))
            .map(|process| Pid::from_raw(process.pid))
            .collect())
    }

    fn postmaster_of(&self, running: &[Pid]) -> Option<Pid> {
        pid_in(&self.pid_files[0]).filter(|pid| running.contains(pid))
    }

    async fn gone_within(&self, patience: Duration) -> Result<bool> {
        let deadline = Instant::now() + patience;
        while !self.processes()?.is_empty() {
            if Instant::now() > deadline {
                return Ok(false);
            }
            sleep(POLL).await;
        }
        Ok(true)
    }

    /// Postgres sees through most stale pid files itself, but takes one for valid if some
    /// process has the pid: another one by now, or the remains of the killed postmaster, which
    /// nobody has waited for.
    fn remove_blocking_pid_files(&self) -> Result<()> {
        for file in &self.pid_files {
            match pid_in(file) {
                Some(pid) if kill(pid, None) != Err(Errno::ESRCH) => {
                    tracing::info!(%pid, file = %file.display(), "removing a stale pid file");
                    fs::remove_file(file).map_err(at(file))?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn pid_in(file: &Path) -> Option<Pid> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().next()?.trim().parse().ok().map(Pid::from_raw)
}

fn send(pid: Pid, signal: Signal) -> Result<()> {
    match kill(pid, signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => Err(at(Path::new(&format!("process {pid}")))(errno.into())),
    }
}

struct Process {
    pid: i32,
    uid: u32,
    /// The arguments, separated by blanks, or the title that the process has given itself.
    command: String,
}

impl Process {
    fn is_postgres(&self) -> bool {
        self.command.starts_with("postgres: ") || self.command.contains("postgres -D ")
    }
}

/// Every process that we may look at.
#[cfg(target_os = "linux")]
fn process_table() -> io::Result<Vec<Process>> {
    use std::os::unix::fs::MetadataExt;

    let look_at = |entry: fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let uid = entry.metadata().ok()?.uid();
        let command = fs::read(entry.path().join("cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        Some(Process { pid, uid, command })
    };
    Ok(fs::read_dir("/proc")?.flatten().filter_map(look_at).collect())
}

/// Every process that we may look at.
#[cfg(not(target_os = "linux"))]
fn process_table() -> io::Result<Vec<Process>> {
    let output =
        std::process::Command::new("ps").args(["-axww", "-o", "pid=,uid=,command="]).output()?;
    let parse = |line: &str| {
        let (pid, rest) = line.trim_start().split_once(' ')?;
        let (uid, command) = rest.trim_start().split_once(' ')?;
        Some(Process {
            pid: pid.parse().ok()?,
            uid: uid.parse().ok()?,
            command: command.trim_start().to_owned(),
        })
    };
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(parse).collect())
}
