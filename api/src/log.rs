//! The log, on standard error. Writing it never fails and never panics: a line that cannot be written,
//! because the disk is full or whoever read it has gone, is dropped and counted.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{self, IsTerminal, Write},
    panic::{self, PanicHookInfo},
};

use anyhow::Context;
use metrics::counter;
use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, filter::filter_fn, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::{
    config::{Log, LogFormat},
    telemetry,
};

/// Below the level of `info` these log what passes through them: passwords, tokens, messages.
const TALKATIVE: [&str; 3] = ["async_nats", "tokio_postgres", "tungstenite"];

/// Starts the log of this process, and has panics logged and counted.
///
/// # Errors
/// A `log.level` that is none.
pub fn start(settings: &Log) -> anyhow::Result<()> {
    telemetry::start_metrics();
    let filter = EnvFilter::try_new(&settings.level).context("read log.level")?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Lossy(io::stderr()))
        .with_ansi(io::stderr().is_terminal())
        .log_internal_errors(false);
    let discreet = filter_fn(gives_nothing_away);
    match settings.format {
        LogFormat::Text => log.finish().with(discreet).init(),
        LogFormat::Json => log.json().finish().with(discreet).init(),
    }
    panic::set_hook(Box::new(note_panic));
    Ok(())
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
