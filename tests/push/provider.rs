//! A provider of the tests' own: an HTTP server that says what it is told to, and keeps what it gets.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, Version},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc, time::timeout};

use crate::support::within_deadline;

/// How long nothing may come where nothing is to come.
const SILENCE: Duration = Duration::from_secs(1);

/// A request that a provider got.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) path: String,
    pub(super) version: Version,
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

/// What a provider says: a status, headers, and JSON.
type Answer = (StatusCode, HeaderMap, Value);

/// What the server and the test share.
#[derive(Clone)]
struct Shared {
    /// The next answers to requests that end so; where there are none, 201.
    answers: Arc<Mutex<VecDeque<(&'static str, Answer)>>>,
    tell: mpsc::UnboundedSender<Got>,
}

pub(super) struct Provider {
    pub(super) url: String,
    shared: Shared,
    got: mpsc::UnboundedReceiver<Got>,
}

impl Provider {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (tell, got) = mpsc::unbounded_channel();
        let shared = Shared { answers: Arc::default(), tell };
        let app = Router::new().fallback(serve).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, shared, got }
    }

    /// Has it answer so, once.
    pub(super) fn answers(&self, status: u16, headers: &[(&'static str, &str)]) {
        self.answers_at("", status, headers, Value::Null);
    }

    /// Has it answer so, once, to a request whose path ends so.
    pub(super) fn answers_at(
        &self,
        end: &'static str,
        status: u16,
        headers: &[(&'static str, &str)],
        body: Value,
    ) {
        let header = |(name, value): &(&'static str, &str)| {
            let value = HeaderValue::from_str(value).expect("a value");
            (HeaderName::from_static(name), value)
        };
        let status = StatusCode::from_u16(status).expect("a status");
        let answer = (status, headers.iter().map(header).collect(), body);
        self.shared.answers.lock().expect("no panic").push_back((end, answer));
    }

    /// The next request, whenever it comes.
    pub(super) async fn next_of_all(&mut self) -> Option<Got> {
        self.got.recv().await
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
        if let Ok(Some(got)) = got {
            panic!("{got:?}: {}", String::from_utf8_lossy(&got.body));
        }
    }
}

async fn serve(
    State(shared): State<Shared>,
    version: Version,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().to_owned();
    let answer = {
        let mut answers = shared.answers.lock().expect("no panic");
        let at = answers.iter().position(|(end, _)| path.ends_with(end));
        at.and_then(|at| answers.remove(at))
    };
    let header = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.to_string(), value.to_str().expect("ASCII").to_owned())
    };
    let headers = headers.iter().map(header).collect();
    let _ = shared.tell.send(Got { path, version, headers, body: body.to_vec() });
    let (status, headers, body) =
        answer.map_or((StatusCode::CREATED, HeaderMap::new(), json!({})), |(_, answer)| answer);
    (status, headers, Json(body)).into_response()
}
