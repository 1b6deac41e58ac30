//! Connections: how many, how long their headers, and that those end that only wait.

use std::time::Duration;

use imd::config::Settings;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use super::{counted, limited_to, over_each, refused_for};
use crate::support::{
    api::Transport, cluster::Cluster, eventually, socket::Socket, within_deadline,
};

/// What begins a connection over HTTP/2, and an empty frame of settings.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

fn impatient(settings: &mut Settings) {
    settings.limits.header_timeout = Duration::from_secs(1);
    settings.limits.keepalive = Duration::from_secs(1);
    settings.limits.call_timeout = Duration::from_secs(1);
}

async fn connect(imd: &Cluster) -> TcpStream {
    TcpStream::connect(imd.node.public_address()).await.expect("a connection")
}

/// Reads until the server hangs up; what it said.
async fn to_the_end(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    let read = within_deadline("the end", stream.read_to_end(&mut said)).await;
    // Hanging up on what was not read is a reset.
    let _ = read;
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test]
async fn a_connection_that_never_says_what_it_wants_ends() {
    let imd = limited_to(Transport::Rest, impatient).await;
    let before = counted(&imd, "header_timeout").await;
    for beginning in [
        "",
        "G",
        "GET /v1/info HT",
        "GET /v1/info HTTP/1.1\r\nhost: a\r\nx-a: b",
        "PRI * HTTP/2.0\r\n",
    ] {
        let mut stream = connect(&imd).await;
        stream.write_all(beginning.as_bytes()).await.expect("it is there");
        let began = Instant::now();
        to_the_end(&mut stream).await;
        assert!(began.elapsed() < Duration::from_secs(5), "{beginning:?}: {:?}", began.elapsed());
    }
    eventually("a count of each", async || {
        (counted(&imd, "header_timeout").await >= before + 5).then_some(())
    })
    .await;
    imd.api.info().await.expect("it serves");
}

#[tokio::test]
async fn a_header_that_drips_does_not_keep_a_connection() {
    let imd = limited_to(Transport::Rest, impatient).await;
    let mut stream = connect(&imd).await;
    stream.write_all(b"GET /v1/info HTTP/1.1\r\nhost: a\r\n").await.expect("it is there");
    let drips = async {
        while stream.write_all(b"x-drip: drop\r\n").await.is_ok() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    within_deadline("the end", drips).await;
}

#[tokio::test]
async fn a_body_that_drips_ends_with_the_time_of_a_call() {
    let imd = limited_to(Transport::Rest, impatient).await;
    let before = counted(&imd, "call_timeout").await;
    for (path, content_type, answer) in [
        ("/v1/login", "application/json", "503 Service Unavailable"),
        ("/im.v1.AuthService/Login", "application/grpc-web+proto", "grpc-status: 4"),
    ] {
        let mut stream = connect(&imd).await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: {content_type}\r\n\
             content-length: 100\r\nconnection: close\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).await.expect("it is there");
        let said = to_the_end(&mut stream).await;
        assert!(said.contains(answer), "{said}");
    }
    assert!(counted(&imd, "call_timeout").await >= before + 2);
}

#[tokio::test]
async fn a_call_of_an_administrator_is_refused_before_its_body_has_come() {
    let imd = limited_to(Transport::Grpc, impatient).await;
    for path in ["ListUsers", "ImportMessages"] {
        let mut stream = TcpStream::connect(imd.node.admin_address()).await.expect("a connection");
        let head = format!(
            "POST /im.v1.AdminService/{path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer guessed\r\n\
             content-type: application/grpc-web+proto\r\ncontent-length: 100\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("it is there");
        let said = to_the_end(&mut stream).await;
        assert!(said.contains("grpc-status: 16"), "{path}: {said}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_answer_any_more_is_given_up() {
    let imd = limited_to(Transport::Grpc, impatient).await;
    let mut stream = connect(&imd).await;
    stream.write_all(HTTP2).await.expect("it is there");
    // It says nothing to the pings.
    to_the_end(&mut stream).await;
    imd.api.info().await.expect("clients that do answer are served");
}

#[tokio::test]
async fn a_client_that_answers_may_be_quiet() {
    let imd = limited_to(Transport::Grpc, impatient).await;
    let phone = imd.user_with_phone("ann").await;
    let mut feed = phone.follow("now").await;
    sleep(Duration::from_secs(4)).await;
    let note = phone.say("ann", "still there").await;
    assert_eq!(feed.entry().await.seq, note.seq, "the same stream");
}

#[tokio::test]
async fn a_header_that_is_too_large_is_refused() {
    let imd = limited_to(Transport::Rest, |settings| settings.limits.header_bytes = 8192).await;
    let before = counted(&imd, "header_bytes").await;
    let mut stream = connect(&imd).await;
    let head = format!("GET /v1/info HTTP/1.1\r\nhost: a\r\nx-a: {}\r\n\r\n", "a".repeat(20_000));
    let _ = stream.write_all(head.as_bytes()).await;
    let said = to_the_end(&mut stream).await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 431 "), "{said}");
    eventually("a count", async || (counted(&imd, "header_bytes").await > before).then_some(()))
        .await;
    let grpc = Transport::Grpc.connect(imd.node.public_address());
    let refused = grpc.sessions(&"x".repeat(20_000)).await.expect_err("too large");
    assert_ne!(refused.code, "invalid_token", "{refused:?}");
    imd.api.info().await.expect("it serves");
}

#[tokio::test]
async fn a_web_socket_is_a_connection_until_it_is_closed() {
    let imd = limited_to(Transport::Rest, |settings| {
        settings.limits.loopback = true;
        settings.limits.connections_per_address = 2;
    })
    .await;
    let sockets = [
        Socket::open(imd.node.public_address()).await,
        Socket::open(imd.node.public_address()).await,
    ];
    let refused = imd.api.info().await.expect_err("no room");
    refused_for("connections_per_address", &refused);
    drop(sockets);
    eventually("there is room again", async || imd.api.info().await.ok()).await;
}

over_each! {
    an_address_has_so_many_connections: Grpc grpc, Rest rest;
}

async fn an_address_has_so_many_connections(transport: Transport) {
    let imd = limited_to(transport, |settings| {
        settings.limits.loopback = true;
        settings.limits.connections_per_address = 2;
    })
    .await;
    let before = counted(&imd, "connections_per_address").await;
    let (first, mut second) = (connect(&imd).await, connect(&imd).await);
    let refused = eventually("no room", async || {
        transport.connect(imd.node.public_address()).info().await.err()
    })
    .await;
    refused_for("connections_per_address", &refused);
    assert!(counted(&imd, "connections_per_address").await > before);
    let quiet = timeout(Duration::from_millis(100), second.read_u8()).await;
    quiet.expect_err("those that are there stay");
    drop((first, second));
    eventually("there is room again", async || {
        transport.connect(imd.node.public_address()).info().await.ok()
    })
    .await;
}
