//! `imctl terminals`

use clap::{ArgGroup, Args, Subcommand};
use comfy_table::Cell;
use imd_proto::v1::{
    DeleteTerminalTypesRequest, Expect, ListTerminalTypesRequest, SetTerminalTypesRequest,
    TerminalType,
};
use serde::Serialize;
use time::OffsetDateTime;

use crate::{
    client::Admin,
    error::Error,
    output::{self, OutputArgs, Row},
};

/// `imctl terminals …`
#[derive(Debug, Subcommand)]
pub(crate) enum TerminalsCommand {
    /// List the terminal types, their limits, and which exclude each other
    List {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Make terminal types; users can log in as one from then on, on every node
    #[command(after_help = "\
Example:
  imctl terminals create tv car --limit 1")]
    Create(CreateArgs),
    /// Change terminal types; holds from the next login on, on every node
    #[command(after_help = "\
Examples:
  imctl terminals set web --limit 5
  imctl terminals set phone pad --exclusive        a login on one ends the sessions on the other
  imctl terminals set phone pad --not-exclusive

Sessions that are live stay so; the next login makes the new rule true for its user.")]
    Set(SetArgs),
    /// Delete terminal types of which no session is live
    #[command(after_help = "\
imd makes the terminal types of its settings again when it starts: take a type out of imd.toml, too.

Example:
  imctl terminals delete tv car")]
    Delete(DeleteArgs),
}

/// Arguments of `imctl terminals create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// The new terminal types: a letter, then up to 31 of a-z 0-9 _ -
    #[arg(value_name = "TYPE", required = true)]
    names: Vec<String>,
    /// How many live sessions a user may have of each, 1 to 100
    #[arg(long, value_name = "N", default_value_t = 1)]
    limit: i32,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `imctl terminals delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The terminal types
    #[arg(value_name = "TYPE", required = true)]
    names: Vec<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `imctl terminals set`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("change").args(["limit", "exclusive", "not_exclusive"])
    .required(true).multiple(true)))]
pub(crate) struct SetArgs {
    /// The terminal types
    #[arg(value_name = "TYPE", required = true)]
    names: Vec<String>,
    /// How many live sessions a user may have of each, 1 to 100
    #[arg(long, value_name = "N")]
    limit: Option<i32>,
    /// These types, and no others, exclude each other
    #[arg(long, conflicts_with = "not_exclusive")]
    exclusive: bool,
    /// These types exclude nobody
    #[arg(long)]
    not_exclusive: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs one of the commands.
pub(crate) async fn run(command: TerminalsCommand, admin: &mut Admin) -> Result<(), Error> {
    match command {
        TerminalsCommand::List { output } => list(&output, admin).await,
        TerminalsCommand::Create(args) => create(args, admin).await,
        TerminalsCommand::Set(args) => set(args, admin).await,
        TerminalsCommand::Delete(args) => delete(args, admin).await,
    }
}

async fn list(output: &OutputArgs, admin: &mut Admin) -> Result<(), Error> {
    let answer = admin.calls.list_terminal_types(ListTerminalTypesRequest {}).await;
    let known = answer.map_err(|status| admin.failure(status))?.into_inner().terminal_types;
    print(known, output)
}

async fn create(args: CreateArgs, admin: &mut Admin) -> Result<(), Error> {
    let request = SetTerminalTypesRequest {
        names: args.names,
        session_limit: Some(args.limit),
        exclusive: None,
        expect: Expect::New.into(),
    };
    change(request, &args.output, admin).await
}

async fn set(args: SetArgs, admin: &mut Admin) -> Result<(), Error> {
    let request = SetTerminalTypesRequest {
        names: args.names,
        session_limit: args.limit,
        exclusive: (args.exclusive || args.not_exclusive).then_some(args.exclusive),
        expect: Expect::Existing.into(),
    };
    change(request, &args.output, admin).await
}

async fn change(
    request: SetTerminalTypesRequest,
    output: &OutputArgs,
    admin: &mut Admin,
) -> Result<(), Error> {
    let names = request.names.clone();
    let answer = admin.calls.set_terminal_types(request).await;
    let known = answer.map_err(|status| admin.failure(status))?.into_inner().terminal_types;
    print(known.into_iter().filter(|known| names.contains(&known.name)).collect(), output)
}

async fn delete(args: DeleteArgs, admin: &mut Admin) -> Result<(), Error> {
    let request = DeleteTerminalTypesRequest { names: args.names };
    let answer = admin.calls.delete_terminal_types(request).await;
    let left = answer.map_err(|status| admin.failure(status))?.into_inner().terminal_types;
    print(left, &args.output)
}

fn print(types: Vec<TerminalType>, output: &OutputArgs) -> Result<(), Error> {
    let types: Vec<TypeView> = types.into_iter().map(TypeView::from).collect();
    output::list(&types, output.output, "there are no terminal types")
}

#[derive(Debug, Serialize)]
struct TypeView {
    terminal_type: String,
    session_limit: i32,
    excludes: Vec<String>,
}

impl From<TerminalType> for TypeView {
    fn from(known: TerminalType) -> Self {
        Self {
            terminal_type: known.name,
            session_limit: known.session_limit,
            excludes: known.excludes,
        }
    }
}

impl Row for TypeView {
    const COLUMNS: &[&str] = &["TYPE", "LIMIT", "EXCLUDES"];
    const NARROW: usize = 3;

    fn cells(&self, _now: OffsetDateTime) -> Vec<Cell> {
        vec![
            output::text(&self.terminal_type),
            Cell::new(self.session_limit),
            output::text(&self.excludes.join(", ")),
        ]
    }
}
