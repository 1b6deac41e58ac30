//! The result, for people and for programs.

use std::{
    collections::BTreeMap,
    fmt::{Display, Formatter},
    time::Duration,
};

use comfy_table::{Cell, CellAlignment, Table, presets};
use imd_client::history::Violation;
use indicatif::HumanCount;
use serde::Serialize;

use super::{
    args::Transport,
    floor::Figures,
    measure::{Counts, Latencies, Results, per_second},
};

/// How many violations are written out; all are counted.
const VIOLATIONS_KEPT: usize = 1_000;

/// The result of a run. Times are in milliseconds, rates in messages a second.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    settings: Settings,
    /// Complete messages in the window.
    messages: u64,
    messages_per_second: f64,
    deliveries_per_second: f64,
    /// Bytes of bodies, from the first message to the last: sent, and delivered.
    sent_bytes: u64,
    delivered_bytes: u64,
    /// From the sending to the acknowledgement.
    ack: Percentiles,
    /// From the sending to the last of all terminals.
    delivery: Percentiles,
    #[serde(flatten)]
    tallies: Tallies,
    /// How much of a core the load generator used.
    client_cores: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    floor: Option<FloorReport>,
    pub(super) violation_count: usize,
    pub(super) violations: Vec<String>,
}

/// How the run was set up.
#[derive(Debug, Serialize)]
pub(super) struct Settings {
    pub(super) servers: Vec<String>,
    pub(super) transport: Transport,
    pub(super) connections: u16,
    pub(super) users: u32,
    pub(super) terminals: u8,
    pub(super) outstanding: u32,
    pub(super) rate: Option<u32>,
    pub(super) body_size: u32,
    pub(super) hot_user: bool,
    pub(super) warmup_seconds: f64,
    pub(super) duration_seconds: f64,
    pub(super) seed: u64,
}

#[derive(Debug, Serialize)]
struct Percentiles {
    count: u64,
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    p99_9_ms: f64,
    max_ms: f64,
}

/// What was counted from the first message to the last.
#[derive(Debug, Serialize)]
struct Tallies {
    sent: u64,
    deliveries: u64,
    retries: u64,
    reconnects: u64,
    unfinished: u64,
    unsent: u64,
    repeated_entries: u64,
    errors: BTreeMap<String, u64>,
}

/// What PostgreSQL did alone, and imd's share of it.
#[derive(Debug, Serialize)]
struct FloorReport {
    one_by_one: FloorRate,
    batched: FloorBatches,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<FloorCommit>,
}

#[derive(Debug, Serialize)]
struct FloorRate {
    before: f64,
    after: f64,
    /// imd's rate by the mean of both.
    imd_share: f64,
}

/// Batches such as imd made in this run, measured after it.
#[derive(Debug, Serialize)]
struct FloorBatches {
    connections: usize,
    messages: usize,
    rate: f64,
    imd_share: f64,
}

#[derive(Debug, Serialize)]
struct FloorCommit {
    before_p50_ms: f64,
    after_p50_ms: f64,
    /// imd's median acknowledgement by the mean of both.
    imd_ack_ratio: f64,
    /// The same for imd's median delivery to the last terminal.
    imd_delivery_ratio: f64,
}

impl Report {
    /// Puts it together.
    pub(super) fn new(
        settings: Settings,
        results: &Results,
        counts: Counts,
        violations: &[Violation],
        floor: Option<Figures>,
    ) -> Self {
        let throughput = results.throughput();
        let copies = 2 * u64::from(settings.terminals);
        let body = u64::from(settings.body_size);
        let mut shown: Vec<String> =
            violations.iter().take(VIOLATIONS_KEPT).map(ToString::to_string).collect();
        let mut violation_count = violations.len();
        if counts.repeated > 0 {
            shown.push(format!("{} entries came a second time", counts.repeated));
            violation_count += 1;
        }
        Self {
            messages: results.messages,
            messages_per_second: throughput,
            deliveries_per_second: per_second(copies * results.messages, results.window),
            sent_bytes: body * counts.sent,
            delivered_bytes: body * counts.deliveries,
            ack: Percentiles::of(&results.ack),
            delivery: Percentiles::of(&results.delivery),
            tallies: counts.into(),
            client_cores: results.client_cores,
            floor: floor.map(|floor| FloorReport::new(floor, results)),
            violation_count,
            violations: shown,
            settings,
        }
    }
}

impl Percentiles {
    fn of(latencies: &Latencies) -> Self {
        let at = |quantile| milliseconds(latencies.quantile(quantile));
        Self {
            count: latencies.count(),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p99_9_ms: at(0.999),
            max_ms: milliseconds(latencies.max()),
        }
    }

    fn cells(&self) -> [f64; 5] {
        [self.p50_ms, self.p90_ms, self.p99_ms, self.p99_9_ms, self.max_ms]
    }
}

impl From<Counts> for Tallies {
    fn from(counts: Counts) -> Self {
        Self {
            sent: counts.sent,
            deliveries: counts.deliveries,
            retries: counts.retries,
            reconnects: counts.reconnects,
            unfinished: counts.unfinished,
            unsent: counts.unsent,
            repeated_entries: counts.repeated,
            errors: counts.errors,
        }
    }
}

impl FloorReport {
    fn new(Figures { before, after, batched }: Figures, results: &Results) -> Self {
        let throughput = results.throughput();
        let commit = before.commit.zip(after.commit).map(|(before, after)| {
            let ratio = |imd: &Latencies| (2 * imd.quantile(0.5)).div_duration_f64(before + after);
            FloorCommit {
                before_p50_ms: milliseconds(before),
                after_p50_ms: milliseconds(after),
                imd_ack_ratio: ratio(&results.ack),
                imd_delivery_ratio: ratio(&results.delivery),
            }
        });
        Self {
            one_by_one: FloorRate {
                before: before.rate,
                after: after.rate,
                imd_share: throughput * 2.0 / (before.rate + after.rate),
            },
            batched: FloorBatches {
                connections: batched.shape.lanes,
                messages: batched.shape.size,
                rate: batched.rate,
                imd_share: throughput / batched.rate,
            },
            commit,
        }
    }
}

/// To the microsecond.
fn milliseconds(time: Duration) -> f64 {
    (1_000_000.0 * time.as_secs_f64()).round() / 1_000.0
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { settings, tallies, .. } = self;
        writeln!(f, "{settings}\n")?;
        writeln!(
            f,
            "{:.0} messages/s, {:.0} deliveries/s\n",
            self.messages_per_second, self.deliveries_per_second
        )?;
        let mut table = table(["ms", "P50", "P90", "P99", "P99.9", "MAX"]);
        for (what, percentiles) in [("acknowledged", &self.ack), ("everywhere", &self.delivery)] {
            let cells = percentiles.cells().map(|ms| format!("{ms:.2}"));
            table.add_row([what.to_owned()].into_iter().chain(cells));
        }
        writeln!(f, "{}\n", finish(table))?;
        if let Some(floor) = &self.floor {
            writeln!(f, "{floor}\n")?;
        }
        writeln!(f, "{tallies}, {:.2} cores used by the load generator", self.client_cores)?;
        write!(
            f,
            "{} messages and {} deliveries checked: {}",
            HumanCount(tallies.sent),
            HumanCount(tallies.deliveries),
            match self.violation_count {
                0 => "no violation".to_owned(),
                count => format!("{count} VIOLATIONS"),
            }
        )
    }
}

impl Display for Settings {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { users, terminals, outstanding, body_size, connections, .. } = self;
        let load = match self.rate {
            Some(rate) => format!("{rate} messages/s due"),
            None => format!("{outstanding} outstanding"),
        };
        let hot = if self.hot_user { " (all to one)" } else { "" };
        let transport = match self.transport {
            Transport::Grpc => format!("gRPC over {connections} connections"),
            Transport::Rest => "REST and SSE".to_owned(),
        };
        write!(
            f,
            "{users} users × {terminals} terminals{hot}, {load}, {body_size}-byte messages, {transport}, \
             {} s",
            self.duration_seconds
        )
    }
}

impl Display for Tallies {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        if self.errors.is_empty() {
            write!(f, "no errors")?;
        }
        for (number, (code, count)) in self.errors.iter().enumerate() {
            write!(f, "{}{code} {}", if number == 0 { "" } else { ", " }, HumanCount(*count))?;
        }
        write!(f, ", {} retries, {} reconnects", self.retries, self.reconnects)?;
        for (what, count) in [("unfinished", self.unfinished), ("due but not sent", self.unsent)] {
            if count > 0 {
                write!(f, ", {} {what}", HumanCount(count))?;
            }
        }
        Ok(())
    }
}

impl Display for FloorReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let mut table = table(["PostgreSQL alone", "BEFORE", "AFTER", "IMD"]);
        let Self { one_by_one, batched, commit } = self;
        table.add_row([
            "one transaction a message, 4 connections".to_owned(),
            format!("{:.0}/s", one_by_one.before),
            format!("{:.0}/s", one_by_one.after),
            format!("{:.0} %", 100.0 * one_by_one.imd_share),
        ]);
        let FloorBatches { connections, messages, rate, imd_share } = batched;
        let plural = if *connections == 1 { "" } else { "s" };
        table.add_row([
            format!("batches of {messages} as imd made them, {connections} connection{plural}"),
            String::new(),
            format!("{rate:.0}/s"),
            format!("{:.0} %", 100.0 * imd_share),
        ]);
        if let Some(commit) = commit {
            table.add_row([
                "one message, one connection (p50)".to_owned(),
                format!("{:.2} ms", commit.before_p50_ms),
                format!("{:.2} ms", commit.after_p50_ms),
                format!("{:.1} ×", commit.imd_delivery_ratio),
            ]);
        }
        f.write_str(&finish(table))
    }
}

fn table<const N: usize>(headings: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(headings.map(Cell::new));
    table
}

fn finish(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests;
