//! A provider of the tests' own: an HTTP server that says what it is told to, and keeps what it gets.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

use crate::support::within_deadline;

/// How long nothing may come where nothing is to come.
const SILENCE: Duration = Duration::from_secs(1);

/// A request that a provider got.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) path: String,
    /// By names in lower case.
    pub(super) headers: HashMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Got {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// The token of the terminal, and what it is told.
    pub(super) fn told(&self) -> (String, Value) {
        let mut body = self.json();
        (body["token"].as_str().expect("a token").to_owned(), body["notification"].take())
    }
}

pub(super) struct Provider {
    pub(super) url: String,
    /// The next answers: a status, and headers. Then 201.
    answers: Arc<Mutex<VecDeque<String>>>,
    got: mpsc::UnboundedReceiver<Got>,
}

impl Provider {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (tell, got) = mpsc::unbounded_channel();
        let answers: Arc<Mutex<VecDeque<String>>> = Arc::default();
        let next = answers.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, next.clone(), tell.clone()));
            }
        });
        Self { url, answers, got }
    }

    /// Has it answer so, once: a status line without the version, and headers that end in `\r\n`.
    pub(super) fn answers(&self, answer: &str) {
        self.answers.lock().expect("no panic").push_back(answer.to_owned());
    }

    /// The next request.
    pub(super) async fn next(&mut self) -> Got {
        within_deadline("a request to the provider", self.got.recv()).await.expect("it runs")
    }

    /// The next `count` requests, by token.
    pub(super) async fn told(&mut self, count: usize) -> Vec<(String, Value)> {
        let mut told = Vec::with_capacity(count);
        for _ in 0..count {
            told.push(self.next().await.told());
        }
        told.sort_by(|one, other| one.0.cmp(&other.0));
        told
    }

    /// Panics when something comes in a while.
    pub(super) async fn gets_nothing(&mut self) {
        let got = timeout(SILENCE, self.got.recv()).await;
        assert!(got.is_err(), "{got:?}");
    }
}

async fn serve(
    mut stream: TcpStream,
    answers: Arc<Mutex<VecDeque<String>>>,
    tell: mpsc::UnboundedSender<Got>,
) {
    let mut bytes = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let head = String::from_utf8(bytes[..end].to_vec()).expect("ASCII");
        let mut lines = head.lines();
        let path = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a path").to_owned();
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_lowercase(), value.trim().to_owned()))
        };
        let headers: HashMap<String, String> = lines.filter_map(header).collect();
        let length: usize = headers["content-length"].parse().expect("a length");
        while bytes.len() < end + length {
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let body = bytes[end..end + length].to_vec();
        bytes.drain(..end + length);
        let answer = answers.lock().expect("no panic").pop_front();
        let answer = answer.unwrap_or_else(|| "201 Created\r\n".to_owned());
        let _ = tell.send(Got { path, headers, body });
        let answer = format!("HTTP/1.1 {answer}content-length: 0\r\n\r\n");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
