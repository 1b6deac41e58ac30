//! `imctl messages`

pub(super) mod export;
mod import;
pub(super) mod record;
mod records;
mod search;
mod trace;

use clap::Subcommand;

use crate::{client::Admin, error::Error};

/// `imctl messages …`
#[derive(Debug, Subcommand)]
pub(crate) enum MessagesCommand {
    /// Show each timeline that a message is in, and which terminals have passed it
    Trace(trace::TraceArgs),
    /// Search the messages of a user, as the user does
    Search(search::SearchArgs),
    /// Write the messages of a user's timeline as JSON Lines
    Export(export::ExportArgs),
    /// Import messages with their own times, from another system or from exports
    Import(import::ImportArgs),
}

/// Runs one of the commands.
pub(crate) async fn run(command: MessagesCommand, admin: &mut Admin) -> Result<(), Error> {
    match command {
        MessagesCommand::Trace(args) => trace::run(args, admin).await,
        MessagesCommand::Search(args) => search::run(args, admin).await,
        MessagesCommand::Export(args) => export::run(args, admin).await,
        MessagesCommand::Import(args) => import::run(args, admin).await,
    }
}
