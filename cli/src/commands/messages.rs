//! `imctl messages`

mod trace;

use clap::Subcommand;

use crate::{client::Admin, error::Error};

/// `imctl messages …`
#[derive(Debug, Subcommand)]
pub(crate) enum MessagesCommand {
    /// Show each timeline that a message is in, and which terminals have passed it
    Trace(trace::TraceArgs),
}

/// Runs one of the commands.
pub(crate) async fn run(command: MessagesCommand, admin: &mut Admin) -> Result<(), Error> {
    match command {
        MessagesCommand::Trace(args) => trace::run(args, admin).await,
    }
}
