//! The log, on standard error. Writing it never fails and never panics: a line that cannot be written,
//! because the disk is full or whoever read it has gone, is dropped and counted.

mod folding;

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{self, IsTerminal, Write},
    panic::{self, PanicHookInfo},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context;
use metrics::counter;
use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt, filter_fn},
    fmt,
    layer::SubscriberExt,
    reload::{self, Handle},
    util::SubscriberInitExt,
};

use self::folding::Folding;
use crate::{
    config::{Log, LogFormat},
    telemetry::{self, call, trace},
};

/// Below the level of `info` these log what passes through them: passwords, tokens, messages.
const TALKATIVE: [&str; 3] = ["async_nats", "tokio_postgres", "tungstenite"];

static JSON: AtomicBool = AtomicBool::new(false);

/// What changes the level of the log that was started.
static LEVEL: OnceLock<Handle<EnvFilter, Registry>> = OnceLock::new();

/// Starts the log of this process and its traces, and has panics logged and counted. To be called within the runtime.
///
/// # Errors
/// A `log.level` that is none, or traces that cannot be exported as the environment says.
pub fn start(settings: &Log) -> anyhow::Result<()> {
    telemetry::start_metrics();
    let (filter, level) = reload::Layer::new(filter(settings)?);
    let folding = Folding::default();
    let lines = fmt::layer()
        .with_writer(|| Lossy(io::stderr()))
        .with_ansi(io::stderr().is_terminal())
        .log_internal_errors(false);
    JSON.store(settings.format == LogFormat::Json, Ordering::Relaxed);
    let lines = match settings.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    // Spans are exported and not logged.
    let filter = filter.and(filter_fn(|metadata| !trace::is_span(metadata)));
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(trace::layer()?)
        .with(filter_fn(gives_nothing_away))
        .with(folding.clone())
        .init();
    // A process has one log.
    let _ = LEVEL.set(level);
    call::log_calls(settings.access, settings.slow);
    folding.keep_telling();
    panic::set_hook(Box::new(note_panic));
    Ok(())
}

/// Whether the log has been started, with a JSON object a line: then nothing else is to be printed.
#[must_use]
pub fn is_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

/// Logs what these settings want from now on. The format stays.
///
/// # Errors
/// A `log.level` that is none; then everything stays as it was.
pub fn change(settings: &Log) -> anyhow::Result<()> {
    let filter = filter(settings)?;
    if let Some(level) = LEVEL.get() {
        level.reload(filter).context("change log.level")?;
    }
    call::log_calls(settings.access, settings.slow);
    Ok(())
}

/// Ends the traces: exports what is left of them.
pub fn stop() {
    trace::stop();
}

fn filter(settings: &Log) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(&settings.level).context("read log.level")
}

/// Whether something may be logged, whatever `log.level` says.
fn gives_nothing_away(metadata: &Metadata<'_>) -> bool {
    let talkative = TALKATIVE.iter().any(|name| metadata.target().starts_with(name));
    !talkative || *metadata.level() <= Level::INFO
}

fn note_panic(panic: &PanicHookInfo<'_>) {
    counter!(telemetry::PANICS).increment(1);
    let message = panic.payload_as_str().unwrap_or_default();
    let location = panic.location().map(ToString::to_string);
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
    tracing::error!(
        panic = message,
        location,
        backtrace = backtrace.map(|backtrace| backtrace.to_string()),
        "a panic"
    );
}

/// Takes every line, and drops those that cannot be written.
struct Lossy<W>(W);

impl<W: Write> Write for Lossy<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.write_all(line).is_err() {
            counter!(telemetry::LOG_LINES_DROPPED).increment(1);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
