//! `imctl timelines`

use clap::{ArgGroup, Args, Subcommand};
use imd_proto::v1::{StartEpochRequest, StartEpochResponse, start_epoch_request::Whose};

use crate::{client::Admin, confirm::ConfirmArgs, error::Error, output, progress};

/// `imctl timelines …`
#[derive(Debug, Subcommand)]
pub(crate) enum TimelinesCommand {
    /// Start a new numbering, for the day after a restore: every terminal starts anew
    #[command(after_help = "\
After the database was restored from a backup, terminals have entries that the timelines have
not, and the same seqs stand for others from now on. With a new epoch no old cursor is good any
more: every terminal hears `timeline_reset`, at once when it is online and else when it comes
back, drops what it has stored and reads its timeline from the floor. The server loses nothing.

When it breaks off, run it again: timelines that were done get one more new epoch.

Examples:
  imctl timelines new-epoch --all
  imctl timelines new-epoch --user ann --yes")]
    NewEpoch(NewEpochArgs),
}

/// Arguments of `imctl timelines new-epoch`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("whose").required(true))]
pub(crate) struct NewEpochArgs {
    /// Of one user's timeline
    #[arg(long, value_name = "USER", group = "whose")]
    user: Option<String>,
    /// Of every timeline
    #[arg(long, group = "whose")]
    all: bool,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// Runs one of the commands.
pub(crate) async fn run(command: TimelinesCommand, admin: &mut Admin) -> Result<(), Error> {
    match command {
        TimelinesCommand::NewEpoch(args) => new_epoch(args, admin).await,
    }
}

async fn new_epoch(args: NewEpochArgs, admin: &mut Admin) -> Result<(), Error> {
    let (terminals, whose) = match args.user {
        Some(user) => (format!("of {user}"), Whose::UserId(user)),
        None => ("there is".to_owned(), Whose::All(args.all)),
    };
    args.confirm.confirm(&format!("every terminal {terminals} will read its timeline anew"))?;
    let answer = admin.calls.start_epoch(StartEpochRequest { whose: Some(whose) }).await;
    let mut steps = answer.map_err(|status| admin.failure(status))?.into_inner();
    let bar = progress::bar("timelines", 0);
    let mut last = StartEpochResponse::default();
    while let Some(step) = steps.message().await.map_err(|status| admin.failure(status))? {
        bar.set_length(step.total.max(step.done).try_into().unwrap_or_default());
        bar.set_position(step.done.try_into().unwrap_or_default());
        last = step;
    }
    bar.finish_and_clear();
    output::print(match last.done {
        1 => "1 timeline has a new epoch".to_owned(),
        many => format!("{many} timelines have a new epoch"),
    })
}
