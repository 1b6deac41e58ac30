//! Traces: spans of what is done for a call, from the transport over service, lane, commit, fan-out and hint to the
//! delivery, exported over OTLP.
//!
//! They are on while the environment names where they go (`OTEL_EXPORTER_OTLP_ENDPOINT`). Else the one filter that
//! would let the spans through is not there, and each is a check of a flag that the compiler has put in its place.
//!
//! A span holds ids, never what a message says, nor a token. Between tasks and nodes the [`Origin`] of an entry tells
//! of which trace it is: it is kept for a minute by the place of the entry, and travels with hints.

use std::{
    env, fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::Context as _;
use http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_TYPE};
use moka::sync::Cache;
use opentelemetry::{
    Context,
    propagation::{Extractor, TextMapPropagator},
    trace::{
        SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider,
    },
};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use serde::{Deserialize, Serialize};
use tracing::{Metadata, Span, Subscriber, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

use crate::model::{SessionId, TimelineNo};

/// The target of all spans that are exported, and of nothing else.
pub const TARGET: &str = "imd::trace";

/// How long it is known of which trace an entry is.
const KNOWN_FOR: Duration = Duration::from_mins(1);

/// Of how many entries it is known at most.
const MOST_KNOWN: u64 = 100_000;

/// How long the last spans may take to be exported when the process ends.
const LAST_EXPORT: Duration = Duration::from_secs(3);

/// Where spans go, while they go anywhere.
static EXPORT: OnceLock<Export> = OnceLock::new();

struct Export {
    provider: SdkTracerProvider,
    /// By owner and seq.
    origins: Cache<(i64, i64), Arc<Origin>>,
}

/// Of which trace an entry is, and which message it is about.
#[derive(Debug, Clone)]
pub struct Origin {
    context: SpanContext,
    message_id: String,
}

/// An [`Origin`] as nodes tell each other.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Traced {
    /// The place of the entry.
    #[serde(rename = "o")]
    pub owner: TimelineNo,
    /// The place of the entry.
    #[serde(rename = "s")]
    pub seq: i64,
    /// As W3C writes it.
    #[serde(rename = "p")]
    parent: String,
    #[serde(rename = "m")]
    message_id: String,
}

/// The most that a [`Traced`] takes, in bytes as it is encoded.
pub const TRACED: usize = 200;

/// Whether something is one of the spans that are exported.
#[must_use]
pub fn is_span(metadata: &Metadata<'_>) -> bool {
    metadata.target() == TARGET
}

/// What exports spans where the environment says; `None` when it says nothing. To be called within the runtime, once.
///
/// # Errors
/// When the environment asks for what cannot be done.
pub fn layer<S>() -> anyhow::Result<Option<Box<dyn Layer<S> + Send + Sync>>>
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    if !is_wanted() {
        return Ok(None);
    }
    for variable in ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"] {
        let protocol = variable_of(variable).unwrap_or_default();
        anyhow::ensure!(
            ["", "grpc"].contains(&protocol.as_str()),
            "{variable}: spans are exported with the protocol grpc, and not with {protocol}"
        );
    }
    let exporter = SpanExporter::builder().with_tonic().build();
    let exporter = exporter.context("export spans to OTEL_EXPORTER_OTLP_ENDPOINT")?;
    let mut resource = Resource::builder();
    let attributes = variable_of("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    if variable_of("OTEL_SERVICE_NAME").is_none() && !attributes.contains("service.name=") {
        resource = resource.with_service_name("imd");
    }
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource.with_attribute(version).build())
        .build();
    let tracer = provider.tracer("imd");
    let origins = Cache::builder().max_capacity(MOST_KNOWN).time_to_live(KNOWN_FOR).build();
    let _ = EXPORT.set(Export { provider, origins });
    let layer = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false);
    Ok(Some(layer.with_filter(filter_fn(is_span)).boxed()))
}

fn is_wanted() -> bool {
    let is = |variable: &str, value: &str| {
        variable_of(variable).is_some_and(|set| set.eq_ignore_ascii_case(value))
    };
    let endpoints = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    endpoints.into_iter().any(|variable| variable_of(variable).is_some())
        && !is("OTEL_SDK_DISABLED", "true")
        && !is("OTEL_TRACES_EXPORTER", "none")
}

fn variable_of(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether spans are exported.
#[must_use]
pub fn is_on() -> bool {
    EXPORT.get().is_some()
}

/// Exports what is left. Blocks for up to 3 s.
pub fn stop() {
    if let Some(export) = EXPORT.get()
        && let Err(error) = export.provider.shutdown_with_timeout(LAST_EXPORT)
    {
        tracing::warn!(%error, "the last spans were not exported");
    }
}

/// The span of a call, as a part of the trace that its header names.
#[must_use]
pub fn of_call(headers: &HeaderMap, method: &'static str, path: &str, request_id: &str) -> Span {
    let span = tracing::info_span!(
        target: TARGET,
        parent: None,
        "call",
        otel.name = Empty,
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = Empty,
        http.response.status_code = Empty,
        url.path = path,
        imd.request_id = request_id,
        imd.user_id = Empty,
        imd.session_id = Empty,
        imd.code = Empty,
    );
    if span.is_disabled() {
        return span;
    }
    let content_type = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if content_type.starts_with(b"application/grpc") {
        span.record("otel.name", path);
    } else {
        span.record("otel.name", method);
    }
    let parent =
        TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
    if parent.span().span_context().is_valid() {
        let _ = span.set_parent(parent);
    }
    span
}

/// The span of a request over a WebSocket.
#[must_use]
pub fn of_frame(name: &'static str, request_id: &str) -> Span {
    tracing::info_span!(
        target: TARGET,
        parent: None,
        "frame",
        otel.name = name,
        otel.kind = "server",
        otel.status_code = Empty,
        http.response.status_code = Empty,
        imd.request_id = request_id,
        imd.user_id = Empty,
        imd.session_id = Empty,
        imd.code = Empty,
    )
}

/// Notes which route the call under way has taken.
pub fn note_route(method: &http::Method, route: &str) {
    let span = Span::current();
    if !span.is_disabled() {
        span.record("http.route", route);
        // The field would only be heeded before the span has begun.
        span.context().span().update_name(format!("{method} {route}"));
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

/// The headers that make what another server does for a request a part of the trace; none while traces are off.
#[must_use]
pub fn headers_of(span: &Span) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if span.is_disabled() {
        return headers;
    }
    let context = span.context();
    let mut injected = std::collections::HashMap::new();
    TraceContextPropagator::new().inject_context(&context, &mut injected);
    for (name, value) in injected {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value))
            && !value.is_empty()
        {
            headers.insert(name, value);
        }
    }
    headers
}

/// Notes that an entry, which was appended within `span`, is about a message.
pub fn note_entry(span: &Span, owner: TimelineNo, seq: i64, message_id: impl fmt::Display) {
    let Some(export) = EXPORT.get() else { return };
    let context = span.context().span().span_context().clone();
    if context.is_valid() {
        let origin = Origin { context, message_id: message_id.to_string() };
        export.origins.insert((owner.0, seq), Arc::new(origin));
    }
}

/// Notes that an entry is of the trace of another: a reference of that of the home.
pub fn note_same(origin: Option<&Arc<Origin>>, owner: TimelineNo, seq: i64) {
    if let (Some(export), Some(origin)) = (EXPORT.get(), origin) {
        export.origins.insert((owner.0, seq), origin.clone());
    }
}

/// Of which trace an entry is, where that is known.
#[must_use]
pub fn origin(owner: TimelineNo, seq: i64) -> Option<Arc<Origin>> {
    EXPORT.get()?.origins.get(&(owner.0, seq))
}

/// What to tell another node of an entry.
#[must_use]
pub fn traced(owner: TimelineNo, seq: i64) -> Option<Traced> {
    let origin = origin(owner, seq)?;
    let Origin { context, message_id } = &*origin;
    let flags = context.trace_flags().to_u8();
    let parent = format!("{}-{}-{flags:02x}", context.trace_id(), context.span_id());
    Some(Traced { owner, seq, parent, message_id: message_id.clone() })
}

impl Traced {
    /// The same of another entry.
    #[must_use]
    pub fn at(&self, owner: TimelineNo, seq: i64) -> Self {
        Self { owner, seq, ..self.clone() }
    }

    /// Notes what another node has told.
    pub fn note(&self) -> Option<Arc<Origin>> {
        let export = EXPORT.get()?;
        let mut parts = self.parent.split('-');
        let trace_id = TraceId::from_hex(parts.next()?).ok()?;
        let span_id = SpanId::from_hex(parts.next()?).ok()?;
        let flags = u8::from_str_radix(parts.next()?, 16).ok()?;
        let flags = TraceFlags::new(flags);
        let context = SpanContext::new(trace_id, span_id, flags, true, TraceState::default());
        let origin = Arc::new(Origin { context, message_id: self.message_id.clone() });
        export.origins.insert((self.owner.0, self.seq), origin.clone());
        Some(origin)
    }
}

impl Origin {
    /// Makes a span, which has not been entered, a part of the trace.
    pub fn adopt(&self, span: &Span) {
        let _ = span.set_parent(Context::new().with_remote_span_context(self.context.clone()));
        span.record("imd.message_id", &*self.message_id);
    }
}

/// A span of something that is done for the entry at this place, if it is known of which trace that is.
pub fn note_delivery(owner: TimelineNo, seq: i64, session_id: SessionId) {
    let Some(origin) = origin(owner, seq) else { return };
    let span = tracing::info_span!(
        target: TARGET,
        parent: None,
        "deliver",
        otel.kind = "producer",
        imd.message_id = Empty,
        imd.owner = owner.0,
        imd.seq = seq,
        imd.session_id = %session_id.0,
    );
    origin.adopt(&span);
    drop(span.entered());
}

/// Makes the span of a fan-out a part of the trace of what it was for.
pub fn note_fan_out(origin: &Origin, span: &Span) {
    span.record("imd.message_id", &*origin.message_id);
    span.add_link(origin.context.clone());
}

/// The span of a hint that has come from another node.
pub fn note_hint(origin: &Origin, from: i64) {
    let span = tracing::info_span!(
        target: TARGET,
        parent: None,
        "hint_received",
        otel.kind = "consumer",
        imd.message_id = Empty,
        imd.from_node = from,
    );
    origin.adopt(&span);
    drop(span.entered());
}
