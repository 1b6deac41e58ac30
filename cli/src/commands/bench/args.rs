//! The arguments.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand, ValueEnum};
use imd_client::{Connection, history::Marks};
use secrecy::SecretString;
use serde::Serialize;
use tonic::transport::Uri;

use super::{
    fleet::Cast,
    idle::IdleArgs,
    report,
    roaming::RoamingArgs,
    traffic::{Groups, Traffic},
};
use crate::{
    client::{display, profile_url, server_url},
    clock,
    error::Error,
    profile::Profile,
    trust::Trust,
};

/// Where imd serves its users when it is told nothing.
pub(super) const DEFAULT_SERVER: &str = "http://127.0.0.1:8080";

/// Arguments of `imctl bench`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
A message counts when every terminal of both its users, or of all members of its group, has it, the
sending one included. Without --rate the load is a closed loop of --outstanding messages. With it
messages are due at fixed times, whatever the server does, and latencies count from there. Afterwards
every timeline is checked; a violation fails the command.

The users bench-<run>-00001 … are created for it and deleted at the end, also when it fails or is
interrupted, and the groups are dissolved. Their terminals are of types that the server lets a user
have beside each other.

Examples:
  imctl bench
  imctl bench --outstanding 1 --duration 30s
  imctl bench --rate 2000 --json result.json --plot latency.svg
  imctl bench --groups 1 --group-size 100 --outstanding 1
  imctl bench --database postgresql://imd@localhost/imd --baseline
  imctl bench --public-server http://10.0.0.5:8080 --public-server http://10.0.0.6:8080
  imctl bench idle --users 2500
  imctl bench roaming"
)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    pub(super) what: Option<What>,
    #[command(flatten)]
    pub(super) load: LoadArgs,
}

/// What to measure instead of a load.
#[derive(Debug, Subcommand)]
pub(super) enum What {
    /// Open many terminals that do nothing, and measure what they cost
    Idle(IdleArgs),
    /// Read long histories, and measure what that costs
    Roaming(RoamingArgs),
}

/// Where the terminals connect, and how.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// URL of a public listener; can be repeated: the connections spread over all of them
    #[arg(
        long = "public-server",
        value_name = "URL",
        env = "IMCTL_PUBLIC_SERVER",
        hide_env_values = true,
        value_delimiter = ',',
        value_parser = server_url,
        help = format!("A public listener of imd; can be repeated, to spread the load [default: {DEFAULT_SERVER}]")
    )]
    pub(super) servers: Vec<Uri>,
    /// How the terminals talk to imd
    #[arg(long, value_enum, default_value_t = Transport::Grpc)]
    pub(super) transport: Transport,
}

/// Arguments of a load.
#[derive(Debug, Args)]
pub(super) struct LoadArgs {
    #[command(flatten)]
    pub(super) target: Target,
    /// How many users talk to each other
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub(super) users: u32,
    /// Terminals per user, each of another type
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=4))]
    pub(super) terminals: u8,
    /// The most messages under way at a time [default: 64, with --rate 4096]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) outstanding: Option<u32>,
    /// Messages a second, due at fixed times
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) rate: Option<u32>,
    /// How long to measure
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = clock::some_time)]
    pub(super) duration: Duration,
    /// How long to load before measuring
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = clock::duration)]
    pub(super) warmup: Duration,
    /// Bytes of text in each message
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(16..=1_048_576))]
    pub(super) body_size: u32,
    /// Everyone writes to the first user
    #[arg(long)]
    pub(super) hot_user: bool,
    /// Groups, made for this run
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "hot_user", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub(super) groups: u32,
    /// Members of each group, its owner included
    #[arg(long, value_name = "N", default_value_t = 100, requires = "groups", value_parser = clap::value_parser!(u32).range(2..=2_000))]
    pub(super) group_size: u32,
    /// How many of a hundred messages go to groups; the others go to users
    #[arg(long, value_name = "PERCENT", default_value_t = 100, requires = "groups", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(super) group_share: u8,
    /// Typing signals a second beside the messages, each from one user to another
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) signals: Option<u32>,
    /// Log each user in on one terminal more, which opens no stream and is told by this provider of push
    #[arg(long, value_name = "PROVIDER")]
    pub(super) away: Option<String>,
    /// HTTP/2 connections that the terminals share, with gRPC [default: one for each terminal]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(super) connections: Option<u16>,
    /// Makes the same choices of users again
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
    /// Write the result as JSON to a file, or with - to stdout in place of the table
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Draw the latencies by percentile
    #[arg(long, value_name = "FILE.svg")]
    pub(super) plot: Option<PathBuf>,
    /// Keep the users and their messages
    #[arg(long)]
    pub(super) keep: bool,
    /// imd's database: tells what PostgreSQL's processes take, where they run on this machine
    #[arg(long, value_name = "URL", env = "IMCTL_BENCH_DATABASE", hide_env_values = true)]
    pub(super) database: Option<SecretString>,
    /// Measure what the same rows cost PostgreSQL alone, in a schema of its own in imd's database
    #[arg(long, requires = "database")]
    pub(super) baseline: bool,
}

/// How terminals talk to imd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Transport {
    /// gRPC
    Grpc,
    /// A WebSocket for each terminal, which sends and receives over it
    Websocket,
    /// REST and Server-Sent Events, an HTTP/1.1 connection for each terminal and more to send on
    Sse,
}

impl Target {
    /// The servers that are asked for, or else that of the profile.
    pub(super) fn resolve(&mut self, profile: &Profile) -> Result<(), Error> {
        if self.servers.is_empty() {
            self.servers.push(match &profile.public_server {
                Some(server) => profile_url(server)?,
                None => Uri::from_static(DEFAULT_SERVER),
            });
        }
        Ok(())
    }

    /// `count` connections that begin with another server each.
    pub(super) fn connections(
        &self,
        count: usize,
        trust: &Trust,
    ) -> Result<Vec<Connection>, Error> {
        let mut servers = self.servers.clone();
        let connect = |_| {
            let connection = match (self.transport, trust.ca.as_deref()) {
                (Transport::Grpc, None) => Connection::new(&servers),
                (Transport::Grpc, Some(ca)) => Connection::with_ca(&servers, ca),
                (Transport::Websocket, _) => Connection::websocket(&servers),
                (Transport::Sse, _) => Connection::rest(&servers),
            };
            servers.rotate_left(1);
            connection.map_err(|error| Error::Usage(error.to_string()))
        };
        (0..count).map(connect).collect()
    }

    /// The servers, for the report.
    pub(super) fn names(&self) -> Vec<String> {
        self.servers.iter().map(display).collect()
    }
}

impl LoadArgs {
    pub(super) fn outstanding(&self) -> u32 {
        let default = if self.rate.is_some() { 4_096 } else { 64 };
        self.outstanding.unwrap_or(default)
    }

    /// Who writes to whom.
    pub(super) fn traffic(&self) -> Traffic {
        Traffic::new(self.users as usize, self.hot_user, self.groups(), self.seed)
    }

    /// Who is a member of which group.
    pub(super) fn groups(&self) -> Groups {
        let Self { groups, group_size, users, group_share, .. } = *self;
        let share = f64::from(group_share) / 100.0;
        Groups::new(groups as usize, group_size as usize, users as usize, share)
    }

    /// How many connections there are: one for each terminal, unless they are to share some.
    pub(super) fn connections(&self) -> u32 {
        let terminals = self.users * u32::from(self.terminals);
        self.connections.map_or(terminals, u32::from)
    }

    /// Refuses what no single argument shows to be impossible.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.groups > 0 && self.group_size > self.users {
            return Err(Error::Usage(format!(
                "--group-size {} with --users {}: a group has no more members than there are users",
                self.group_size, self.users
            )));
        }
        if self.connections.is_some() && self.target.transport != Transport::Grpc {
            let message = "--connections: only with gRPC can terminals share connections";
            return Err(Error::Usage(message.to_owned()));
        }
        Ok(())
    }

    /// Bodies of this run carry a mark of their own, so that those of another one are told apart.
    pub(super) fn marks(&self) -> Marks {
        Marks::new(fastrand::u32(..), self.body_size as usize)
    }

    /// Who takes part.
    pub(super) fn cast(&self) -> Cast {
        Cast {
            users: self.users as usize,
            terminals: self.terminals,
            away: self.away.clone(),
            groups: self.groups().members,
        }
    }

    /// What the run was, for the report.
    pub(super) fn settings(&self) -> report::Settings {
        report::Settings {
            servers: self.target.names(),
            transport: self.target.transport,
            connections: self.connections(),
            users: self.users,
            terminals: self.terminals,
            groups: (self.groups > 0).then_some(report::GroupSettings {
                count: self.groups,
                size: self.group_size,
                share_percent: self.group_share,
            }),
            outstanding: self.outstanding(),
            rate: self.rate,
            body_size: self.body_size,
            hot_user: self.hot_user,
            signals: self.signals,
            away: self.away.clone(),
            warmup_seconds: self.warmup.as_secs_f64(),
            duration_seconds: self.duration.as_secs_f64(),
            seed: self.seed,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        bench: BenchArgs,
    }

    fn parse(args: &[&str]) -> Result<LoadArgs, clap::Error> {
        Line::try_parse_from([&["bench"], args].concat()).map(|line| line.bench.load)
    }

    #[test]
    fn the_defaults_are_a_closed_loop_of_64() {
        let args = parse(&[]).expect("nothing is needed");
        assert_eq!((args.users, args.terminals, args.outstanding()), (200, 2, 64));
        assert_eq!((args.duration, args.warmup), (Duration::from_secs(10), Duration::from_secs(2)));
        assert!(args.rate.is_none());
    }

    #[test]
    fn a_rate_leaves_room_for_what_piles_up() {
        assert_eq!(parse(&["--rate", "100"]).expect("a rate").outstanding(), 4_096);
        let both = parse(&["--rate", "100", "--outstanding", "7"]).expect("both");
        assert_eq!(both.outstanding(), 7);
    }

    #[test]
    fn servers_can_be_repeated() {
        let args = parse(&["--public-server", "http://a", "--public-server", "http://b"]);
        assert_eq!(args.expect("two servers").target.servers, ["http://a", "http://b"]);
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        for args in [
            ["--users", "1"],
            ["--terminals", "5"],
            ["--outstanding", "0"],
            ["--body-size", "15"],
            ["--duration", "0s"],
            ["--rate", "0"],
            ["--connections", "0"],
            ["--group-size", "1"],
            ["--group-share", "50"],
            ["--transport", "pigeon"],
            ["--public-server", "127.0.0.1:8080"],
        ] {
            assert!(parse(&args).is_err(), "{args:?}");
        }
    }

    #[test]
    fn idling_is_no_load() {
        let idle = |args: &[&str]| Line::try_parse_from([&["bench", "idle"], args].concat());
        assert!(matches!(
            idle(&["--users", "500"]).expect("users").bench.what,
            Some(What::Idle(_))
        ));
        for args in [["--outstanding", "1"], ["--terminals", "0"], ["--rest", "0s"]] {
            assert!(idle(&args).is_err(), "{args:?}");
        }
        assert!(Line::try_parse_from(["bench", "--users", "3", "idle"]).is_err());
    }

    #[test]
    fn the_database_url_stays_out_of_debug_output() {
        let args = parse(&["--database", "postgresql://imd:hunter2@db/imd"]).expect("a URL");
        assert!(!format!("{args:?}").contains("hunter2"));
    }

    #[test]
    fn every_terminal_has_a_connection_of_its_own_unless_they_are_shared() {
        assert_eq!(parse(&[]).expect("nothing is needed").connections(), 400);
        assert_eq!(parse(&["--connections", "8"]).expect("shared").connections(), 8);
    }

    #[test]
    fn what_no_single_argument_shows_is_refused_before_the_run() {
        for args in [
            &["--connections", "8", "--transport", "sse"][..],
            &["--groups", "1", "--group-size", "300"],
        ] {
            assert!(parse(args).expect("each is good").check().is_err(), "{args:?}");
        }
        assert!(parse(&["--groups", "1", "--group-size", "200"]).expect("good").check().is_ok());
        assert!(parse(&["--baseline"]).is_err(), "without a database");
    }
}
