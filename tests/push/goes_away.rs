//! Apple's service as it is over a network: TLS, and HTTP/2 connections that it ends whenever it wants to.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use h2::{Reason, server};
use http::{Response, StatusCode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
};
use tokio_rustls::TlsAcceptor;

use crate::support::{
    api::Transport,
    certificates::{Authority, Certified},
    postgres::Database,
    process::DataFolder,
    within_deadline,
};

/// How many requests a connection answers before it goes away.
const REQUESTS: usize = 2;

/// A service over TLS. Its first connection goes away with a request that it does not answer; all others when they
/// have answered some.
struct Service {
    url: String,
    connections: Arc<AtomicUsize>,
    got: UnboundedReceiver<Value>,
}

impl Service {
    async fn start(certified: &Certified) -> Self {
        let acceptor = certified.acceptor(&[b"h2"]);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let url = format!("https://{}", listener.local_addr().expect("an address"));
        let (tell, got) = mpsc::unbounded_channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let is_first = count.fetch_add(1, Ordering::Relaxed) == 0;
                tokio::spawn(serve(acceptor.clone(), stream, is_first, tell.clone()));
            }
        });
        Self { url, connections, got }
    }

    /// What is shown next.
    async fn next(&mut self) -> String {
        let payload = within_deadline("a request", self.got.recv()).await.expect("it runs");
        payload["aps"]["alert"]["body"].as_str().expect("a text").to_owned()
    }
}

async fn serve(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    is_first: bool,
    tell: UnboundedSender<Value>,
) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let Ok(mut connection) = server::handshake(stream).await else { return };
    let mut answered = 0;
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        if is_first {
            connection.abrupt_shutdown(Reason::NO_ERROR);
            continue;
        }
        answered += 1;
        if answered == REQUESTS {
            connection.graceful_shutdown();
        }
        let tell = tell.clone();
        tokio::spawn(async move {
            let mut body = request.into_body();
            let mut read = Vec::new();
            while let Some(Ok(part)) = body.data().await {
                read.extend_from_slice(&part);
                let _ = body.flow_control().release_capacity(part.len());
            }
            let answer = Response::builder().status(StatusCode::OK).body(()).expect("an answer");
            let mut sending = respond.send_response(answer, false).expect("it waits for it");
            sending.send_data(Bytes::new(), true).expect("it waits for it");
            let _ = tell.send(serde_json::from_slice(&read).expect("JSON"));
        });
    }
}

#[tokio::test]
async fn nothing_is_lost_with_the_connections_that_apple_ends() {
    const MESSAGES: usize = 3 * REQUESTS;
    let authority = Authority::new();
    let mut apple = Service::start(&authority.certify()).await;
    let database = Database::create().await;
    let folder = DataFolder::new();
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
    let keys = tempfile::tempdir().expect("a folder");
    let file = keys.path().join("AuthKey.p8");
    fs::write(&file, key.serialize_pem()).expect("a file");
    let trusted = authority.file();
    let imd = folder
        .start_with(&[
            ("IMD_DATABASE_URL", database.url()),
            ("IMD_DATABASE_POOL_SIZE", "6"),
            ("IMD_PUSH_APNS_URL", &apple.url),
            ("IMD_PUSH_APNS_KEY", file.to_str().expect("UTF-8")),
            ("IMD_PUSH_APNS_KEY_ID", "ABC123DEFG"),
            ("IMD_PUSH_APNS_TEAM_ID", "DEF123GHIJ"),
            ("IMD_PUSH_APNS_TOPIC", "com.example.chat"),
            ("IMD_PUSH_DELAY", "1s"),
            // In the place of the system's authorities.
            ("SSL_CERT_FILE", trusted.to_str().expect("UTF-8")),
        ])
        .await;
    imd.create_users(&["ann", "bob"]).await;
    let ann = imd.log_in(Transport::Rest, "ann", "phone").await;
    let bob = imd.log_in(Transport::Rest, "bob", "phone").await;
    let bound = reqwest::Client::new()
        .post(format!("http://{}/v1/push", imd.public))
        .bearer_auth(&bob.token)
        .json(&json!({ "provider": "apns", "token": "00fc13adff785122" }))
        .send()
        .await;
    assert!(bound.expect("an answer").status().is_success());
    for no in 0..MESSAGES {
        let text = format!("message {no}");
        ann.say("bob", &text).await;
        // What was not answered comes again.
        while apple.next().await != text {}
    }
    let connections = apple.connections.load(Ordering::Relaxed);
    assert!(connections > MESSAGES / REQUESTS, "{connections} connections");
}
