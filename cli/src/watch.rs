//! Doing the same again and again, so that somebody can watch how it changes.

use std::time::Duration;

use clap::{ArgMatches, Args};

use crate::{args::option, clock};

/// The option of what can be watched.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Print it again every so often, 2s when TIME is left out, until Ctrl-C
    #[arg(
        long,
        value_name = "TIME",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "2s",
        value_parser = clock::some_time
    )]
    #[allow(dead_code, reason = "`interval` reads it, whichever the command")]
    watch: Option<Duration>,
}

/// How often the command is to be run again; `None` for once.
pub(crate) fn interval(matches: &ArgMatches) -> Option<Duration> {
    option(matches, "watch").copied()
}
