//! Programs that run beside the tests, each in the folder of its cluster.

use std::{
    env,
    fs::{self, File},
    net::TcpListener,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Stdio,
};

use nix::unistd::{User, geteuid};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// The account that runs what refuses to run as root.
const ACCOUNT: &str = "postgres";

/// Where programs are beyond `PATH`.
const FOLDERS: [&str; 3] = ["/usr/bin", "/usr/sbin", "/usr/local/sbin"];

/// A program, by name; panics with the Debian package it is in when it is missing.
pub(super) fn program(name: &str, package: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(FOLDERS.map(PathBuf::from));
    let found = folders.map(|folder| folder.join(name)).find(|file| file.is_file());
    found
        .unwrap_or_else(|| panic!("{name} is missing: install it with `apt-get install {package}`"))
}

/// The folder of PostgreSQL's programs, of the newest version there is.
pub(super) fn postgres_programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.filter_map(|version| {
        let number: u32 = version.file_name().to_str()?.parse().ok()?;
        Some((number, version.path().join("bin")))
    });
    let newest = found.max().map(|(_, bin)| bin);
    newest.expect("PostgreSQL's Debian packages: `apt-get install postgresql`")
}

/// A folder that belongs to the account that programs run as.
pub(super) fn folder() -> TempDir {
    let folder = TempDir::with_prefix("imd-ha-").expect("a folder can be made");
    give(folder.path());
    folder
}

/// Gives a file or folder to that account.
pub(super) fn give(path: &Path) {
    if let Some(account) = account() {
        let (user, group) = (account.uid.as_raw(), account.gid.as_raw());
        chown(path, Some(user), Some(group)).expect("root may give files away");
    }
}

fn account() -> Option<User> {
    let account = || User::from_name(ACCOUNT).ok().flatten();
    geteuid().is_root().then(|| account().expect("the account of PostgreSQL's packages"))
}

/// Starts a program with its folder as the working one, and its output in `<name>.log` there.
pub(super) fn start(name: &str, mut command: Command, folder: &Path) -> Child {
    let log = folder.join(format!("{name}.log"));
    let log = || File::options().create(true).append(true).open(&log).expect("a log");
    if let Some(account) = account() {
        command.uid(account.uid.as_raw()).gid(account.gid.as_raw());
    }
    command.current_dir(folder).stdin(Stdio::null()).stdout(log()).stderr(log());
    command.kill_on_drop(true).spawn().unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Ports that were free a moment ago, all different.
pub(super) fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    listeners.map(|listener| listener.local_addr().expect("an address").port())
}
