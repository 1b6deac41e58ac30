//! `imctl`: the admin tool of imd.
//!
//! Arguments are parsed first and acted on later; the process ends in this file alone.

mod admin_key;
mod args;
mod client;
mod clock;
mod commands;
mod confirm;
mod destination;
mod error;
mod interrupt;
mod output;
mod paging;
mod password;
mod profile;
mod progress;
mod prompt;
mod trust;

use std::{io, process::ExitCode};

use clap::Parser;

use crate::{args::Cli, error::Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(wrong) => {
            // `--help` comes this way too. Whether anyone reads it to the end is not our business.
            let _ = wrong.print();
            return ExitCode::from(u8::try_from(wrong.exit_code()).unwrap_or(error::USAGE));
        }
    };
    // Boxed: it is as large as the largest command.
    match Box::pin(commands::run(cli)).await {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has seen enough: `imctl audit | head`.
        Err(Error::Output(cause)) if cause.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}
