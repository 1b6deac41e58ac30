//! A hook of the tests' own: a server that answers as it is told to, and keeps what it is asked. Over gRPC it is told in
//! the JSON of HTTP, so that both are the same to the tests.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc};

use crate::support::within_deadline;

type Rule = Arc<dyn Fn(&Value) -> Answer + Send + Sync>;

/// How the hook answers.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    Json(Value),
    Status(u16),
    /// With this text, a while later.
    Late(Duration, Value),
    Nothing,
    Text(&'static str),
}

/// How the hook is reached.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    Http,
    Grpc,
}

/// What the server and the test share.
#[derive(Clone)]
pub(super) struct Shared {
    rule: Arc<Mutex<Rule>>,
    asked: Arc<AtomicUsize>,
    tell: mpsc::UnboundedSender<(HeaderMap, Bytes)>,
}

impl Shared {
    /// Notes a request; how it is to be answered.
    pub(super) fn ask(&self, headers: HeaderMap, body: Bytes) -> Answer {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let question = serde_json::from_slice(&body).expect("JSON");
        let _ = self.tell.send((headers, body));
        let rule = self.rule.lock().expect("no panic").clone();
        rule(&question)
    }
}

pub(super) struct Hook {
    pub(super) url: String,
    shared: Shared,
    got: mpsc::UnboundedReceiver<(HeaderMap, Bytes)>,
}

impl Hook {
    /// One that allows everything.
    pub(super) async fn start(way: Way) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let url = match way {
            Way::Http => format!("http://{address}/policy"),
            Way::Grpc => format!("grpc://{address}"),
        };
        let (tell, got) = mpsc::unbounded_channel();
        let rule: Rule = Arc::new(|_| Answer::Json(json!({ "action": "allow" })));
        let shared = Shared { rule: Arc::new(Mutex::new(rule)), asked: Arc::default(), tell };
        let app = match way {
            Way::Http => Router::new().fallback(serve).with_state(shared.clone()),
            Way::Grpc => super::grpc::router(shared.clone()),
        };
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, shared, got }
    }

    pub(super) fn rule(&self, rule: impl Fn(&Value) -> Answer + Send + Sync + 'static) {
        *self.shared.rule.lock().expect("no panic") = Arc::new(rule);
    }

    /// Has it answer so to everything.
    pub(super) fn answers(&self, answer: Answer) {
        self.rule(move |_| answer.clone());
    }

    /// How often it was asked.
    pub(super) fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// The next request.
    pub(super) async fn next(&mut self) -> (HeaderMap, Bytes) {
        within_deadline("a request to the hook", self.got.recv()).await.expect("it runs")
    }

    /// What the next request asks.
    pub(super) async fn question(&mut self) -> Value {
        serde_json::from_slice(&self.next().await.1).expect("JSON")
    }
}

async fn serve(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    match shared.ask(headers, body) {
        Answer::Json(answer) => axum::Json(answer).into_response(),
        Answer::Status(status) => StatusCode::from_u16(status).expect("a status").into_response(),
        Answer::Late(pause, answer) => {
            tokio::time::sleep(pause).await;
            axum::Json(answer).into_response()
        }
        Answer::Nothing => std::future::pending().await,
        Answer::Text(text) => text.into_response(),
    }
}
