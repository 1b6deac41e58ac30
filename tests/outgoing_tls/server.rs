//! A PostgreSQL of its own that is reached over TCP, with TLS or without.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Stdio,
};

use imd::{data_folder::DataFolder, embedded_postgres::EmbeddedPostgres, store::Store};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::support::{certificates::Certified, eventually};

/// Ends with its value, at once.
pub(super) struct Server {
    port: u16,
    process: Child,
    // Goes last.
    _folder: TempDir,
}

impl Server {
    /// A server that shows this certificate and takes nobody without TLS; or one that has no TLS.
    pub(super) async fn start(certified: Option<&Certified>) -> Self {
        let folder = TempDir::with_prefix("imd-tls-").expect("a folder can be made");
        let (program, cluster) = make_cluster(folder.path()).await;
        let owner = fs::metadata(&cluster).expect("a cluster");
        let port = free_port();
        let entry = if certified.is_some() { "hostssl" } else { "host" };
        let give = |name: &str, content: &[u8]| {
            let path = cluster.join(name);
            fs::write(&path, content).expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
            chown(&path, Some(owner.uid()), Some(owner.gid())).expect("its owner");
        };
        give("pg_hba.conf", format!("{entry} all all 127.0.0.1/32 trust\n").as_bytes());
        let mut settings = vec![
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={port}"),
            "unix_socket_directories=".to_owned(),
            "fsync=off".to_owned(),
        ];
        if let Some(certified) = certified {
            give("server.crt", &fs::read(&certified.cert).expect("a certificate"));
            give("server.key", &fs::read(&certified.key).expect("a key"));
            settings.push("ssl=on".to_owned());
        }
        let mut command = Command::new(program);
        // The server's account may lack the right to pass the folders above: it gets this one open.
        command.args(["-D", "/proc/self/fd/0"]).current_dir("/");
        command.stdin(fs::File::open(&cluster).expect("the cluster's folder"));
        for setting in settings {
            command.args(["-c", &setting]);
        }
        command.stdout(Stdio::null()).stderr(Stdio::null());
        if nix::unistd::geteuid().is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        let process = command.spawn().expect("PostgreSQL runs");
        let server = Self { port, process, _folder: folder };
        let store = Store::new(&server.url(""), 1).expect("a store");
        eventually("PostgreSQL answers", async || store.ping().await.ok()).await;
        server
    }

    /// With the database of imd in it.
    pub(super) fn url(&self, parameters: &str) -> String {
        format!("postgresql://imd@127.0.0.1:{}/imd{parameters}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(id) = self.process.id().and_then(|id| i32::try_from(id).ok()) {
            let _ = kill(Pid::from_raw(id), Signal::SIGQUIT);
        }
    }
}

/// Lets imd make a cluster as it does for itself: the program `postgres`, and the cluster's folder.
async fn make_cluster(folder: &Path) -> (PathBuf, PathBuf) {
    let data_folder = DataFolder::open(folder).expect("a data folder");
    let embedded = EmbeddedPostgres::start(&data_folder, None, None).await.expect("a PostgreSQL");
    let cluster = folder.join("postgres/cluster");
    let pid_file = fs::read_to_string(cluster.join("postmaster.pid")).expect("a pid file");
    let pid = pid_file.lines().next().expect("a pid");
    let program = fs::read_link(format!("/proc/{pid}/exe")).expect("a program");
    embedded.stop().await.expect("stopped");
    (program, cluster)
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
