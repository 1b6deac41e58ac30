//! The arguments.

use std::path::PathBuf;

use clap::Args;
use secrecy::SecretString;

use crate::commands::bench::args::Target;

/// Arguments of `imctl bench roaming`.
#[derive(Debug, Args)]
#[command(after_help = "\
Fills the timelines of a few users of its own straight into imd's database, which takes its time for
many entries, and reads them as clients do, over one connection. These users, bench-small and the like,
stay with their timelines, so that the next run need not fill them: imctl users delete removes them.

Examples:
  imctl bench roaming --database \"$(imd config | sed -n 's/.*runs: //p')\"
  imctl bench roaming --entries 10000000 --json -")]
pub(crate) struct RoamingArgs {
    #[command(flatten)]
    pub(in crate::commands::bench) target: Target,
    /// imd's database
    #[arg(long, value_name = "URL", env = "IMCTL_BENCH_DATABASE", hide_env_values = true)]
    pub(super) database: SecretString,
    /// How many entries the large timelines have
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(10_000..=100_000_000))]
    pub(super) entries: u32,
    /// Write the result as JSON to a file, or with - to stdout in place of the table
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
}
