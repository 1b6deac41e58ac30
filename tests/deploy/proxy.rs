//! Proxies with the recipes of `deploy/proxies`, in which only ports and certificates are replaced.

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

use super::{free_port, read};
use crate::support::{certificates::Certified, eventually, programs::program};

/// Which program.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Nginx,
    HaProxy,
    Caddy,
}

/// A proxy that speaks TLS in front of a node. It is killed when it is dropped.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    process: Child,
    folder: TempDir,
}

impl Proxy {
    pub(super) async fn start(kind: Kind, certified: &Certified, node: SocketAddr) -> Self {
        let folder = TempDir::with_prefix("imd-proxy-").expect("a folder");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let recipe = kind.recipe(address, certified, folder.path());
        assert!(recipe.contains("127.0.0.1:8080"), "the recipe has no node");
        let recipe = recipe.replace("127.0.0.1:8080", &node.to_string());
        let process = kind.spawn(&recipe, folder.path());
        let mut proxy = Self { address, process, folder };
        eventually("the proxy listens", async || {
            let ended = proxy.process.try_wait().expect("it is our child");
            assert_eq!(ended, None, "{}", proxy.log());
            TcpStream::connect(address).await.ok()
        })
        .await;
        proxy
    }

    /// What it has complained of.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("a log")
    }
}

impl Kind {
    /// The recipe, with another address and certificate.
    fn recipe(self, address: SocketAddr, certified: &Certified, folder: &Path) -> String {
        let (cert, key) = (certified.cert.display(), certified.key.display());
        match self {
            Self::Nginx => replaced(
                "proxies/nginx.conf",
                &[
                    ("listen 443 ", format!("listen {address} ")),
                    ("/etc/ssl/im.example.pem", cert.to_string()),
                    ("/etc/ssl/im.example.key", key.to_string()),
                ],
            ),
            Self::HaProxy => {
                let both = folder.join("both.pem");
                let read = |path| fs::read_to_string(path).expect("PEM");
                let pem = read(&certified.cert) + &read(&certified.key);
                fs::write(&both, pem).expect("written");
                replaced(
                    "proxies/haproxy.cfg",
                    &[
                        ("bind :443 ", format!("bind {address} ")),
                        ("/etc/haproxy/im.example.pem", both.display().to_string()),
                    ],
                )
            }
            Self::Caddy => {
                let site = format!("https://{address} {{\n\ttls {cert} {key}\n");
                let site = replaced("proxies/Caddyfile", &[("im.example {", site)]);
                // Neither its port for administrators nor the one that redirects to TLS.
                format!("{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{site}")
            }
        }
    }

    fn spawn(self, recipe: &str, folder: &Path) -> Child {
        let file = folder.join("recipe");
        fs::write(&file, recipe).expect("written");
        let mut command = match self {
            Self::Nginx => {
                let whole = format!(
                    "daemon off;\nmaster_process off;\npid {0}/pid;\nerror_log stderr;\nevents {{}}\n\
                     http {{ access_log off; client_body_temp_path {0}/body; proxy_temp_path {0}/proxy;\n\
                     fastcgi_temp_path {0}/fastcgi; uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;\n\
                     include {1}; }}\n",
                    folder.display(),
                    file.display()
                );
                fs::write(folder.join("nginx.conf"), whole).expect("written");
                let mut nginx = Command::new(program("nginx"));
                nginx.args(["-e", "stderr", "-c"]).arg(folder.join("nginx.conf"));
                nginx
            }
            Self::HaProxy => {
                let mut haproxy = Command::new(program("haproxy"));
                haproxy.args(["-db", "-f"]).arg(&file);
                haproxy
            }
            Self::Caddy => {
                let mut caddy = Command::new(program("caddy"));
                caddy.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file);
                caddy
            }
        };
        let log = File::create(folder.join("log")).expect("a log");
        command
            .env("HOME", folder)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("the proxy runs")
    }
}

/// A recipe in which each text is replaced, once or more often.
fn replaced(path: &str, texts: &[(&str, String)]) -> String {
    texts.iter().fold(read(path), |recipe, (text, by)| {
        assert!(recipe.contains(text), "{path} has no {text}");
        recipe.replace(text, by)
    })
}
