//! A receiver of the tests' own: an HTTP server that answers as it is told to, and keeps what it gets.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_lc_rs::hmac;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use futures::stream;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
    time::timeout,
};

use crate::support::within_deadline;

/// How long nothing may come where nothing is to come.
const SILENCE: Duration = Duration::from_secs(2);

/// How a receiver answers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    /// With a status.
    Status(u16),
    /// That it is somewhere else: at a path of its own.
    Elsewhere,
    /// Not at all.
    Nothing,
    /// That all is well, and then without an end.
    Endless,
}

/// A request that it got.
#[derive(Debug)]
pub(super) struct Got {
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Got {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(super) fn events(&self) -> Vec<Value> {
        let body: Value = serde_json::from_slice(&self.body).expect("JSON");
        body["events"].as_array().expect("events").clone()
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).expect("UTF-8")
    }

    /// How many of its signatures this secret has made, which begins with `whsec_`.
    pub(super) fn signatures_by(&self, secret: &str) -> usize {
        let secret = secret.strip_prefix("whsec_").expect("a secret");
        let secret = BASE64_STANDARD.decode(secret).expect("base64");
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let (id, timestamp) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        let signed = [format!("{id}.{timestamp}.").as_bytes(), &self.body].concat();
        let signature = format!("v1,{}", BASE64_STANDARD.encode(hmac::sign(&key, &signed)));
        self.header("webhook-signature").split(' ').filter(|found| *found == signature).count()
    }
}

#[derive(Clone)]
struct Shared {
    /// The next answers; where there are none, the usual one.
    answers: Arc<Mutex<VecDeque<Answer>>>,
    usual: Arc<Mutex<Answer>>,
    tell: mpsc::UnboundedSender<Got>,
}

pub(super) struct Receiver {
    pub(super) url: String,
    shared: Shared,
    got: mpsc::UnboundedReceiver<Got>,
    /// Events that came with others that were asked for already.
    waiting: VecDeque<Value>,
}

impl Receiver {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let (tell, got) = mpsc::unbounded_channel();
        let usual = Arc::new(Mutex::new(Answer::Status(204)));
        let shared = Shared { answers: Arc::default(), usual, tell };
        let app = Router::new().fallback(serve).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, shared, got, waiting: VecDeque::new() }
    }

    /// Has it answer so, once.
    pub(super) fn answers(&self, answer: Answer) {
        self.shared.answers.lock().expect("no panic").push_back(answer);
    }

    /// Has it answer so from now on.
    pub(super) fn always_answers(&self, answer: Answer) {
        *self.shared.usual.lock().expect("no panic") = answer;
    }

    /// The next request.
    pub(super) async fn next(&mut self) -> Got {
        let got = within_deadline("a request to the webhook", self.got.recv()).await;
        let got = got.expect("it runs");
        assert_eq!(got.path, "/hook", "no redirect is followed");
        got
    }

    /// The next event, in whichever request it comes.
    pub(super) async fn event(&mut self) -> Value {
        while self.waiting.is_empty() {
            let events = self.next().await.events();
            self.waiting.extend(events);
        }
        self.waiting.pop_front().expect("an event")
    }

    /// Waits for the next request, whose events come next.
    pub(super) async fn next_into_waiting(&mut self) {
        let events = self.next().await.events();
        self.waiting.extend(events);
    }

    /// The next event, where that may take so long.
    pub(super) async fn event_within(&mut self, patience: Duration) -> Value {
        while self.waiting.is_empty() {
            let got = timeout(patience, self.got.recv()).await.expect("an event in time");
            self.waiting.extend(got.expect("it runs").events());
        }
        self.waiting.pop_front().expect("an event")
    }

    /// The next event, which is of this kind: what it says.
    pub(super) async fn said(&mut self, kind: &str) -> Value {
        let mut event = self.event().await;
        assert_eq!(event["type"], kind, "{event}");
        event["data"].take()
    }

    /// Panics when something comes in a while.
    pub(super) async fn gets_nothing(&mut self) {
        assert!(self.waiting.is_empty(), "{:?}", self.waiting);
        let got = timeout(SILENCE, self.got.recv()).await;
        assert!(got.is_err(), "{got:?}");
    }
}

async fn serve(
    State(shared): State<Shared>,
    uri: axum::http::Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let next = shared.answers.lock().expect("no panic").pop_front();
    let answer = next.unwrap_or_else(|| *shared.usual.lock().expect("no panic"));
    let path = uri.path().to_owned();
    let _ = shared.tell.send(Got { path, headers, body });
    match answer {
        Answer::Status(status) => StatusCode::from_u16(status).expect("a status").into_response(),
        Answer::Elsewhere => {
            (StatusCode::TEMPORARY_REDIRECT, [("location", "/elsewhere")]).into_response()
        }
        Answer::Nothing => std::future::pending().await,
        Answer::Endless => {
            let chunks =
                stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 8192])));
            Body::from_stream(chunks).into_response()
        }
    }
}

/// A server that reads a request, says these bytes, and closes: its address.
pub(super) async fn says(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut read = vec![0; 64 * 1024];
            let _ = stream.read(&mut read).await;
            let _ = stream.write_all(bytes).await;
        }
    });
    address
}
