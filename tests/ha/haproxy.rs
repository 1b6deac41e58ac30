//! HAProxy in front of two nodes.

use std::{fs, net::SocketAddr, time::Duration};

use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::service::{folder, free_ports, give, program, start};
use crate::faults::until;

/// How long HAProxy may take to start.
const START: Duration = Duration::from_secs(20);

/// The balancer. Ends with its value.
pub(super) struct HaProxy {
    pub(super) address: SocketAddr,
    _process: Child,
    // Goes last.
    _folder: TempDir,
}

impl HaProxy {
    /// One with the settings that `settings` makes of its port and the nodes.
    pub(super) async fn before(
        nodes: [SocketAddr; 2],
        settings: impl FnOnce(u16, [SocketAddr; 2]) -> String,
    ) -> Self {
        let folder = folder();
        let [port] = free_ports();
        let file = folder.path().join("haproxy.cfg");
        fs::write(&file, settings(port, nodes)).expect("a file can be made");
        give(&file);
        let mut command = Command::new(program("haproxy", "haproxy"));
        command.args(["-db", "-f"]).arg(&file);
        let process = start("haproxy", command, folder.path());
        let address = ([127, 0, 0, 1], port).into();
        until("HAProxy leads to a node", START, async || {
            let answer = reqwest::get(format!("http://{address}/readyz")).await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        Self { address, _process: process, _folder: folder }
    }
}
