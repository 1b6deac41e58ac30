//! TLS on both listeners, and who is asked for a certificate.

use std::{net::SocketAddr, sync::Arc};

use futures::StreamExt as _;
use imd::config::{self, Settings};
use imd_proto::v1::{
    GetInfoRequest, GetStatusRequest, LoginRequest, LoginResponse, SubscribeRequest, Terminal,
    admin_service_client::AdminServiceClient, auth_service_client::AuthServiceClient,
    info_service_client::InfoServiceClient, login_request::Credential,
    message_service_client::MessageServiceClient,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::{
    Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use crate::support::{
    api::Transport,
    certificates::{Authority, Certified},
    cluster::{Cluster, PASSWORD},
    grpc::with_bearer,
    node::{ADMIN_KEY, Node},
    postgres::Database,
    within_deadline,
};

async fn cluster(change: impl FnOnce(&mut Settings)) -> Cluster {
    let database = Database::create().await;
    let node = Node::start_with(&database, change).await;
    Cluster::of(Transport::Grpc, database, node)
}

/// A node with certificates of `authority` on both listeners.
async fn secured(authority: &Authority) -> Cluster {
    cluster(|settings| {
        settings.tls = authority.certify().settings();
        settings.admin.tls = authority.certify().settings();
    })
    .await
}

fn trusting(authority: &Authority) -> ClientTlsConfig {
    ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem()))
}

fn channel(address: SocketAddr, tls: ClientTlsConfig) -> Channel {
    let endpoint = Endpoint::from_shared(format!("https://{address}")).expect("a URL");
    endpoint.tls_config(tls).expect("usable certificates").connect_lazy()
}

async fn info(channel: Channel) -> Result<(), Status> {
    InfoServiceClient::new(channel).get_info(GetInfoRequest {}).await.map(drop)
}

async fn status(channel: Channel) -> Result<(), Status> {
    let request = with_bearer(ADMIN_KEY, GetStatusRequest {});
    AdminServiceClient::new(channel).get_status(request).await.map(drop)
}

/// Shakes hands as a client that speaks `protocol`.
async fn shake_hands(
    address: SocketAddr,
    authority: &Authority,
    protocol: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let pem = authority.pem();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM")).expect("an authority");
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let mut config = builder
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::from(address.ip());
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

#[tokio::test]
async fn both_listeners_speak_tls_on_both_transports() {
    let authority = Authority::new();
    let imd = secured(&authority).await;
    info(channel(imd.node.public_address(), trusting(&authority))).await.expect("gRPC over TLS");
    status(channel(imd.node.admin_address(), trusting(&authority))).await.expect("gRPC over TLS");
    for (address, path) in
        [(imd.node.public_address(), "/v1/info"), (imd.node.admin_address(), "/metrics")]
    {
        let mut stream = shake_hands(address, &authority, "http/1.1").await.expect("TLS");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        let request = format!("GET {path} HTTP/1.1\r\nhost: imd\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut answer = String::new();
        within_deadline("an answer", stream.read_to_string(&mut answer)).await.expect("UTF-8");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let h2 = shake_hands(imd.node.public_address(), &authority, "h2").await.expect("TLS");
    assert_eq!(h2.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
}

#[tokio::test]
async fn without_tls_nothing_is_said() {
    let authority = Authority::new();
    let imd = secured(&authority).await;
    for address in [imd.node.public_address(), imd.node.admin_address()] {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(b"GET /v1/info HTTP/1.1\r\nhost: imd\r\n\r\n").await.expect("written");
        let mut answer = Vec::new();
        let _ = within_deadline("the end", stream.read_to_end(&mut answer)).await;
        assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "{answer:?}");
    }
    let stranger = Authority::new();
    info(channel(imd.node.public_address(), trusting(&stranger))).await.expect_err("not trusted");
}

#[tokio::test]
async fn the_admin_listener_can_ask_for_a_certificate() {
    let (authority, staff) = (Authority::new(), Authority::new());
    let imd = cluster(|settings| {
        settings.admin.tls = authority.certify().settings();
        settings.admin.tls.client_ca = Some(staff.file());
    })
    .await;
    let showing = |certified: &Certified| {
        let read = |path| std::fs::read(path).expect("a file");
        let identity = Identity::from_pem(read(&certified.cert), read(&certified.key));
        trusting(&authority).identity(identity)
    };
    let address = imd.node.admin_address();
    status(channel(address, trusting(&authority))).await.expect_err("no certificate");
    let stranger = showing(&authority.certify());
    status(channel(address, stranger)).await.expect_err("another authority's");
    status(channel(address, showing(&staff.certify()))).await.expect("staff");
}

#[tokio::test]
async fn certificates_are_exchanged_while_streams_go_on() {
    let (old, new) = (Authority::new(), Authority::new());
    let imd = cluster(|settings| settings.tls = old.certify().settings()).await;
    let address = imd.node.public_address();
    imd.user("ann").await;
    let ann = channel(address, trusting(&old));
    let login = LoginRequest {
        user_id: "ann".to_owned(),
        credential: Some(Credential::Password(PASSWORD.to_owned())),
        terminal: Some(Terminal {
            r#type: "phone".to_owned(),
            device_id: "p".to_owned(),
            device_name: String::new(),
        }),
        if_occupied: 0,
    };
    let logged_in = AuthServiceClient::new(ann.clone()).login(login).await.expect("a session");
    let LoginResponse { tokens, .. } = logged_in.into_inner();
    let token = tokens.expect("tokens").access_token;
    let subscribe = with_bearer(&token, SubscribeRequest::default());
    let stream = MessageServiceClient::new(ann).subscribe(subscribe).await.expect("a stream");
    let mut events = stream.into_inner();
    within_deadline("the first event", events.next()).await.expect("an event").expect("opened");

    let next = new.certify().settings();
    let unusable = config::Tls { key: old.certify().settings().key, ..next.clone() };
    let missing = config::Tls { cert: Some("no such file".into()), ..next.clone() };
    for wrong in [unusable, missing] {
        imd.node.reload(|settings| settings.tls = wrong).expect_err("of no use");
        info(channel(address, trusting(&old))).await.expect("the old one still");
    }
    imd.node.reload(|settings| settings.tls = next).expect("reloaded");
    info(channel(address, trusting(&new))).await.expect("the new one");
    info(channel(address, trusting(&old))).await.expect_err("no longer the old one");
    let event = within_deadline("a heartbeat", events.next()).await;
    event.expect("the stream goes on").expect("an event");
}

#[tokio::test]
async fn those_who_never_shake_hands_hold_nobody_up() {
    let authority = Authority::new();
    let imd = secured(&authority).await;
    let address = imd.node.public_address();
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(address).await.expect("a connection"));
    }
    let answered = info(channel(address, trusting(&authority)));
    within_deadline("an answer", answered).await.expect("it serves");
    for mut stream in silent.drain(..10) {
        stream.write_all(&[0x16, 3, 1, 0xff]).await.expect("half of a hello");
    }
    info(channel(address, trusting(&authority))).await.expect("it serves");
}

#[tokio::test]
async fn a_key_that_does_not_fit_is_refused_at_the_start() {
    let authority = Authority::new();
    let database = Database::create().await;
    let mut settings = Settings { listen: ([127, 0, 0, 1], 0).into(), ..Settings::default() };
    settings.admin.listen = settings.listen;
    settings.tls =
        config::Tls { key: authority.certify().settings().key, ..authority.certify().settings() };
    let started = imd::app::App::start(&settings, database.url(), "key".to_owned().into()).await;
    let error = format!("{:#}", started.err().expect("the key is another's"));
    assert!(error.starts_with("tls: use "), "{error}");
}
