//! Calls and streams: how many of a connection, how many of all, and how much of their answers may wait.

use std::time::Duration;

use imd::config::Settings;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
};

use super::{counted, limited_to};
use crate::support::{
    api::Transport,
    cluster::Cluster,
    eventually,
    http2::{Answered, Http2},
    within_deadline,
};

/// What a stream is reset with that was not looked at.
const REFUSED_STREAM: u32 = 7;

/// What a stream is reset with that is given up.
const CANCEL: u32 = 8;

/// Larger than most answers.
const WINDOW: u32 = 65_535;

const JSON: (&str, &str) = ("content-type", "application/json");

async fn connect(imd: &Cluster, window: u32) -> Http2 {
    Http2::connect(imd.node.public_address(), window).await
}

#[tokio::test]
async fn a_connection_has_a_hundred_streams_until_a_good_token_comes_on_it() {
    let imd = limited_to(Transport::Rest, |_| ()).await;
    let phone = imd.user_with_phone("ann").await;
    let good = format!("Bearer {}", phone.token);
    let before = counted(&imd, "streams_per_connection").await;
    let mut connection = connect(&imd, WINDOW).await;
    for _ in 0..100 {
        connection.ask("POST", "/v1/login", &[JSON]).await;
    }
    for header in [None, Some(("authorization", "Bearer guessed"))] {
        let headers: Vec<_> = header.into_iter().collect();
        let one_too_many = connection.ask("GET", "/v1/info", &headers).await;
        let answered = within_deadline("an answer", connection.answer_of(one_too_many)).await;
        assert_eq!(answered, Answered::Reset(REFUSED_STREAM), "{header:?}");
    }
    assert!(counted(&imd, "streams_per_connection").await >= before + 2);
    let known = connection.ask("GET", "/v1/sessions", &[("authorization", &good)]).await;
    assert_eq!(within_deadline("an answer", connection.answer_of(known)).await, Answered::Ok);
    for _ in 0..300 {
        connection.ask("POST", "/v1/login", &[JSON]).await;
    }
    let further = connection.ask("GET", "/v1/info", &[]).await;
    assert_eq!(within_deadline("an answer", connection.answer_of(further)).await, Answered::Ok);
}

#[tokio::test]
async fn strangers_take_a_part_of_the_calls_and_others_are_served() {
    let imd = limited_to(Transport::Rest, |settings| settings.limits.calls = 100).await;
    let phone = imd.user_with_phone("ann").await;
    let good = format!("Bearer {}", phone.token);
    let mut strangers = connect(&imd, WINDOW).await;
    for _ in 0..25 {
        strangers.ask("POST", "/v1/login", &[JSON]).await;
    }
    within_deadline("all is read", strangers.is_read()).await;
    let refused = eventually("a refusal", async || imd.api.info().await.err()).await;
    assert_eq!(refused.code, "overloaded");
    let mut known = connect(&imd, WINDOW).await;
    let call = known.ask("GET", "/v1/sessions", &[("authorization", &good)]).await;
    assert_eq!(within_deadline("an answer", known.answer_of(call)).await, Answered::Ok);
    drop(strangers);
    eventually("there is room again", async || imd.api.info().await.ok()).await;
}

#[tokio::test]
async fn an_address_takes_a_part_of_what_strangers_may_take() {
    let imd = limited_to(Transport::Rest, |settings| {
        settings.limits.calls = 160;
        settings.trusted_proxies = "127.0.0.1".to_owned().try_into().expect("an address");
    })
    .await;
    let mut strangers = connect(&imd, WINDOW).await;
    let from = |address| [JSON, ("x-forwarded-for", address)];
    for _ in 0..10 {
        strangers.ask("POST", "/v1/login", &from("192.0.2.1")).await;
    }
    let another = strangers.ask("GET", "/v1/info", &from("192.0.2.1")).await;
    let refused = within_deadline("an answer", strangers.answer_of(another)).await;
    assert_eq!(refused, Answered::Refused);
    let elsewhere = strangers.ask("GET", "/v1/info", &from("192.0.2.2")).await;
    let answered = within_deadline("an answer", strangers.answer_of(elsewhere)).await;
    assert_eq!(answered, Answered::Ok);
}

#[tokio::test]
async fn a_connection_that_leaves_much_unread_gets_no_more() {
    let least = |settings: &mut Settings| settings.limits.unread_bytes = 1024 * 1024;
    let imd = limited_to(Transport::Rest, least).await;
    let before = counted(&imd, "unread_bytes").await;
    let mut lazy = connect(&imd, 0).await;
    for _ in 0..50 {
        lazy.ask("GET", "/openapi.json", &[]).await;
    }
    let answers = within_deadline("answers", lazy.answers(50)).await;
    let given = answers.iter().filter(|answer| **answer == Answered::Ok).count();
    assert!((1..50).contains(&given), "{given}");
    assert_eq!(counted(&imd, "unread_bytes").await, before + 50 - given as u64);
    // Others get theirs, and small answers go on.
    let mut another = connect(&imd, WINDOW).await;
    let call = another.ask("GET", "/openapi.json", &[]).await;
    assert_eq!(within_deadline("an answer", another.answer_of(call)).await, Answered::Ok);
    let call = lazy.ask("GET", "/v1/info", &[]).await;
    assert_eq!(within_deadline("an answer", lazy.answer_of(call)).await, Answered::Ok);
}

fn impatient(settings: &mut Settings) {
    settings.limits.call_timeout = Duration::from_secs(1);
}

#[tokio::test]
async fn an_answer_that_nobody_takes_ends() {
    let imd = limited_to(Transport::Rest, impatient).await;
    let before = counted(&imd, "call_timeout").await;
    let mut lazy = connect(&imd, 0).await;
    let call = lazy.ask("GET", "/openapi.json", &[]).await;
    assert_eq!(within_deadline("an answer", lazy.answer_of(call)).await, Answered::Ok);
    let end = within_deadline("its end", lazy.answer_of(call)).await;
    assert_eq!(end, Answered::Reset(CANCEL));
    assert!(counted(&imd, "call_timeout").await > before);
    let call = lazy.ask("GET", "/v1/info", &[]).await;
    assert_eq!(within_deadline("an answer", lazy.answer_of(call)).await, Answered::Ok);
}

#[tokio::test]
async fn an_answer_over_http1_that_nobody_takes_ends_the_connection() {
    const CALLS: usize = 400;
    let imd = limited_to(Transport::Rest, impatient).await;
    let before = counted(&imd, "call_timeout").await;
    let socket = TcpSocket::new_v4().expect("a socket");
    // The system would take some tens of megabytes for a client that does not read.
    socket.set_recv_buffer_size(64 * 1024).expect("a size");
    let mut lazy = socket.connect(imd.node.public_address()).await.expect("a connection");
    let calls = "GET /openapi.json HTTP/1.1\r\nhost: imd\r\n\r\n".repeat(CALLS);
    lazy.write_all(calls.as_bytes()).await.expect("it is there");
    // Not the count, which is that of all nodes of this process: the end that the client sees.
    eventually("the end", async || lazy.write_all(b"G").await.err()).await;
    assert!(counted(&imd, "call_timeout").await > before);
    let mut read = Vec::new();
    let _ = within_deadline("the end", lazy.read_to_end(&mut read)).await;
    // The document is larger than that.
    assert!(read.len() < CALLS * 50_000, "{} bytes", read.len());
}
