//! A NATS server to throw away.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Stdio,
};

use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

use super::{eventually, programs::program};

/// Asks for any port that is free.
const ANY_PORT: &str = "-1";

/// A `nats-server` on loopback. It is killed when it is dropped.
pub(crate) struct Nats {
    folder: TempDir,
    arguments: Vec<String>,
    address: SocketAddr,
    process: Child,
}

impl Nats {
    pub(crate) async fn start() -> Self {
        Self::start_with(Vec::new()).await
    }

    /// A server with further arguments.
    pub(crate) async fn start_with(arguments: Vec<String>) -> Self {
        let folder = TempDir::with_prefix("imd-nats-").expect("a folder can be made");
        let mut process = spawn(folder.path(), ANY_PORT, &arguments);
        let port = eventually("nats-server says its port", async || {
            let ended = process.try_wait().expect("it is our child");
            assert_eq!(ended, None, "nats-server: {}", log(folder.path()));
            port(folder.path())
        })
        .await;
        Self { folder, arguments, address: (Ipv4Addr::LOCALHOST, port).into(), process }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Kills it, with all that it has not passed on.
    pub(crate) async fn kill(&mut self) {
        self.process.kill().await.expect("it runs");
    }

    /// Starts it again, where it was.
    pub(crate) async fn start_again(&mut self) {
        self.process = spawn(self.folder.path(), &self.address.port().to_string(), &self.arguments);
        let address = self.address;
        eventually("nats-server is back", async || TcpStream::connect(address).await.ok()).await;
    }
}

fn spawn(folder: &Path, port: &str, arguments: &[String]) -> Child {
    let log = File::options().create(true).append(true).open(folder.join("log"));
    Command::new(program("nats-server"))
        .args(["-a", "127.0.0.1", "-p", port, "--ports_file_dir"])
        .arg(folder)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.expect("a log can be made"))
        .kill_on_drop(true)
        .spawn()
        .expect("nats-server runs")
}

/// The port in the file that the server writes when it listens.
fn port(folder: &Path) -> Option<u16> {
    let files = fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path());
    let file = files.into_iter().find(|file| file.extension().is_some_and(|e| e == "ports"))?;
    let ports: serde_json::Value = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
    let (_, port) = ports["nats"][0].as_str()?.rsplit_once(':')?;
    port.parse().ok()
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap_or_else(|error| error.to_string())
}
