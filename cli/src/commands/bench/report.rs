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
    baseline::Figures,
    cpu::Usage,
    measure::{Counts, Latencies, Measured, Results, per_second},
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
    /// The same for messages to users alone and for messages to groups alone, in a load with groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    to_users: Option<Part>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_groups: Option<Part>,
    cpu: CpuReport,
    #[serde(flatten)]
    tallies: Tallies,
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline: Option<BaselineReport>,
    pub(super) violation_count: usize,
    pub(super) violations: Vec<String>,
}

/// How the run was set up.
#[derive(Debug, Serialize)]
pub(super) struct Settings {
    pub(super) servers: Vec<String>,
    pub(super) transport: Transport,
    pub(super) connections: u32,
    pub(super) users: u32,
    pub(super) terminals: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) groups: Option<GroupSettings>,
    pub(super) outstanding: u32,
    pub(super) rate: Option<u32>,
    pub(super) body_size: u32,
    pub(super) hot_user: bool,
    /// Typing signals a second beside the messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) signals: Option<u32>,
    /// The provider of push that each user's other terminal is told by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) away: Option<String>,
    pub(super) warmup_seconds: f64,
    pub(super) duration_seconds: f64,
    pub(super) seed: u64,
}

/// The groups of the run.
#[derive(Debug, Serialize)]
pub(super) struct GroupSettings {
    pub(super) count: u32,
    /// Members of each.
    pub(super) size: u32,
    /// How many of a hundred messages went to groups.
    pub(super) share_percent: u8,
}

/// What became of the messages of one kind.
#[derive(Debug, Serialize)]
struct Part {
    messages: u64,
    messages_per_second: f64,
    ack: Percentiles,
    delivery: Percentiles,
}

/// Processor time in the window.
#[derive(Debug, Serialize)]
struct CpuReport {
    /// The node behind the admin listener.
    server: CpuTime,
    /// All processes of the database's server; none where these are not on this machine, or no database
    /// was given.
    postgresql: Option<CpuTime>,
    /// The load generator.
    generator: CpuTime,
}

#[derive(Debug, Serialize)]
struct CpuTime {
    /// How many cores were in use, on the average.
    cores: f64,
    /// Microseconds of one core for each complete message.
    us_per_message: f64,
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
struct BaselineReport {
    #[serde(skip_serializing_if = "Option::is_none")]
    one_by_one: Option<OneByOne>,
    batched: Batches,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<Commit>,
}

#[derive(Debug, Serialize)]
struct OneByOne {
    before: f64,
    after: f64,
    /// imd's rate by the mean of both.
    imd_share: f64,
}

/// Batches such as imd made in this run, measured after it, and the fan-outs to groups' members.
#[derive(Debug, Serialize)]
struct Batches {
    connections: usize,
    messages: usize,
    rate: f64,
    /// References that members of groups got.
    references_per_second: f64,
    imd_share: f64,
}

#[derive(Debug, Serialize)]
struct Commit {
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
        usage: Usage,
        violations: &[Violation],
        baseline: Option<Figures>,
    ) -> Self {
        let throughput = results.throughput();
        let members = settings.groups.as_ref().map_or(0, |groups| u64::from(groups.size));
        let copies = 2 * results.to_users.messages + members * results.to_groups.messages;
        let deliveries = u64::from(settings.terminals) * copies;
        let part = |measured| settings.groups.as_ref().map(|_| Part::of(measured, results.window));
        let body = u64::from(settings.body_size);
        let mut shown: Vec<String> =
            violations.iter().take(VIOLATIONS_KEPT).map(ToString::to_string).collect();
        let mut violation_count = violations.len();
        if counts.repeated > 0 {
            shown.push(format!("{} entries came a second time", counts.repeated));
            violation_count += 1;
        }
        Self {
            messages: results.all.messages,
            messages_per_second: throughput,
            deliveries_per_second: per_second(deliveries, results.window),
            sent_bytes: body * counts.sent,
            delivered_bytes: body * counts.deliveries,
            ack: Percentiles::of(&results.all.ack),
            delivery: Percentiles::of(&results.all.delivery),
            to_users: part(&results.to_users),
            to_groups: part(&results.to_groups),
            cpu: CpuReport::new(usage, throughput),
            tallies: counts.into(),
            baseline: baseline.map(|figures| BaselineReport::new(figures, results)),
            violation_count,
            violations: shown,
            settings,
        }
    }
}

impl Part {
    fn of(measured: &Measured, window: Duration) -> Self {
        Self {
            messages: measured.messages,
            messages_per_second: per_second(measured.messages, window),
            ack: Percentiles::of(&measured.ack),
            delivery: Percentiles::of(&measured.delivery),
        }
    }
}

impl CpuReport {
    fn new(Usage { server, postgres, generator }: Usage, messages_per_second: f64) -> Self {
        let time = |cores: f64| CpuTime {
            cores: round(cores),
            us_per_message: round(1_000_000.0 * cores / messages_per_second.max(f64::MIN_POSITIVE)),
        };
        Self { server: time(server), postgresql: postgres.map(time), generator: time(generator) }
    }
}

/// To three decimals.
fn round(figure: f64) -> f64 {
    (1_000.0 * figure).round() / 1_000.0
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

impl BaselineReport {
    fn new(Figures { singles, batched }: Figures, results: &Results) -> Self {
        let throughput = results.throughput();
        let commits = singles.and_then(|(before, after)| before.commit.zip(after.commit));
        let commit = commits.map(|(before, after)| {
            let ratio = |imd: &Latencies| (2 * imd.quantile(0.5)).div_duration_f64(before + after);
            Commit {
                before_p50_ms: milliseconds(before),
                after_p50_ms: milliseconds(after),
                imd_ack_ratio: ratio(&results.all.ack),
                imd_delivery_ratio: ratio(&results.all.delivery),
            }
        });
        Self {
            one_by_one: singles.map(|(before, after)| OneByOne {
                before: before.rate,
                after: after.rate,
                imd_share: throughput * 2.0 / (before.rate + after.rate),
            }),
            batched: Batches {
                connections: batched.shape.lanes,
                messages: batched.shape.size,
                rate: batched.rate,
                references_per_second: batched.references,
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
        let mut row = |what: &str, percentiles: &Percentiles| {
            let cells = percentiles.cells().map(|ms| format!("{ms:.2}"));
            table.add_row([what.to_owned()].into_iter().chain(cells));
        };
        row("acknowledged", &self.ack);
        row("everywhere", &self.delivery);
        for (whom, part) in [("users", &self.to_users), ("groups", &self.to_groups)] {
            if let Some(part) = part.as_ref().filter(|part| part.ack.count > 0) {
                row(&format!("to {whom}: acknowledged"), &part.ack);
                row(&format!("to {whom}: everywhere"), &part.delivery);
            }
        }
        writeln!(f, "{}\n", finish(table))?;
        writeln!(f, "{}\n", self.cpu)?;
        if let Some(baseline) = &self.baseline {
            writeln!(f, "{baseline}\n")?;
        }
        writeln!(f, "{tallies}")?;
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
            Transport::Websocket => "WebSocket".to_owned(),
            Transport::Sse => "REST and SSE".to_owned(),
        };
        let groups = self.groups.as_ref().map_or_else(String::new, |groups| {
            let GroupSettings { count, size, share_percent } = groups;
            format!(", {share_percent} % to {count} groups of {size}")
        });
        write!(
            f,
            "{users} users × {terminals} terminals{hot}{groups}, {load}, {body_size}-byte messages, {transport}, \
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

impl Display for CpuReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let mut table = table(["processor time", "CORES", "US PER MESSAGE"]);
        let rows = [
            ("imd", Some(&self.server)),
            ("PostgreSQL", self.postgresql.as_ref()),
            ("load generator", Some(&self.generator)),
        ];
        for (what, time) in rows {
            let cells = match time {
                Some(time) => [format!("{:.2}", time.cores), format!("{:.1}", time.us_per_message)],
                None => ["not local".to_owned(), String::new()],
            };
            table.add_row([what.to_owned()].into_iter().chain(cells));
        }
        f.write_str(&finish(table))
    }
}

impl Display for BaselineReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let mut table = table(["PostgreSQL alone", "BEFORE", "AFTER", "IMD"]);
        let Self { one_by_one, batched, commit } = self;
        if let Some(one_by_one) = one_by_one {
            table.add_row([
                "one transaction a message, 4 connections".to_owned(),
                format!("{:.0}/s", one_by_one.before),
                format!("{:.0}/s", one_by_one.after),
                format!("{:.0} %", 100.0 * one_by_one.imd_share),
            ]);
        }
        let Batches { connections, messages, rate, imd_share, .. } = batched;
        let plural = if *connections == 1 { "" } else { "s" };
        let fan_out = if batched.references_per_second > 0.0 { ", and fan-out" } else { "" };
        table.add_row([
            format!(
                "batches of {messages} as imd made them, {connections} connection{plural}{fan_out}"
            ),
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
