//! Each proxy passes on all that imd speaks, as it comes, and says where a call comes from.

use std::{fs, process::Stdio, sync::Arc};

use futures::{SinkExt as _, StreamExt as _};
use imd::config::Networks;
use imd_proto::v1::{
    LoginRequest, SubscribeRequest, Terminal, auth_service_client::AuthServiceClient,
    login_request::Credential, message_service_client::MessageServiceClient,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    net::TcpStream,
    process::Command,
};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{client_async, tungstenite::Message};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use super::proxy::{Kind, Proxy};
use crate::support::{
    api::Transport,
    certificates::Authority,
    cluster::{Cluster, PASSWORD},
    grpc::with_bearer,
    node::Node,
    postgres::Database,
    programs::program,
    within_deadline,
};

/// How many failed logins of one address are let through in a minute.
const FAILURES: u32 = 3;

/// A call of `GetInfo` in gRPC-web: a frame without a byte.
const NOTHING: [u8; 5] = [0; 5];

/// A node, a proxy that speaks TLS in front of it, and what a client needs.
struct Stage {
    _imd: Cluster,
    proxy: Proxy,
    authority: Authority,
    folder: TempDir,
}

impl Stage {
    async fn start(kind: Kind) -> Self {
        let database = Database::create().await;
        let node = Node::start_with(&database, |settings| {
            settings.trusted_proxies = Networks::try_from("127.0.0.1".to_owned()).expect("one");
            // The clients of these tests are on this machine, too.
            settings.limits.loopback = true;
            settings.limits.failed_logins_per_address = FAILURES;
        })
        .await;
        let imd = Cluster::of(Transport::Grpc, database, node);
        imd.users(["ann", "bob"]).await;
        let authority = Authority::new();
        let proxy = Proxy::start(kind, &authority.certify(), imd.node.public_address()).await;
        Self { _imd: imd, proxy, authority, folder: TempDir::new().expect("a folder") }
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.proxy.address)
    }

    fn channel(&self) -> Channel {
        let tls =
            ClientTlsConfig::new().ca_certificate(Certificate::from_pem(self.authority.pem()));
        let endpoint = Endpoint::from_shared(self.url("")).expect("a URL");
        endpoint.tls_config(tls).expect("a certificate").connect_lazy()
    }

    /// curl that trusts the proxy's certificate.
    fn curl(&self, path: &str) -> Command {
        let mut curl = Command::new(program("curl"));
        curl.args(["--silent", "--show-error", "--no-buffer", "--cacert"])
            .arg(self.authority.file())
            .arg(self.url(path))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        curl
    }

    /// What curl prints in the end: the body and behind it the status.
    async fn answer(&self, mut curl: Command) -> (String, u16) {
        curl.args(["--write-out", "\n%{http_code}"]);
        let output = within_deadline("an answer", curl.output()).await.expect("curl runs");
        assert!(output.status.success(), "{output:?}: {}", self.proxy.log());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').expect("a status");
        (body.to_owned(), status.parse().expect("a number"))
    }

    async fn post(&self, path: &str, token: &str, body: &Value) -> (String, u16) {
        let mut curl = self.curl(path);
        curl.args(["--header", "content-type: application/json", "--data", &body.to_string()])
            .args(["--header", &format!("authorization: Bearer {token}")]);
        self.answer(curl).await
    }

    /// Tries a wrong password from an address of this machine, telling imd a made-up one.
    async fn guess(&self, from: &str, says: &str) -> u16 {
        let terminal = json!({ "type": "web", "device_id": "d", "device_name": "" });
        let login = json!({ "user_id": "bob", "password": "not it at all", "terminal": terminal });
        let mut curl = self.curl("/v1/login");
        curl.args(["--header", "content-type: application/json", "--data", &login.to_string()])
            .args(["--interface", from, "--header", &format!("x-forwarded-for: {says}")]);
        self.answer(curl).await.1
    }

    /// A WebSocket through the proxy that has subscribed.
    async fn socket(&self, token: &str) -> impl futures::Stream<Item = String> + use<> {
        let mut roots = RootCertStore::empty();
        let pem = self.authority.pem();
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM")).expect("a root");
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(self.proxy.address).await.expect("a connection");
        let name = ServerName::from(self.proxy.address.ip());
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("TLS");
        let url = format!("wss://{}/v1/ws", self.proxy.address);
        let (mut socket, _) = client_async(url, stream).await.expect("a WebSocket");
        let frames = [
            json!({ "authenticate": { "access_token": token } }),
            json!({ "subscribe": { "after": "now" } }),
        ];
        for frame in frames {
            socket.send(Message::text(frame.to_string())).await.expect("sent");
        }
        socket.filter_map(async |frame| Some(frame.ok()?.into_text().ok()?.to_string()))
    }

    /// gRPC-web, as its frames.
    fn grpc_web(&self, method: &str, token: &str) -> Command {
        let body = self.folder.path().join("nothing");
        fs::write(&body, NOTHING).expect("written");
        let mut curl = self.curl(method);
        curl.args(["--header", "content-type: application/grpc-web+proto"])
            .args(["--header", &format!("authorization: Bearer {token}"), "--data-binary"])
            .arg(format!("@{}", body.display()));
        curl
    }
}

fn login() -> LoginRequest {
    LoginRequest {
        user_id: "ann".to_owned(),
        credential: Some(Credential::Password(PASSWORD.to_owned())),
        terminal: Some(Terminal {
            r#type: "phone".to_owned(),
            device_id: "anns-phone".to_owned(),
            device_name: String::new(),
        }),
        if_occupied: 0,
    }
}

/// Waits for a line that contains `text`.
async fn line_with(text: &str, mut next: impl AsyncFnMut() -> Option<String>) {
    let line = async {
        loop {
            let line = next().await.unwrap_or_else(|| panic!("the stream ends before {text}"));
            if line.contains(text) {
                return;
            }
        }
    };
    within_deadline(text, line).await;
}

async fn passes_on_all_that_imd_speaks(kind: Kind) {
    let stage = Stage::start(kind).await;
    let logged_in = AuthServiceClient::new(stage.channel()).login(login()).await;
    let tokens = logged_in.expect("gRPC through the proxy").into_inner().tokens.expect("tokens");
    let token = tokens.access_token;

    // Each way to follow, and nothing of it waits in the proxy.
    let request =
        with_bearer(&token, SubscribeRequest { after: "now".into(), ..Default::default() });
    let mut grpc = MessageServiceClient::new(stage.channel())
        .subscribe(request)
        .await
        .expect("a stream of gRPC")
        .into_inner();
    within_deadline("opened", grpc.next()).await.expect("an event").expect("opened");
    let mut curl = stage.curl("/v1/events?after=now");
    curl.args(["--header", &format!("authorization: Bearer {token}")]);
    let mut curl = curl.spawn().expect("curl runs");
    let mut events = BufReader::new(curl.stdout.take().expect("piped")).lines();
    line_with("opened", async || events.next_line().await.expect("UTF-8")).await;
    let mut frames = Box::pin(stage.socket(&token).await);
    line_with("opened", async || frames.next().await).await;
    let mut web = stage.grpc_web("/im.v1.MessageService/Subscribe", &token).spawn().expect("curl");
    let mut web = BufReader::new(web.stdout.take().expect("piped"));
    assert_eq!(within_deadline("a frame of gRPC-web", web.read_u8()).await.expect("a frame"), 0);

    let hello = json!({
        "to": { "user_id": "bob" },
        "client_message_id": "4a7be2a2-64a3-4a59-8f5d-2f6d1c9a6f10",
        "text": "Hello through a proxy",
    });
    let (answer, status) = stage.post("/v1/messages", &token, &hello).await;
    assert_eq!(status, 200, "{answer}: {}", stage.proxy.log());
    within_deadline("the entry", grpc.next()).await.expect("an event").expect("the entry");
    line_with("Hello through a proxy", async || events.next_line().await.expect("UTF-8")).await;
    line_with("Hello through a proxy", async || frames.next().await).await;
    let mut seen = Vec::new();
    line_with("Hello through a proxy", async || {
        web.read_buf(&mut seen).await.ok().filter(|read| *read > 0)?;
        Some(String::from_utf8_lossy(&seen).into_owned())
    })
    .await;

    let (info, status) = stage.answer(stage.grpc_web("/im.v1.InfoService/GetInfo", "")).await;
    assert!(status == 200 && info.contains("grpc-status:0"), "{status}: {info}");
}

async fn says_where_a_call_comes_from(kind: Kind) {
    let stage = Stage::start(kind).await;
    // What a client says of itself does not count.
    for n in 0..FAILURES {
        assert_eq!(stage.guess("127.0.0.3", &format!("192.0.2.{n}")).await, 401);
    }
    assert_eq!(stage.guess("127.0.0.3", "192.0.2.99").await, 429);
    // Nor does one client have to pay for another behind the same proxy.
    assert_eq!(stage.guess("127.0.0.4", "127.0.0.3").await, 401);
}

macro_rules! over_each_proxy {
    ($($module:ident: $kind:ident;)*) => {$(
        mod $module {
            use super::Kind;

            #[tokio::test]
            async fn passes_on_all_that_imd_speaks() {
                super::passes_on_all_that_imd_speaks(Kind::$kind).await;
            }

            #[tokio::test]
            async fn says_where_a_call_comes_from() {
                super::says_where_a_call_comes_from(Kind::$kind).await;
            }
        }
    )*};
}

over_each_proxy! {
    nginx: Nginx;
    haproxy: HaProxy;
    caddy: Caddy;
}
