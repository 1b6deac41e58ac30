//! Input drawn at random, put before parsers as strangers reach them: over the wire. Whatever comes, the
//! answer is a refusal in words or a success, and the node goes on.
//!
//! Each test draws for two seconds. `IMD_FUZZ_SECONDS` makes it go on for so long, and `IMD_FUZZ_SEED` draws
//! what another run has drawn; a failure says the seed. What a function can be asked is in `parsers`, for
//! which `PROPTEST_CASES` says how often.

use std::{
    env,
    time::{Duration, Instant},
};

use fastrand::Rng;
use serde_json::{Map, Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{
    api::Transport,
    cluster::Cluster,
    issuer::{Issuer, asserted},
    process::{DataFolder, binary, in_time},
    socket::Socket,
    within_deadline,
};

/// What draws, and until when.
struct Draw {
    rng: Rng,
    until: Instant,
}

impl Draw {
    fn start() -> Self {
        let number = |name| env::var(name).map(|text| text.parse().expect("a number"));
        let seed = number("IMD_FUZZ_SEED").unwrap_or_else(|_| fastrand::u64(..));
        println!("IMD_FUZZ_SEED={seed}");
        let seconds = number("IMD_FUZZ_SECONDS").unwrap_or(2);
        Self { rng: Rng::with_seed(seed), until: Instant::now() + Duration::from_secs(seconds) }
    }

    fn goes_on(&self) -> bool {
        Instant::now() < self.until
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.rng.usize(..of.len())]
    }

    /// Any JSON, not deeper than so many levels, with names that a parser knows.
    fn json(&mut self, depth: u8, names: &[&str]) -> Value {
        match self.rng.u8(..if depth == 0 { 6 } else { 8 }) {
            0 => Value::Null,
            1 => self.rng.bool().into(),
            2 => self.rng.i64(..).into(),
            3 => json!(self.rng.f64() * 10_f64.powi(self.rng.i32(-300..300))),
            4 => self.text().into(),
            5 => self.one(names).into(),
            6 => (0..self.rng.usize(..4)).map(|_| self.json(depth - 1, names)).collect(),
            _ => {
                let members = 0..self.rng.usize(..4);
                let member = |_| (self.one(names).to_owned(), self.json(depth - 1, names));
                Value::Object(members.map(member).collect())
            }
        }
    }

    fn text(&mut self) -> String {
        let length = 1_usize << self.rng.u32(..9);
        (0..self.rng.usize(..length)).map(|_| self.rng.char(..)).collect()
    }

    /// A good text in which bytes are changed, cut or repeated.
    fn near(&mut self, good: &str) -> Vec<u8> {
        let mut bytes = good.as_bytes().to_vec();
        for _ in 0..self.rng.usize(1..4) {
            let (from, to) = (self.rng.usize(..=bytes.len()), self.rng.usize(..=bytes.len()));
            let (from, to) = (from.min(to), from.max(to));
            match self.rng.u8(..4) {
                0 => bytes.truncate(to),
                1 => drop(bytes.drain(from..to)),
                2 => bytes.extend_from_within(from..to),
                _ if from < bytes.len() => bytes[from] = self.rng.u8(..),
                _ => bytes.push(self.rng.u8(..)),
            }
        }
        bytes
    }

    /// A good object in which members are changed, or one is added or taken out.
    fn near_object(&mut self, good: &Value, names: &[&str]) -> Value {
        let mut members: Map<String, Value> = good.as_object().expect("an object").clone();
        for _ in 0..self.rng.usize(1..3) {
            let name = self.one(names).to_owned();
            if self.rng.u8(..4) == 0 {
                members.remove(&name);
            } else {
                members.insert(name, self.json(2, names));
            }
        }
        members.into()
    }
}

/// The names in the frames of a client.
const FRAMES: [&str; 14] = [
    "authenticate",
    "access_token",
    "subscribe",
    "after",
    "last",
    "send",
    "to",
    "user_id",
    "client_message_id",
    "text",
    "content_type",
    "data",
    "ping",
    "now",
];

#[tokio::test]
async fn frames_of_any_kind_are_answered() {
    let mut draw = Draw::start();
    let imd = Cluster::start(Transport::WebSocket).await;
    let ann = imd.user_with_phone("ann").await;
    let send = json!({
        "to": { "user_id": "ann" },
        "client_message_id": "4a7be2a2-64a3-4a59-8f5d-2f6d1c9a6f10",
        "text": "a note",
    });
    while draw.goes_on() {
        let mut socket = Socket::open_as(imd.node.public_address(), &ann.token).await;
        // A server may end a connection that breaks the protocol; it may not leave it without an answer.
        for _ in 0..draw.rng.usize(1..20) {
            let frame = match draw.rng.u8(..4) {
                0 => Message::text(draw.json(3, &FRAMES).to_string()),
                1 => Message::text(json!({ "send": draw.near_object(&send, &FRAMES) }).to_string()),
                2 => {
                    let near = draw.near(&json!({ "send": send }).to_string());
                    Message::text(String::from_utf8_lossy(&near).into_owned())
                }
                _ => Message::binary(draw.near("{\"subscribe\":{}}")),
            };
            if socket.say_raw(frame).await.is_err() {
                break;
            }
        }
        let _ = socket.say_raw(Message::Close(None)).await;
        within_deadline("the end", async { while socket.next().await.is_some() {} }).await;
    }
    ann.say("ann", "it still serves").await;
}

/// Behind the handshake, where a client masks what it says and counts what it sends.
#[tokio::test]
async fn bytes_of_any_kind_over_a_websocket_end_it_at_most() {
    const HANDSHAKE: &str = "GET /v1/ws HTTP/1.1\r\nhost: imd\r\nconnection: upgrade\r\n\
        upgrade: websocket\r\nsec-websocket-version: 13\r\n\
        sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    let mut draw = Draw::start();
    let imd = Cluster::start(Transport::WebSocket).await;
    let ann = imd.user_with_phone("ann").await;
    while draw.goes_on() {
        let mut socket = TcpStream::connect(imd.node.public_address()).await.expect("a connection");
        socket.write_all(HANDSHAKE.as_bytes()).await.expect("it listens");
        // A text in one frame, masked by zeros.
        let mut bytes = vec![0x81, 0x80 | 0x0c, 0, 0, 0, 0];
        bytes.extend(b"{\"ping\": {}}");
        for _ in 0..draw.rng.usize(1..8) {
            let place = draw.rng.usize(..bytes.len());
            match draw.rng.u8(..3) {
                0 => bytes[place] = draw.rng.u8(..),
                1 => bytes.truncate(place.max(1)),
                _ => bytes.extend_from_within(place..),
            }
        }
        // It may have ended it before all was written.
        let _ = socket.write_all(&bytes).await;
        let _ = socket.shutdown().await;
        let mut answer = Vec::new();
        let _ = within_deadline("the end", socket.read_to_end(&mut answer)).await;
        assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    }
    ann.say("ann", "it still serves").await;
}

#[tokio::test]
async fn tokens_of_any_kind_are_refused() {
    let mut draw = Draw::start();
    let imd = Cluster::start(Transport::Rest).await;
    let ann = imd.user_with_phone("ann").await;
    // What can stand in a header.
    let near = |draw: &mut Draw, good: &str| -> String {
        let near = draw.near(good).into_iter().map(char::from);
        near.map(|any| if any.is_ascii_graphic() { any } else { '_' }).collect()
    };
    while draw.goes_on() {
        let access = near(&mut draw, &ann.token);
        if access != ann.token {
            let refused = imd.api.sessions(&access).await.expect_err("no token");
            assert_eq!(refused.code, "invalid_token", "{access}");
        }
        let refresh = near(&mut draw, &ann.refresh_token);
        if refresh != ann.refresh_token {
            let refused = imd.api.refresh(&refresh).await.expect_err("no token");
            let is_refusal = ["invalid_token", "invalid_argument"].contains(&&*refused.code);
            assert!(is_refusal, "{refresh}: {refused:?}");
        }
    }
    ann.say("ann", "the right ones are good all the same").await;
}

#[tokio::test]
async fn claims_of_any_kind_open_a_session_or_are_refused() {
    const CLAIMS: [&str; 10] =
        ["iss", "aud", "sub", "iat", "exp", "nbf", "jti", "name", "tier", "terminal_type"];
    let mut draw = Draw::start();
    let imd = Cluster::start(Transport::Rest).await;
    let issuer = Issuer::trusted_by(&imd);
    while draw.goes_on() {
        let claims = draw.near_object(&issuer.claims("ann"), &CLAIMS);
        let assertion = match draw.rng.u8(..3) {
            0 => String::from_utf8_lossy(&draw.near(&issuer.key.sign(&claims))).into_owned(),
            _ => issuer.key.sign(&claims),
        };
        if let Err(refused) = imd.api.login(&asserted(assertion, "phone", "p")).await {
            let is_refusal =
                ["invalid_assertion", "invalid_argument", "rate_limited", "overloaded"];
            assert!(is_refusal.contains(&&*refused.code), "{claims}: {refused:?}");
        }
    }
    // Not ann: some of what was drawn has logged her in, more often than a user may.
    let good = asserted(issuer.vouch("ben"), "phone", "p");
    imd.try_log_in(&good).await.expect("the issuer is trusted all the same");
}

#[tokio::test]
async fn cursors_and_page_tokens_of_any_kind_are_taken_or_refused() {
    let mut draw = Draw::start();
    let imd = Cluster::start(Transport::Rest).await;
    let ann = imd.user_with_phone("ann").await;
    for n in 0..3 {
        ann.say("ann", &format!("note {n}")).await;
    }
    let page = ann.history("ann", 1, "").await.expect("a page").next_page_token;
    let cursor = ann.timeline().await.pop().expect("an entry").cursor;
    while draw.goes_on() {
        let near =
            |draw: &mut Draw, good: &str| String::from_utf8_lossy(&draw.near(good)).into_owned();
        let token = near(&mut draw, &page);
        if let Err(refused) = ann.history("ann", 1, &token).await {
            assert_eq!(refused.detail("field"), "page_token", "{token:?}: {refused:?}");
        }
        // The client takes what stands before an equals sign for the name of a parameter.
        let after = near(&mut draw, &cursor).replace('=', ".");
        if let Err(refused) = ann.pull(&after).await {
            assert_eq!(refused.detail("field"), "after", "{after:?}: {refused:?}");
        }
    }
}

#[tokio::test]
async fn lines_of_an_import_of_any_kind_are_taken_or_refused() {
    const MEMBERS: [&str; 9] = [
        "sent_at",
        "sender_id",
        "recipient_id",
        "client_message_id",
        "text",
        "content_type",
        "data",
        "message_id",
        "seq",
    ];
    let mut draw = Draw::start();
    let folder = DataFolder::new();
    let imd = folder.start().await;
    let good = json!({
        "sent_at": "2026-01-01T00:00:00Z",
        "sender_id": "ann",
        "recipient_id": "ben",
        "client_message_id": "4a7be2a2-64a3-4a59-8f5d-2f6d1c9a6f10",
        "text": "Hello",
    });
    while draw.goes_on() {
        let mut lines = Vec::new();
        for _ in 0..draw.rng.usize(1..5) {
            lines.extend(match draw.rng.u8(..3) {
                0 => draw.near(&good.to_string()),
                1 => draw.json(2, &MEMBERS).to_string().into_bytes(),
                _ => draw.near_object(&good, &MEMBERS).to_string().into_bytes(),
            });
            lines.push(b'\n');
        }
        let mut import = Command::new(binary("imctl"))
            .args(["messages", "import", "-", "--create-users"])
            .env("IMCTL_SERVER", format!("http://{}", imd.admin))
            .env("IMCTL_ADMIN_KEY", std::fs::read_to_string(&imd.admin_key).expect("a key").trim())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("imctl runs");
        // It may end before it has read all.
        let _ = import.stdin.take().expect("piped").write_all(&lines).await;
        let ended = in_time("imctl ends", import.wait_with_output()).await.expect("a status");
        let said = String::from_utf8_lossy(&ended.stderr);
        let shown = String::from_utf8_lossy(&lines);
        assert!(matches!(ended.status.code(), Some(0..=2)), "{shown}: {said}");
        assert!(!said.contains("panicked") && !said.contains("internal"), "{shown}: {said}");
        assert!(ended.status.success() || !said.is_empty(), "{shown}");
    }
    assert!(
        !imd.log().contains("panicked") && !imd.log().contains("internal error"),
        "{}",
        imd.log()
    );
}
