//! The database over TLS.

use std::{path::PathBuf, sync::Arc};

use imd::{app::App, config::Settings, store::Store};

use super::{refused, refused_with, server::Server};
use crate::support::{
    admin::Admin,
    api::{Api, Transport},
    certificates::Authority,
    cluster::{PASSWORD, login},
    node::ADMIN_KEY,
    terminal::Terminal,
};

/// A node on the database.
async fn node(url: &str, ca: Option<PathBuf>) -> App {
    let any_port = ([127, 0, 0, 1], 0).into();
    let mut settings = Settings { listen: any_port, ..Settings::default() };
    settings.admin.listen = any_port;
    settings.database.ca = ca;
    App::start(&settings, url, ADMIN_KEY.to_owned().into()).await.expect("a node")
}

/// Logs a user in on a node.
async fn log_in(api: Arc<dyn Api>, user_id: &str) -> Terminal {
    let logged_in = api.login(&login(user_id, "phone", user_id).password(PASSWORD)).await;
    Terminal::new(api, user_id, logged_in.expect("logged in"))
}

#[tokio::test]
async fn everything_goes_through_tls_and_hints_travel() {
    let authority = Authority::new();
    let server = Server::start(Some(&authority.certify())).await;
    let url = server.url("?sslmode=verify-full");
    // The server takes nobody in the clear: pool, lanes, listeners and migrations all speak TLS.
    let (here, there) =
        (node(&url, Some(authority.file())).await, node(&url, Some(authority.file())).await);
    let admin = Admin::new(here.admin_address(), ADMIN_KEY);
    for user in ["ann", "bob"] {
        admin.create_user(user, PASSWORD).await.expect("a user");
    }
    let ann = log_in(Transport::Grpc.connect(here.public_address()), "ann").await;
    let bob = log_in(Transport::Grpc.connect(there.public_address()), "bob").await;
    let mut feed = bob.follow("now").await;
    ann.say("bob", "hello").await;
    assert_eq!(feed.entry().await.text(), "hello");
    let in_the_clear = server.url("?sslmode=disable");
    let refused = Store::new(&in_the_clear, 1).expect("a store").ping().await;
    assert!(refused.is_err(), "the server takes nobody in the clear");
    there.stop().await;
    here.stop().await;
}

#[tokio::test]
async fn a_server_that_another_authority_vouches_for_is_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = Server::start(Some(&authority.certify())).await;
    for mode in ["verify-full", "require"] {
        let url = server.url(&format!("?sslmode={mode}"));
        let refused = refused(&url, |s| s.database.ca = Some(other.file())).await;
        assert!(refused.contains("invalid peer certificate"), "{mode}: {refused}");
    }
}

#[tokio::test]
async fn a_server_of_another_name_is_refused_where_the_name_is_checked() {
    let authority = Authority::new();
    let server = Server::start(Some(&authority.certify_for(["db.example"]))).await;
    let ca = authority.file();
    let url = server.url("?sslmode=verify-full");
    let refused = refused(&url, |s| s.database.ca = Some(ca.clone())).await;
    assert!(refused.contains("not valid for name"), "{refused}");
    // Less is checked where less is asked for, and it is encrypted all the same.
    for ca in [Some(ca.as_path()), None] {
        let store = Store::trusting(ca, &server.url("?sslmode=require"), 1).expect("a store");
        store.ping().await.expect("a connection");
    }
    let store = Store::new(&server.url(""), 1).expect("a store");
    store.ping().await.expect("TLS where the server offers it");
}

#[tokio::test]
async fn a_certificate_of_version_1_is_taken_where_any_is() {
    let authority = Authority::new();
    let server = Server::start(Some(&authority.certify_in_version_1())).await;
    for parameters in ["?sslmode=require", "?sslmode=prefer", ""] {
        let store = Store::new(&server.url(parameters), 1).expect("a store");
        store.ping().await.expect("a connection");
    }
    let refused = refused(&server.url("?sslmode=verify-full"), |s| {
        s.database.ca = Some(authority.file());
    })
    .await;
    assert!(refused.contains("certificate"), "{refused}");
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_it_is_required() {
    let server = Server::start(None).await;
    for mode in ["require", "verify-full"] {
        let ca = Authority::new();
        let url = server.url(&format!("?sslmode={mode}"));
        let refused = refused(&url, |s| s.database.ca = Some(ca.file())).await;
        assert!(refused.contains("server does not support TLS"), "{mode}: {refused}");
    }
    for mode in ["disable", "prefer"] {
        let url = server.url(&format!("?sslmode={mode}"));
        Store::new(&url, 1).expect("a store").ping().await.expect("a connection");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_named() {
    let missing = PathBuf::from("no-such-file.pem");
    let refused = refused_with(|s| s.database.ca = Some(missing)).await;
    assert!(refused.contains("no-such-file.pem"), "{refused}");
}
