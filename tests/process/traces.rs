//! Spans as a collector gets them over OTLP, of a message from its send on one node to its delivery on another.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::http::{HeaderMap, Uri};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value::Value,
    trace::v1::Span,
};
use reqwest::Client;
use serde_json::json;
use tokio::{
    net::TcpListener,
    sync::mpsc,
    time::{sleep, timeout},
};
use tonic::{
    Request, Response, Status, async_trait,
    transport::{Server, server::TcpIncoming},
};
use uuid::Uuid;

use crate::support::{
    DEADLINE, api::Transport, cluster::PASSWORD, postgres::Database, process::DataFolder,
    within_deadline,
};

/// How often it is looked for a span.
const PAUSE: Duration = Duration::from_millis(50);

/// A collector that keeps what it gets.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<(String, Span)>>>);

#[async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for resource in request.into_inner().resource_spans {
            let attributes = resource.resource.unwrap_or_default().attributes;
            let service = attributes.iter().find(|attribute| attribute.key == "service.name");
            let service = service.map(|of| format!("{:?}", of.value)).unwrap_or_default();
            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.0.lock().expect("no panic").extend(spans.map(|span| (service.clone(), span)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    async fn start() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let collector = Self::default();
        let service = TraceServiceServer::new(collector.clone());
        let server = Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        (collector, address)
    }

    /// Waits for a span of the trace.
    async fn span(&self, trace_id: &[u8], name: &str) -> Span {
        let found = async || {
            let spans = self.0.lock().expect("no panic");
            let of = |(_, span): &&(String, Span)| span.trace_id == trace_id && span.name == name;
            spans.iter().find(of).map(|(_, span)| span.clone())
        };
        let found = timeout(DEADLINE, async {
            loop {
                if let Some(span) = found().await {
                    return span;
                }
                sleep(PAUSE).await;
            }
        });
        found.await.unwrap_or_else(|_| panic!("no span {name} among {:?}", self.names()))
    }

    /// The names of all spans, for a failure.
    fn names(&self) -> Vec<String> {
        self.0.lock().expect("no panic").iter().map(|(_, span)| span.name.clone()).collect()
    }

    fn everything(&self) -> String {
        format!("{:?}", self.0.lock().expect("no panic"))
    }
}

/// The value of an attribute, which is a text.
fn text(span: &Span, key: &str) -> String {
    let attribute = span.attributes.iter().find(|attribute| attribute.key == key);
    match attribute.and_then(|attribute| attribute.value.clone()?.value) {
        Some(Value::StringValue(text)) => text,
        other => panic!("{key} is {other:?} in {span:?}"),
    }
}

/// A server of the customer's: it allows everything, and keeps the trace that each request is of.
async fn customer() -> (SocketAddr, mpsc::UnboundedReceiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let (got, requests) = mpsc::unbounded_channel();
    let answer = async move |uri: Uri, headers: HeaderMap| {
        let parent = headers.get("traceparent").and_then(|value| value.to_str().ok());
        let _ = got.send((uri.path().to_owned(), parent.unwrap_or_default().to_owned()));
        axum::Json(json!({ "action": "allow" }))
    };
    let app = axum::Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, requests)
}

#[tokio::test]
async fn a_message_is_one_trace_from_its_send_to_its_delivery_on_another_node() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let (collector, address) = Collector::start().await;
    let (customer, mut requests) = customer().await;
    let database = Database::create().await;
    let [endpoint, policy] = [format!("http://{address}"), format!("http://{customer}/policy")];
    let settings = [
        ("IMD_DATABASE_URL", database.url()),
        ("IMD_POLICY_URL", &policy),
        ("IMD_WEBHOOKS_ALLOW_PRIVATE", "true"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test"),
    ];
    let [first, second] = [DataFolder::new(), DataFolder::new()];
    let one = first.start_with(&settings).await;
    let far = [("OTEL_SERVICE_NAME", "far"), ("IMD_LOG_LEVEL", "warn")];
    let other = second.start_with(&[&settings[..], &far].concat()).await;
    one.create_users(&["ann", "ben"]).await;
    let hook = format!("http://{customer}/hook");
    one.admin().create_webhook(&hook, &["message.sent"]).await.expect("a webhook");
    let ann = one.log_in(Transport::Rest, "ann", "phone").await;
    let ben = other.log_in(Transport::Grpc, "ben", "phone").await;
    let mut feed = ben.follow("now").await;

    let message = json!({
        "client_message_id": Uuid::new_v4(), "to": { "user_id": "ben" }, "text": "nobody's business",
    });
    let request = Client::new().post(format!("http://{}/v1/messages", one.public));
    let request = request.bearer_auth(&ann.token).json(&message);
    let request = request.header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"));
    let answer = request.header("x-request-id", "traced").send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let sent: serde_json::Value = answer.json().await.expect("JSON");
    let message_id = sent["message_id"].as_str().expect("an id");
    assert_eq!(feed.entry().await.message().message_id, message_id);

    let trace_id = u128::from_str_radix(TRACE, 16).expect("hex").to_be_bytes();
    let call = collector.span(&trace_id, "POST /v1/messages").await;
    assert_eq!(call.parent_span_id, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
    assert_eq!(text(&call, "imd.request_id"), "traced");
    assert_eq!(text(&call, "imd.user_id"), "ann");
    let service = collector.span(&trace_id, "send").await;
    assert_eq!(service.parent_span_id, call.span_id);
    let ordered = collector.span(&trace_id, "send_in_order").await;
    assert_eq!(ordered.parent_span_id, service.span_id);
    let append = collector.span(&trace_id, "append").await;
    assert_eq!(text(&append, "imd.message_id"), message_id);
    let commit = collector.span(&trace_id, "commit").await;
    assert_eq!(commit.parent_span_id, append.span_id);
    for name in ["policy", "hint", "hint_received", "deliver", "webhook"] {
        let span = collector.span(&trace_id, name).await;
        if name != "policy" {
            assert_eq!(text(&span, "imd.message_id"), message_id, "{name}");
        }
    }
    let delivery = collector.span(&trace_id, "deliver").await;
    assert_eq!(text(&delivery, "imd.session_id"), ben.session_id());
    for path in ["/policy", "/hook"] {
        let got = within_deadline(path, async {
            loop {
                let (at, parent) = requests.recv().await.expect("the server runs");
                if at == path && !parent.is_empty() {
                    return parent;
                }
            }
        });
        assert!(got.await.starts_with(&format!("00-{TRACE}-")), "{path}");
    }
    let everything = collector.everything();
    for node in ["\"imd\"", "\"far\""] {
        let spans = collector.0.lock().expect("no panic");
        assert!(spans.iter().any(|(service, _)| service.contains(node)), "of {node}");
    }
    for secret in ["nobody's business", &ann.token, PASSWORD] {
        assert!(!everything.contains(secret), "{secret} is exported");
    }
    assert!(!one.log().contains("imd::trace"), "spans are not logged");
}

#[tokio::test]
async fn a_collector_that_is_gone_keeps_nothing_from_being_served() {
    // A port that nobody listens to any more.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let gone = listener.local_addr().expect("it is bound");
    drop(listener);
    let folder = DataFolder::new();
    let endpoint = format!("http://{gone}");
    let mut imd = folder.start_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]).await;
    imd.create_users(&["ann"]).await;
    imd.log_in(Transport::Grpc, "ann", "phone").await.say("ann", "a note").await;
    assert!(imd.end(nix::sys::signal::Signal::SIGTERM).await.success());
}

#[tokio::test]
async fn a_protocol_that_is_not_spoken_is_named() {
    let folder = DataFolder::new();
    let mut imd = folder.imd();
    imd.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
    let output =
        imd.env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json").output().await.expect("it runs");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(!output.status.success() && said.contains("OTEL_EXPORTER_OTLP_PROTOCOL"), "{said}");
}
