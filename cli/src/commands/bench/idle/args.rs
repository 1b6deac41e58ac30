//! The arguments.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use secrecy::SecretString;

use crate::{
    clock,
    commands::bench::{args::Target, fleet::Cast},
};

/// Arguments of `imctl bench idle`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each terminal logs in and follows its timeline over a TCP connection of its own. The memory is that
of the node behind the admin listener, before the first login and at the end of the rest, so that it
includes what the logins left behind. Start the node anew for it: one that was busy before has memory
to reuse. Each login costs the server a password hash.

Examples:
  imctl bench idle
  imctl bench idle --users 250 --transport sse --rest 2m --json -")]
pub(crate) struct IdleArgs {
    #[command(flatten)]
    pub(in crate::commands::bench) target: Target,
    /// How many users there are
    #[arg(long, value_name = "N", default_value_t = 2_500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) users: u32,
    /// Terminals per user, each of another type
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=4))]
    pub(super) terminals: u8,
    /// How many of the other users each terminal watches the presence of
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=500))]
    pub(super) watch: u16,
    /// How long to leave server and database alone before: their figures are some seconds late
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = clock::duration)]
    pub(super) settle: Duration,
    /// How long to watch them rest
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = clock::some_time)]
    pub(super) rest: Duration,
    /// Keep the users and their messages
    #[arg(long)]
    pub(super) keep: bool,
    /// imd's database, to measure what it does meanwhile
    #[arg(long, value_name = "URL", env = "IMCTL_BENCH_DATABASE", hide_env_values = true)]
    pub(super) database: Option<SecretString>,
    /// Write the result as JSON to a file, or with - to stdout in place of the table
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
}

impl IdleArgs {
    pub(super) fn cast(&self) -> Cast {
        Cast {
            users: self.users as usize,
            terminals: self.terminals,
            away: None,
            groups: [].into(),
        }
    }

    /// Terminals of all users together.
    pub(super) fn all_terminals(&self) -> u32 {
        self.users * u32::from(self.terminals)
    }
}
