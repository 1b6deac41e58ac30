//! The commands, one file each.

pub(crate) mod attachments;
pub(crate) mod audit;
pub(crate) mod bench;
pub(crate) mod broadcast;
pub(crate) mod chat;
pub(crate) mod completions;
pub(crate) mod contacts;
pub(crate) mod context;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod groups;
pub(crate) mod jobs;
pub(crate) mod keys;
pub(crate) mod messages;
pub(crate) mod push;
pub(crate) mod reference;
pub(crate) mod retention;
pub(crate) mod sessions;
pub(crate) mod status;
pub(crate) mod support;
pub(crate) mod terminals;
pub(crate) mod timelines;
mod together;
pub(crate) mod top;
pub(crate) mod users;
pub(crate) mod webhooks;

use crate::{
    args::{Cli, Command, Connection},
    client::Admin,
    error::Error,
    profile::Profile,
};

/// Does what the command line says. A command that asks for a password does so once it is connected,
/// so that nobody types one only to hear that there is no server.
pub(crate) async fn run(cli: Cli) -> Result<(), Error> {
    let connection = &cli.connection;
    match cli.command {
        Command::Users(command) => users::run(command, &mut connect(connection).await?).await,
        Command::Sessions(command) => sessions::run(command, &mut connect(connection).await?).await,
        Command::Contacts(command) => contacts::run(command, &mut connect(connection).await?).await,
        Command::Groups(command) => groups::run(command, &mut connect(connection).await?).await,
        Command::Retention(command) => {
            retention::run(command, &mut connect(connection).await?).await
        }
        Command::Keys(command) => keys::run(command, &mut connect(connection).await?).await,
        Command::Jobs(command) => jobs::run(command, &mut connect(connection).await?).await,
        Command::Push(command) => push::run(command, &mut connect(connection).await?).await,
        Command::Broadcast(command) => {
            broadcast::run(command, &mut connect(connection).await?).await
        }
        Command::Webhooks(command) => webhooks::run(command, &mut connect(connection).await?).await,
        Command::Attachments(command) => {
            attachments::run(command, &mut connect(connection).await?).await
        }
        Command::Messages(command) => messages::run(command, &mut connect(connection).await?).await,
        Command::Timelines(command) => {
            timelines::run(command, &mut connect(connection).await?).await
        }
        Command::Terminals(command) => {
            terminals::run(command, &mut connect(connection).await?).await
        }
        Command::Status(args) => status::run(&args, &mut connect(connection).await?).await,
        Command::Doctor(args) => doctor::run(&args, &mut connect(connection).await?).await,
        Command::Audit(args) => audit::run(args, &mut connect(connection).await?).await,
        // Boxed: it holds many terminals.
        Command::Demo(args) => Box::pin(demo::run(args, connection)).await,
        Command::Chat(args) => Box::pin(chat::run(args, connection)).await,
        Command::Bench(args) => Box::pin(bench::run(args, connection)).await,
        Command::Top(args) => top::run(&args, &mut connect(connection).await?).await,
        Command::Events(args) => events::run(args, &mut connect(connection).await?).await,
        Command::Support(command) => support::run(command, &mut connect(connection).await?).await,
        Command::Context(command) => context::run(command, connection),
        Command::Reference(args) => reference::run(&args),
        Command::Completions(args) => completions::run(&args),
    }
}

async fn connect(connection: &Connection) -> Result<Admin, Error> {
    Admin::connect(connection, &Profile::load(connection)?).await
}
