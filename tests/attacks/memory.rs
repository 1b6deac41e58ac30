//! What little traffic may make a node keep in memory. Each attack is aimed at a process of its own, whose
//! largest resident set is read from the operating system.

use std::{fs, time::Duration};

use futures::future::join_all;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::support::{
    api::Transport,
    http2::Http2,
    process::{DataFolder, Imd, in_time},
};

/// How many bytes an attack may cost at most.
const BOUND: u64 = 50 << 20;

/// The memory of a process since a moment.
struct Memory<'a> {
    imd: &'a Imd,
    before: u64,
}

impl<'a> Memory<'a> {
    fn watch(imd: &'a Imd) -> Self {
        // Sets the largest resident set to the present one.
        fs::write(format!("/proc/{}/clear_refs", imd.pid()), "5").expect("it is our child");
        Self { imd, before: status(imd, "VmRSS") }
    }

    /// Checks that no more has been needed than an attack may cost.
    #[track_caller]
    fn check(&self, attack: &str) {
        let (before, most) = (self.before, status(self.imd, "VmHWM"));
        let megabytes = |bytes: u64| bytes >> 20;
        println!("{attack}: {} -> {} MB", megabytes(before), megabytes(most));
        let cost = most.saturating_sub(before);
        assert!(cost <= BOUND, "{attack}: {} MB more", megabytes(cost));
    }
}

/// A size from the status of a process, in bytes.
fn status(imd: &Imd, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", imd.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a size");
    let digits: String = line.chars().filter(char::is_ascii_digit).collect();
    digits.parse::<u64>().expect("a number") * 1024
}

async fn connections(imd: &Imd, count: usize) -> Vec<Http2> {
    // What is loaded and set up with the first calls belongs to no attack.
    Transport::Rest.connect(imd.public).info().await.expect("it serves");
    join_all((0..count).map(|_| Http2::connect(imd.public, 0))).await
}

async fn assert_serves(imd: &Imd) {
    in_time("it serves", Transport::Rest.connect(imd.public).info()).await.expect("it serves");
}

#[tokio::test]
async fn logins_whose_bodies_never_come() {
    const LOGINS: usize = 9_900;
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let mut connections = connections(&imd, 10).await;
    let memory = Memory::watch(&imd);
    let json = [("content-type", "application/json")];
    let attack = connections.iter_mut().map(async |connection| {
        for _ in 0..LOGINS {
            connection.ask("POST", "/v1/login", &json).await;
        }
        connection.is_read().await;
    });
    in_time("all is read", join_all(attack)).await;
    memory.check("10 connections with 9,900 logins each that never end");
    assert_serves(&imd).await;
}

#[tokio::test]
async fn documents_that_nobody_takes() {
    const CALLS: usize = 5_000;
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let connection = &mut connections(&imd, 1).await[0];
    let memory = Memory::watch(&imd);
    for _ in 0..CALLS {
        connection.ask("GET", "/openapi.json", &[]).await;
    }
    in_time("all are answered", connection.answers(CALLS)).await;
    memory.check("5,000 calls of GET /openapi.json with a window of zero");
    assert_serves(&imd).await;
}

#[tokio::test]
async fn pages_that_nobody_takes() {
    const MESSAGES: usize = 500;
    const CALLS: usize = 300;
    let folder = DataFolder::new();
    let imd = folder.start().await;
    imd.create_users(&["ann"]).await;
    let ann = imd.log_in(Transport::Rest, "ann", "phone").await;
    ann.say_at_once("ann", (0..MESSAGES).map(|_| "x".repeat(16 * 1024))).await;
    ann.pull("").await.expect("a page");
    let bearer = format!("Bearer {}", ann.token);
    let header = [("authorization", bearer.as_str())];
    for path in ["/v1/timeline?limit=500", "/v1/conversations/user:ann/messages?page_size=200"] {
        let connection = &mut connections(&imd, 1).await[0];
        let memory = Memory::watch(&imd);
        for _ in 0..CALLS {
            connection.ask("GET", path, &header).await;
        }
        in_time("all are answered", connection.answers(CALLS)).await;
        memory.check(&format!("300 calls of GET {path} with a window of zero"));
    }
    assert_serves(&imd).await;
}

/// Opens a WebSocket and sends it pings for as long as it takes them, without reading, `most` bytes at
/// most.
async fn flood_with_pings(imd: &Imd, token: Option<&str>, most: usize) {
    let mut socket = TcpStream::connect(imd.public).await.expect("a connection");
    let token = token.map(|token| format!("authorization: Bearer {token}\r\n"));
    let handshake = format!(
        "GET /v1/ws HTTP/1.1\r\nhost: imd\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{}\r\n",
        token.unwrap_or_default()
    );
    socket.write_all(handshake.as_bytes()).await.expect("it is there");
    let mut switched = [0; 12];
    in_time("an answer", socket.read_exact(&mut switched)).await.expect("an answer");
    assert_eq!(&switched, b"HTTP/1.1 101");
    // The longest there may be, masked by zeros.
    let ping = [&[0x89, 0x80 | 0x7d, 0, 0, 0, 0][..], &[b'x'; 125]].concat();
    let pings = ping.repeat(1000);
    let until = Instant::now() + Duration::from_secs(20);
    let mut sent = 0;
    while sent < most && Instant::now() < until {
        match timeout(Duration::from_secs(1), socket.write_all(&pings)).await {
            Ok(Ok(())) => sent += pings.len(),
            Ok(Err(_)) => break,
            // It does not read on.
            Err(_) => {}
        }
    }
}

#[tokio::test]
async fn pings_whose_answers_nobody_reads() {
    const MOST: usize = 150_000_000;
    let folder = DataFolder::new();
    let imd = folder.start().await;
    imd.create_users(&["ann"]).await;
    let ann = imd.log_in(Transport::Rest, "ann", "phone").await;
    for token in [None, Some(ann.token.as_str())] {
        assert_serves(&imd).await;
        let memory = Memory::watch(&imd);
        flood_with_pings(&imd, token, MOST).await;
        memory.check("150 MB of pings");
    }
    assert_serves(&imd).await;
}

#[tokio::test]
async fn pings_without_a_limit_whose_answers_nobody_reads() {
    const MOST: usize = 50_000_000;
    let folder = DataFolder::new();
    let imd = folder.start_with(&[("IMD_LIMITS_PINGS_PER_SECOND", "0")]).await;
    imd.create_users(&["ann"]).await;
    let ann = imd.log_in(Transport::Rest, "ann", "phone").await;
    let memory = Memory::watch(&imd);
    flood_with_pings(&imd, Some(&ann.token), MOST).await;
    memory.check("50 MB of pings, limits.pings_per_second = 0");
    assert_serves(&imd).await;
}
