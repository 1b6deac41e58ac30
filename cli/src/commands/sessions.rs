//! `imctl sessions`

mod view;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use imd_proto::v1::{
    KickSessionsRequest, ListSessionsRequest, Session, SessionState, kick_sessions_request::Which,
};
use time::OffsetDateTime;

pub(super) use self::view::{SessionView, reason_name};
use crate::{
    client::Admin,
    clock,
    error::Error,
    output::{self, Format, OutputArgs, WatchedOutput},
    paging::LimitArgs,
};

/// `imctl sessions …`
#[derive(Debug, Subcommand)]
pub(crate) enum SessionsCommand {
    /// List sessions, the newest first; without --state, the live ones
    #[command(after_help = "\
Examples:
  imctl sessions list --user ann
  imctl sessions list --terminal phone --state online -o wide
  imctl sessions list --user ann --state ended --limit 5 -o json
  imctl sessions list --since 10m")]
    List(ListArgs),
    /// End live sessions of a user; fails when there is none
    #[command(after_help = "\
Examples:
  imctl sessions kick ann --terminal phone --reason 'lost device'
  imctl sessions kick ann --session 01936e3c-8f5a-7c1e-9d0b-2f6a1c3b4d5e
  imctl sessions kick ann --all")]
    Kick(KickArgs),
}

/// Arguments of `imctl sessions list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only this user's
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only of this terminal type, such as phone
    #[arg(long, value_name = "TYPE")]
    terminal: Option<String>,
    /// Only in this state; online means live with a stream open, offline live without one
    #[arg(long, value_enum)]
    state: Option<StateArg>,
    /// Only sessions that started since then: a time (2026-11-23T07:30:00Z), a date, or how long ago (30d)
    #[arg(long, value_name = "TIME", value_parser = clock::since)]
    since: Option<OffsetDateTime>,
    #[command(flatten)]
    limit: LimitArgs,
    #[command(flatten)]
    output: WatchedOutput,
}

/// A state to filter by.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum StateArg {
    Online,
    Offline,
    Ended,
}

/// Arguments of `imctl sessions kick`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true))]
pub(crate) struct KickArgs {
    /// Whose
    #[arg(value_name = "USER")]
    user_id: String,
    /// Every session of a terminal type, such as phone
    #[arg(long, value_name = "TYPE", group = "which")]
    terminal: Option<String>,
    /// One session
    #[arg(long, value_name = "ID", group = "which")]
    session: Option<String>,
    /// Every session
    #[arg(long, group = "which")]
    all: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs one of the commands.
pub(crate) async fn run(command: SessionsCommand, admin: &mut Admin) -> Result<(), Error> {
    match command {
        SessionsCommand::List(args) => list(args, admin).await,
        SessionsCommand::Kick(args) => kick(args, admin).await,
    }
}

async fn list(args: ListArgs, admin: &mut Admin) -> Result<(), Error> {
    let state = args.state.map_or(SessionState::Unspecified, SessionState::from);
    let sessions = args
        .limit
        .collect(async |page_size, page_token| {
            let request = ListSessionsRequest {
                user_id: args.user.clone().unwrap_or_default(),
                terminal_type: args.terminal.clone().unwrap_or_default(),
                state: state.into(),
                since: args.since.map(clock::timestamp),
                page_size,
                page_token,
            };
            let answer = admin.calls.list_sessions(request).await;
            let page = answer.map_err(|status| admin.failure(status))?.into_inner();
            Ok((page.sessions, page.next_page_token))
        })
        .await?;
    let sessions: Vec<SessionView> = sessions.into_iter().map(SessionView::from).collect();
    output::list(&sessions, args.output.output, "no session matches")
}

async fn kick(args: KickArgs, admin: &mut Admin) -> Result<(), Error> {
    let which = match (args.session, args.terminal) {
        (Some(session), _) => Which::SessionId(session),
        (None, Some(terminal)) => Which::TerminalType(terminal),
        (None, None) => Which::All(args.all),
    };
    let request = KickSessionsRequest {
        user_id: args.user_id.clone(),
        note: admin.reason.clone(),
        which: Some(which),
    };
    let answer = admin.calls.kick_sessions(request).await;
    let kicked = answer.map_err(|status| admin.failure(status))?.into_inner();
    if kicked.ended.is_empty() {
        return Err(Error::NothingMatched(format!("no live session of {} matches", args.user_id)));
    }
    print_ended(&args.user_id, kicked.ended, args.output.output)
}

/// Prints the sessions that a call ended.
pub(super) fn print_ended(user_id: &str, ended: Vec<Session>, format: Format) -> Result<(), Error> {
    let ended: Vec<SessionView> =
        ended.into_iter().map(|session| SessionView::ended(user_id, session)).collect();
    output::list(&ended, format, "done; no session was live")?;
    if !ended.is_empty() {
        output::note(&match ended.len() {
            1 => "1 session ended".to_owned(),
            many => format!("{many} sessions ended"),
        });
    }
    Ok(())
}

impl From<StateArg> for SessionState {
    fn from(state: StateArg) -> Self {
        match state {
            StateArg::Online => Self::Online,
            StateArg::Offline => Self::Offline,
            StateArg::Ended => Self::Ended,
        }
    }
}
