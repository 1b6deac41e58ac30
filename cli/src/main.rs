//! `imctl`: the admin tool of imd.
//!
//! Arguments are parsed first and acted on later; the process ends in this file alone.

mod admin_key;
mod args;
mod client;
mod clock;
mod commands;
mod completion;
mod confirm;
mod destination;
mod error;
mod interrupt;
mod jq;
mod output;
mod paging;
mod password;
mod profile;
mod progress;
mod prompt;
mod trust;
mod watch;

use std::{io, process::ExitCode};

use clap::{CommandFactory as _, FromArgMatches as _};
use clap_complete::CompleteEnv;

use crate::{args::Cli, error::Error};

fn main() -> ExitCode {
    // Asked by a shell, it answers and ends here.
    CompleteEnv::with_factory(completion::command).var(completion::VARIABLE).complete();
    run()
}

#[tokio::main(flavor = "current_thread")]
async fn run() -> ExitCode {
    let matches = match Cli::command().try_get_matches() {
        Ok(matches) => matches,
        Err(wrong) => return usage(&wrong),
    };
    let interval = watch::interval(&matches);
    if let Some(filter) = jq::filter(&matches) {
        output::filter_by(filter);
    }
    let mut seen = false;
    loop {
        let cli = match Cli::from_arg_matches(&matches) {
            Ok(cli) => cli,
            Err(wrong) => return usage(&wrong),
        };
        if interval.is_some() {
            output::clear();
        }
        // Boxed: it is as large as the largest command.
        let done = Box::pin(commands::run(cli)).await;
        match (done, interval) {
            (Ok(()), None) => return ExitCode::SUCCESS,
            (Ok(()), Some(_)) => seen = true,
            // The reader has seen enough: `imctl audit | head`.
            (Err(Error::Output(cause)), _) if cause.kind() == io::ErrorKind::BrokenPipe => {
                return ExitCode::SUCCESS;
            }
            // The server may come back.
            (Err(error @ Error::Unreachable { .. }), Some(_)) if seen => output::error(&error),
            (Err(error), _) => {
                output::error(&error);
                return ExitCode::from(error.exit_code());
            }
        }
        tokio::time::sleep(interval.unwrap_or_default()).await;
    }
}

/// `--help` comes this way too. Whether anyone reads it to the end is not our business.
fn usage(wrong: &clap::Error) -> ExitCode {
    let _ = wrong.print();
    ExitCode::from(u8::try_from(wrong.exit_code()).unwrap_or(error::USAGE))
}
