//! The bus over TLS.

use std::path::Path;

use imd::config::Settings;

use super::refused_with;
use crate::support::{
    api::Transport,
    certificates::{Authority, Certified},
    cluster::Cluster,
    nats::Nats,
    node::Node,
    postgres::Database,
};

/// A server that asks its clients for certificates.
async fn server(authority: &Authority) -> Nats {
    let Certified { cert, key } = authority.certify();
    let file = |path: &Path| path.display().to_string();
    let arguments = ["--tls", "--tlsverify", "--tlscert"].map(str::to_owned).into_iter();
    let files = [file(&cert), "--tlskey".to_owned(), file(&key), "--tlscacert".to_owned()];
    let arguments = arguments.chain(files).chain([file(&authority.file())]);
    Nats::start_with(arguments.collect()).await
}

/// How a node finds it.
fn settings(nats: &Nats, trusted: &Authority, shown: &Certified) -> impl Fn(&mut Settings) + use<> {
    let url = format!("tls://{}", nats.address());
    let (ca, shown) = (trusted.file(), shown.clone());
    move |settings| {
        settings.bus.url = Some(url.clone().into());
        settings.bus.ca = Some(ca.clone());
        settings.bus.cert = Some(shown.cert.clone());
        settings.bus.key = Some(shown.key.clone());
    }
}

#[tokio::test]
async fn hints_travel_through_tls() {
    let authority = Authority::new();
    let nats = server(&authority).await;
    let encrypted = settings(&nats, &authority, &authority.certify());
    let database = Database::create().await;
    let node = Node::start_with(&database, &encrypted).await;
    let imd = Cluster::of(Transport::Grpc, database, node);
    let (_node, there) = imd.start_node_with(&encrypted).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await.through(there);
    let mut feed = bob.follow("now").await;
    for n in 0..20 {
        // Without a bus, an entry comes with the next sweep: in a minute.
        ann.say("bob", &format!("message {n}")).await;
        assert_eq!(feed.entry().await.text(), format!("message {n}"));
    }
}

#[tokio::test]
async fn a_server_that_another_authority_vouches_for_is_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    let nats = server(&authority).await;
    let refused = refused_with(settings(&nats, &other, &authority.certify())).await;
    assert!(
        refused.contains("bus.url") && refused.contains("invalid peer certificate"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_named() {
    let authority = Authority::new();
    let nats = server(&authority).await;
    let mut shown = authority.certify();
    shown.key = "no-such-key.pem".into();
    let refused = refused_with(settings(&nats, &authority, &shown)).await;
    assert!(refused.contains("no-such-key.pem"), "{refused}");
}
