//! Requests that are not what they should be: too large, broken off, nested, compressed, or aimed at
//! what is not there. The server refuses each and goes on serving.

use std::{io::Write as _, time::Duration};

use reqwest::{Client, Response, StatusCode};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    api::{Outgoing, Transport},
    cluster::Cluster,
    on_both_transports,
    terminal::Terminal,
    within_deadline,
};

/// Sends a body to a method as gRPC-Web carries it, so that every byte of it can be wrong; the status.
async fn call(imd: &Cluster, token: &str, method: &str, body: Vec<u8>) -> i32 {
    let url = format!("http://{}/im.v1.{method}", imd.node.public_address());
    let request = Client::new().post(url).bearer_auth(token).body(body);
    let answer = request.header("content-type", "application/grpc-web+proto").send();
    grpc_status(answer.await.expect("an answer")).await
}

/// The status of an answer: in its headers, or in the frame of trailers at its end.
async fn grpc_status(answer: Response) -> i32 {
    assert_eq!(answer.status(), StatusCode::OK);
    let number = |text: &str| text.trim().parse().expect("a status");
    if let Some(status) = answer.headers().get("grpc-status") {
        return number(status.to_str().expect("ASCII"));
    }
    let body = answer.bytes().await.expect("a body");
    let text = String::from_utf8_lossy(&body);
    let (_, status) = text.split_once("grpc-status:").expect("trailers");
    number(status.split("\r\n").next().expect("a line"))
}

/// A message in its frame.
fn frame(compressed: bool, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a short message").to_be_bytes();
    [&[u8::from(compressed)], &length[..], message].concat()
}

/// Posts a body of JSON; the status.
async fn post(imd: &Cluster, token: &str, path: &str, body: Vec<u8>) -> u16 {
    let url = format!("http://{}{path}", imd.node.public_address());
    let request = Client::new().post(url).bearer_auth(token).body(body);
    let answer = request.header("content-type", "application/json").send().await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    answer.status().as_u16()
}

/// Writes bytes to a listener; what it answers until it closes or has nothing more to say.
async fn raw(imd: &Cluster, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(imd.node.public_address()).await.expect("a connection");
    // The server may have hung up by then.
    let _ = stream.write_all(bytes).await;
    let mut answer = vec![0; 4096];
    let read = within_deadline("an answer", stream.read(&mut answer)).await;
    answer.truncate(read.unwrap_or(0));
    String::from_utf8_lossy(&answer).into_owned()
}

async fn assert_serves(phone: &Terminal) {
    phone.send(&Outgoing::text("ann", "still there?")).await.expect("it serves");
}

on_both_transports! {
    an_oversize_message_is_refused,
}

async fn an_oversize_message_is_refused(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let limit = imd.api.info().await.expect("the limits").max_body_bytes;
    phone.say("ann", &"x".repeat(limit)).await;
    let text = Outgoing::text("ann", "x".repeat(limit + 1));
    assert_eq!(phone.send(&text).await.expect_err("too large").field(), "text");
    let data = Outgoing::data("ann", "a/b", &vec![0; limit + 1]);
    assert_eq!(phone.send(&data).await.expect_err("too large").field(), "data");
    assert_serves(&phone).await;
}

#[tokio::test]
async fn an_oversize_body_is_refused_unread_over_grpc() {
    let imd = Cluster::start(Transport::Grpc).await;
    let phone = imd.user_with_phone("ann").await;
    let large = frame(false, &vec![0; 8 << 20]);
    assert_eq!(call(&imd, &phone.token, "MessageService/Send", large).await, 11);
    let mut endless = frame(false, &[]);
    endless[1..5].copy_from_slice(&u32::MAX.to_be_bytes());
    assert_eq!(call(&imd, &phone.token, "MessageService/Send", endless).await, 11);
    assert_serves(&phone).await;
}

#[tokio::test]
async fn an_oversize_body_is_refused_unread_over_rest() {
    let imd = Cluster::start(Transport::Rest).await;
    let phone = imd.user_with_phone("ann").await;
    assert_eq!(post(&imd, &phone.token, "/v1/messages", vec![b' '; 8 << 20]).await, 413);
    assert_eq!(post(&imd, "", "/v1/login", vec![b' '; 8 << 20]).await, 413);
    assert_serves(&phone).await;
}

/// Less is read of those who have shown nothing good; they learn that it is their token.
#[tokio::test]
async fn little_is_read_of_a_stranger() {
    let imd = Cluster::start(Transport::Rest).await;
    let phone = imd.user_with_phone("ann").await;
    let large = json!({ "to": { "user_id": "ann" }, "text": "x".repeat(20_000) }).to_string();
    assert_eq!(post(&imd, "guessed", "/v1/messages", large.clone().into_bytes()).await, 401);
    assert_eq!(post(&imd, &phone.token, "/v1/messages", large.clone().into_bytes()).await, 400);
    let url = format!("http://{}/v1/login", imd.node.public_address());
    let login = Client::new().post(url).body(large).header("content-type", "application/json");
    assert_eq!(login.send().await.expect("an answer").status(), 413);
    let message = frame(false, &[&[0x1a, 0xa0, 0x9c, 0x01][..], &vec![b'x'; 20_000]].concat());
    assert_eq!(call(&imd, "guessed", "MessageService/Send", message).await, 16);
    assert_serves(&phone).await;
}

#[tokio::test]
async fn malformed_messages_are_refused() {
    let imd = Cluster::start(Transport::Grpc).await;
    let phone = imd.user_with_phone("ann").await;
    let invalid_utf8 = [0x0a, 2, 0xff, 0xfe];
    let wrong_wire_type = [0x08, 1];
    let broken_off = [0x0a, 200, b'x'];
    let endless_varint = [0xff; 16];
    let group = [0x0b; 400];
    for message in
        [&invalid_utf8[..], &wrong_wire_type, &broken_off, &endless_varint, &group, b"\xff"]
    {
        for method in ["AuthService/Login", "MessageService/Send", "MessageService/Subscribe"] {
            let status = call(&imd, &phone.token, method, frame(false, message)).await;
            assert!([3, 13].contains(&status), "{method} with {message:?}: {status}");
        }
    }
    for body in [vec![], vec![0], vec![0, 0, 0, 0, 9], vec![7, 0, 0, 0, 0], b"{}".to_vec()] {
        let status = call(&imd, &phone.token, "MessageService/Send", body.clone()).await;
        assert_ne!(status, 0, "{body:?}");
    }
    assert_serves(&phone).await;
}

#[tokio::test]
async fn malformed_json_is_refused() {
    let imd = Cluster::start(Transport::Rest).await;
    let phone = imd.user_with_phone("ann").await;
    let nested = "[".repeat(50_000);
    let members = format!("{{\"to\":{nested}");
    let good = json!({ "to": { "user_id": "ann" }, "text": "x" }).to_string();
    let broken_off = &good.as_bytes()[..good.len() - 1];
    let invalid_utf8 = b"{\"text\":\"\xff\xfe\"}";
    let half_a_pair = br#"{"text":"\ud800"}"#;
    let twice = br#"{"text":"a","text":"b"}"#;
    let number = br#"{"text":1e999}"#;
    for body in [
        &b""[..],
        nested.as_bytes(),
        members.as_bytes(),
        broken_off,
        invalid_utf8,
        half_a_pair,
        twice,
        number,
    ] {
        let status = post(&imd, &phone.token, "/v1/messages", body.to_vec()).await;
        assert_eq!(status, 400, "{:?}", String::from_utf8_lossy(&body[..body.len().min(40)]));
    }
    assert_serves(&phone).await;
}

/// Some kilobytes that would become 64 MiB.
#[tokio::test]
async fn a_compressed_bomb_goes_off_nowhere() {
    let imd = Cluster::start(Transport::Grpc).await;
    let phone = imd.user_with_phone("ann").await;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..64 {
        encoder.write_all(&vec![0; 1 << 20]).expect("compressed");
    }
    let bomb = encoder.finish().expect("compressed");
    let url = format!("http://{}/im.v1.MessageService/Send", imd.node.public_address());
    let request = Client::new().post(url).bearer_auth(&phone.token).body(frame(true, &bomb));
    let request = request.header("content-type", "application/grpc-web+proto");
    let answer = request.header("grpc-encoding", "gzip").send().await.expect("an answer");
    assert!([8, 11, 13].contains(&grpc_status(answer).await));
    assert_serves(&phone).await;
}

#[tokio::test]
async fn no_path_leads_elsewhere() {
    let imd = Cluster::start(Transport::Rest).await;
    let phone = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    for path in [
        "/../../etc/passwd",
        "/v1/../metrics",
        "/v1/%2e%2e/metrics",
        "//v1/sessions",
        "/v1//sessions",
        "/v1/sessions/",
        "/V1/sessions",
        "/v1/sessions%00",
        "/v1/sessions;a=b",
        "/metrics",
        "/im.v1.AdminService/ListUsers",
        "/v1/conversations/user:bob/../../../metrics",
        "/v1/conversations/user:bob%2f..%2fx/messages",
        "/v1/conversations/%00/messages",
        "/v1/conversations/%ff/messages",
        "http://127.0.0.1:8081/metrics",
        "*",
    ] {
        let token = &phone.token;
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: imd\r\nauthorization: Bearer {token}\r\n\r\n");
        let answer = raw(&imd, request.as_bytes()).await;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(["400", "404", "405"].contains(&status), "{path}: {answer}");
        assert!(!answer.contains("root:") && !answer.contains("imd_"), "{path}: {answer}");
    }
    assert_serves(&phone).await;
}

#[tokio::test]
async fn header_bombs_are_refused() {
    let imd = Cluster::start(Transport::Rest).await;
    let phone = imd.user_with_phone("ann").await;
    let start = "GET /v1/info HTTP/1.1\r\nhost: imd\r\n";
    let one = format!("{start}x-large: {}\r\n\r\n", "x".repeat(1 << 20));
    let many: Vec<String> = (0..5000).map(|n| format!("x-{n}: y\r\n")).collect();
    let many = format!("{start}{}\r\n", many.concat());
    let path = format!("GET /{} HTTP/1.1\r\nhost: imd\r\n\r\n", "x".repeat(1 << 20));
    for bomb in [one, many, path] {
        let answer = raw(&imd, bomb.as_bytes()).await;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(["", "400", "414", "431"].contains(&status), "{answer}");
    }
    assert_serves(&phone).await;
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let imd = Cluster::start(Transport::Rest).await;
    let phone = imd.user_with_phone("ann").await;
    let token = &phone.token;
    let smuggled = format!(
        "POST /v1/logout HTTP/1.1\r\nhost: imd\r\nauthorization: Bearer {token}\r\n\
         content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    );
    let folded = "GET /v1/info HTTP/1.1\r\nhost: imd\r\nx: a\r\n b: c\r\n\r\n";
    let bare = "GET /v1/info HTTP/1.1\r\nhost: imd\r\nx\u{0}y: a\r\n\r\n";
    let garbage: String = std::iter::repeat_n('\u{16}', 4096).collect();
    for request in [folded, bare, &garbage] {
        let answer = raw(&imd, request.as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    // Whatever of the two lengths holds, it is one request.
    let answers = raw(&imd, smuggled.as_bytes()).await.matches("HTTP/1.1").count();
    assert!(answers <= 1);
    let after_preface = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &[0xff; 512]].concat();
    let _ = tokio::time::timeout(Duration::from_secs(5), raw(&imd, &after_preface)).await;
    imd.log_in("ann", "pc", "desk").await.say("ann", "still there?").await;
}
