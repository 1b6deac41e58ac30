//! The result, for people and for programs.

use std::{
    fmt::{Display, Formatter},
    time::Duration,
};

use indicatif::HumanCount;
use serde::Serialize;

use super::{IdleArgs, database::Activity};
use crate::commands::bench::{args::Transport, measure::per_second};

/// What was seen during the rest.
pub(super) struct Resting {
    pub(super) time: Duration,
    /// Seconds of processor time that the server used.
    pub(super) cpu: f64,
    /// What the database had done before and after.
    pub(super) database: Option<(Activity, Activity)>,
}

/// The result. Memory is in bytes.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    servers: Vec<String>,
    transport: Transport,
    users: u32,
    terminals: u32,
    /// How many users each terminal watches.
    watched: u16,
    /// How long it took to open all of them.
    opening_seconds: f64,
    memory_before: f64,
    memory_after: f64,
    memory_per_terminal: f64,
    rest_seconds: f64,
    /// How much of a core the server used during the rest.
    server_cores: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<DatabaseReport>,
}

/// What the database did during the rest.
#[derive(Debug, Serialize)]
struct DatabaseReport {
    transactions_per_second: f64,
    rows_read_per_second: f64,
    rows_written_per_second: f64,
    /// How many of its connections were at work, on the average.
    active_connections: f64,
}

impl Report {
    pub(super) fn new(
        args: &IdleArgs,
        opening: Duration,
        before: f64,
        after: f64,
        resting: &Resting,
    ) -> Self {
        let seconds = resting.time.as_secs_f64();
        Self {
            servers: args.target.names(),
            transport: args.target.transport,
            users: args.users,
            terminals: args.all_terminals(),
            watched: args.watch,
            opening_seconds: opening.as_secs_f64(),
            memory_before: before,
            memory_after: after,
            memory_per_terminal: (after - before) / f64::from(args.all_terminals()),
            rest_seconds: seconds,
            server_cores: resting.cpu / seconds,
            database: resting
                .database
                .map(|(before, after)| DatabaseReport::new(before, after, resting.time)),
        }
    }
}

impl DatabaseReport {
    fn new(before: Activity, after: Activity, time: Duration) -> Self {
        let rate = |before: i64, after: i64| {
            per_second(u64::try_from(after - before).unwrap_or_default(), time)
        };
        Self {
            transactions_per_second: rate(before.transactions, after.transactions),
            rows_read_per_second: rate(before.rows_read, after.rows_read),
            rows_written_per_second: rate(before.rows_written, after.rows_written),
            active_connections: after.active.saturating_sub(before.active).div_duration_f64(time),
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let transport = match self.transport {
            Transport::Grpc => "gRPC",
            Transport::Websocket => "WebSocket",
            Transport::Sse => "REST and SSE",
        };
        writeln!(
            f,
            "{} terminals of {} users, {transport}, a connection each, opened in {:.1} s\n",
            HumanCount(self.terminals.into()),
            HumanCount(self.users.into()),
            self.opening_seconds
        )?;
        writeln!(
            f,
            "server memory     {:.1} KiB a terminal ({} before, {} with them)",
            self.memory_per_terminal / 1024.0,
            mebibytes(self.memory_before),
            mebibytes(self.memory_after)
        )?;
        write!(
            f,
            "server at rest    {:.3} cores, over {:.0} s",
            self.server_cores, self.rest_seconds
        )?;
        let Some(database) = &self.database else { return Ok(()) };
        write!(
            f,
            "\ndatabase at rest  {:.1} transactions, {:.1} rows read, {:.1} rows written a second, \
             {:.3} connections at work",
            database.transactions_per_second,
            database.rows_read_per_second,
            database.rows_written_per_second,
            database.active_connections
        )
    }
}

fn mebibytes(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / (1024.0 * 1024.0))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        idle: IdleArgs,
    }

    fn report(with_database: bool) -> Report {
        let args = ["idle", "--users", "250", "--public-server", "http://127.0.0.1:8080"];
        let args = Line::try_parse_from(args).expect("good arguments").idle;
        let activity = |transactions, rows, active| Activity {
            transactions,
            rows_read: rows,
            rows_written: rows / 2,
            active: Duration::from_millis(active),
        };
        let resting = Resting {
            time: Duration::from_mins(1),
            cpu: 0.3,
            database: with_database.then(|| (activity(500, 100, 40), activity(620, 220, 100))),
        };
        Report::new(&args, Duration::from_millis(1_234), 50_331_648.0, 70_811_648.0, &resting)
    }

    #[test]
    fn people_see_what_a_terminal_costs() {
        insta::assert_snapshot!(report(true));
    }

    #[test]
    fn programs_see_bytes_and_rates() {
        insta::assert_json_snapshot!(report(true));
    }

    #[test]
    fn without_a_database_nothing_is_said_of_it() {
        let report = report(false);
        assert!(!report.to_string().contains("database"));
        let json = serde_json::to_value(&report).expect("it is plain data");
        assert!(json.get("database").is_none());
    }
}
