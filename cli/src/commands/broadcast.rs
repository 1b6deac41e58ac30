//! `imctl broadcast`

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, Subcommand, ValueEnum};
use comfy_table::{Cell, Color};
use imd_proto::v1::{
    AbortBroadcastRequest, AdminSender, Broadcast, BroadcastAudience, BroadcastState,
    BroadcastUsers, CreateBroadcastRequest, GetBroadcastRequest, ListBroadcastsRequest,
    PauseBroadcastRequest, ResumeBroadcastRequest, admin_sender::From as Sender,
    broadcast_audience::To, create_broadcast_request::Content,
};
use serde::Serialize;
use time::OffsetDateTime;
use tokio::time::sleep;
use tonic::{Response, Status};
use uuid::Uuid;

use crate::{
    client::Admin,
    clock,
    error::Error,
    output::{self, OutputArgs, Row, WatchedOutput},
    paging::LimitArgs,
    progress,
};

/// How often a broadcast is looked at that is being sent.
const LOOK: Duration = Duration::from_millis(500);

/// `imctl broadcast …`
#[derive(Debug, Subcommand)]
pub(crate) enum BroadcastCommand {
    /// Send a text to all users, to those of a tier, or to those of a file
    #[command(after_help = "\
It is sent by the nodes, to each user once, whether this command goes on or not; with a progress
bar until it is done, unless --detach is given. The same --id makes no second one.

Examples:
  imctl broadcast send 'We are back at 8' --system news --all
  imctl broadcast send 'New in your plan' --system news --tier premium --rate 500
  imctl broadcast send 'Your order is late' --system orders --users late.txt --detach")]
    Send(SendArgs),
    /// List the broadcasts of the last 90 days, the newest first
    List {
        /// Only in this state
        #[arg(long, value_enum)]
        state: Option<StateArg>,
        /// Only broadcasts made since then: a time (2026-11-23T07:30:00Z), a date, or how long ago (30d)
        #[arg(long, value_name = "TIME", value_parser = clock::since)]
        since: Option<OffsetDateTime>,
        #[command(flatten)]
        limit: LimitArgs,
        #[command(flatten)]
        output: WatchedOutput,
    },
    /// Show a broadcast and how far it is
    Show(OneArgs),
    /// Have a broadcast wait
    Pause(OneArgs),
    /// Have a broadcast go on that waits
    Resume(OneArgs),
    /// Have a broadcast be sent to nobody else
    Abort(OneArgs),
}

/// A state to filter by.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum StateArg {
    Running,
    Paused,
    Done,
    Aborted,
}

impl From<StateArg> for BroadcastState {
    fn from(state: StateArg) -> Self {
        match state {
            StateArg::Running => Self::Running,
            StateArg::Paused => Self::Paused,
            StateArg::Done => Self::Done,
            StateArg::Aborted => Self::Aborted,
        }
    }
}

/// A broadcast, and how to print it.
#[derive(Debug, Args)]
pub(crate) struct OneArgs {
    /// Its id
    #[arg(value_name = "BROADCAST")]
    broadcast: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `imctl broadcast send`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option")]
pub(crate) struct SendArgs {
    /// What it says
    #[arg(value_name = "TEXT")]
    text: String,
    #[command(flatten)]
    from: FromArgs,
    #[command(flatten)]
    to: ToArgs,
    /// How many users a second it is sent to at most [default: as many as can be]
    #[arg(long, value_name = "USERS", default_value_t = 0, hide_default_value = true)]
    rate: i32,
    /// Have terminals show it without a sound
    #[arg(long)]
    silent: bool,
    /// Have terminals without a stream not be pushed for it
    #[arg(long)]
    no_push: bool,
    /// Send it also to who blocks the sender or takes messages from contacts alone
    #[arg(long)]
    bypass: bool,
    /// A UUID for it, so that it can be sent again without being doubled [default: a new one]
    #[arg(long, value_name = "UUID")]
    id: Option<Uuid>,
    /// Do not wait until it is done
    #[arg(long)]
    detach: bool,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct FromArgs {
    /// Send it as the system, under this name
    #[arg(long, value_name = "NAME")]
    system: Option<String>,
    /// Send it as this user
    #[arg(long, value_name = "USER")]
    user: Option<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct ToArgs {
    /// To all users who may log in
    #[arg(long)]
    all: bool,
    /// To those of them who are of this tier
    #[arg(long, value_name = "TIER")]
    tier: Option<String>,
    /// To the users of a file, an id on each line; - is stdin
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
}

/// Runs one of the commands.
pub(crate) async fn run(command: BroadcastCommand, admin: &mut Admin) -> Result<(), Error> {
    match command {
        BroadcastCommand::Send(args) => send(args, admin).await,
        BroadcastCommand::List { state, since, limit, output } => {
            let state = state.map_or(BroadcastState::Unspecified, BroadcastState::from);
            let broadcasts = limit
                .collect(async |page_size, page_token| {
                    let request = ListBroadcastsRequest {
                        state: state.into(),
                        since: since.map(clock::timestamp),
                        page_size,
                        page_token,
                    };
                    let answer = admin.calls.list_broadcasts(request).await;
                    let page = said(admin, answer)?;
                    Ok((page.broadcasts, page.next_page_token))
                })
                .await?;
            let views: Vec<BroadcastView> = broadcasts.into_iter().map(Into::into).collect();
            let is_whole = state == BroadcastState::Unspecified && since.is_none();
            let none = if is_whole { "there are no broadcasts" } else { "no broadcast matches" };
            output::list(&views, output.output, none)
        }
        BroadcastCommand::Show(OneArgs { broadcast, output }) => {
            show(get(admin, broadcast).await?, &output)
        }
        BroadcastCommand::Pause(OneArgs { broadcast: broadcast_id, output }) => {
            let answer = admin.calls.pause_broadcast(PauseBroadcastRequest { broadcast_id }).await;
            show(said(admin, answer)?.broadcast, &output)
        }
        BroadcastCommand::Resume(OneArgs { broadcast: broadcast_id, output }) => {
            let request = ResumeBroadcastRequest { broadcast_id };
            let answer = admin.calls.resume_broadcast(request).await;
            show(said(admin, answer)?.broadcast, &output)
        }
        BroadcastCommand::Abort(OneArgs { broadcast: broadcast_id, output }) => {
            let answer = admin.calls.abort_broadcast(AbortBroadcastRequest { broadcast_id }).await;
            show(said(admin, answer)?.broadcast, &output)
        }
    }
}

async fn send(args: SendArgs, admin: &mut Admin) -> Result<(), Error> {
    let SendArgs { text, from, to, rate, silent, no_push, bypass, id, detach, output } = args;
    let from = match (from.system, from.user) {
        (Some(name), _) => Some(Sender::System(name)),
        (None, user_id) => user_id.map(Sender::UserId),
    };
    let to = match (to.tier, to.users) {
        (Some(tier), _) => To::Tier(tier),
        (None, Some(file)) => To::Users(BroadcastUsers { user_ids: ids_of(&file)? }),
        (None, None) => To::All(to.all),
    };
    let broadcast_id = id.unwrap_or_else(Uuid::new_v4).to_string();
    let request = CreateBroadcastRequest {
        broadcast_id: broadcast_id.clone(),
        from: Some(AdminSender { from }),
        to: Some(BroadcastAudience { to: Some(to) }),
        content: Some(Content::Text(text)),
        silent,
        no_push,
        bypass,
        rate,
    };
    let answer = admin.calls.create_broadcast(request).await;
    let mut broadcast = said(admin, answer)?.broadcast.unwrap_or_default();
    if !detach {
        output::note(&format!(
            "broadcast {broadcast_id} is being sent, also when this is broken off; to end it: imctl broadcast abort {broadcast_id}"
        ));
        let bar = progress::bar("users", usize::try_from(broadcast.total).unwrap_or_default());
        while broadcast.state() == BroadcastState::Running {
            sleep(LOOK).await;
            broadcast = get(admin, broadcast_id.clone()).await?.unwrap_or_default();
            bar.set_position((broadcast.sent + broadcast.refused).unsigned_abs());
        }
        bar.finish_and_clear();
    }
    show(Some(broadcast), &output)
}

/// The ids in a file: one on each line, empty lines left out.
fn ids_of(file: &Path) -> Result<Vec<String>, Error> {
    let text = if file == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(file)
    };
    let text = text.map_err(|error| Error::Usage(format!("{}: {error}", file.display())))?;
    let ids = text.lines().map(str::trim).filter(|id| !id.is_empty());
    Ok(ids.map(str::to_owned).collect())
}

async fn get(admin: &mut Admin, broadcast_id: String) -> Result<Option<Broadcast>, Error> {
    let answer = admin.calls.get_broadcast(GetBroadcastRequest { broadcast_id }).await;
    Ok(said(admin, answer)?.broadcast)
}

fn said<T>(admin: &Admin, answer: Result<Response<T>, Status>) -> Result<T, Error> {
    Ok(answer.map_err(|status| admin.failure(status))?.into_inner())
}

fn show(broadcast: Option<Broadcast>, output: &OutputArgs) -> Result<(), Error> {
    output::one(&BroadcastView::from(broadcast.unwrap_or_default()), output.output)
}

#[derive(Debug, Serialize)]
struct BroadcastView {
    broadcast_id: String,
    state: &'static str,
    /// `system:` or `user:`, and an id.
    from: String,
    /// `all`, `tier:` and a name, or `users`.
    to: String,
    total: i64,
    sent: i64,
    refused: i64,
    /// How many were refused, by the code of the error.
    refusals: BTreeMap<String, i64>,
    rate: i32,
    silent: bool,
    no_push: bool,
    bypass: bool,
    created_by: String,
    #[serde(with = "time::serde::rfc3339::option")]
    created_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    finished_at: Option<OffsetDateTime>,
}

impl From<Broadcast> for BroadcastView {
    fn from(broadcast: Broadcast) -> Self {
        let state = match broadcast.state() {
            BroadcastState::Unspecified => "unknown",
            BroadcastState::Running => "running",
            BroadcastState::Paused => "paused",
            BroadcastState::Done => "done",
            BroadcastState::Aborted => "aborted",
        };
        let from = match broadcast.from.and_then(|from| from.from) {
            Some(Sender::System(name)) => format!("system:{name}"),
            Some(Sender::UserId(user_id)) => format!("user:{user_id}"),
            None => String::new(),
        };
        let to = match broadcast.to.and_then(|to| to.to) {
            Some(To::All(_)) => "all".to_owned(),
            Some(To::Tier(tier)) => format!("tier:{tier}"),
            Some(To::Users(_)) => "users".to_owned(),
            None => String::new(),
        };
        Self {
            broadcast_id: broadcast.broadcast_id,
            state,
            from,
            to,
            total: broadcast.total,
            sent: broadcast.sent,
            refused: broadcast.refused,
            refusals: broadcast.refusals.into_iter().collect(),
            rate: broadcast.rate,
            silent: broadcast.silent,
            no_push: broadcast.no_push,
            bypass: broadcast.bypass,
            created_by: broadcast.created_by,
            created_at: clock::time(broadcast.created_at),
            finished_at: clock::time(broadcast.finished_at),
        }
    }
}

impl Row for BroadcastView {
    const COLUMNS: &[&str] = &[
        "BROADCAST",
        "STATE",
        "FROM",
        "TO",
        "USERS",
        "SENT",
        "REFUSED",
        "CREATED",
        "RATE",
        "WHY REFUSED",
        "BY",
    ];
    const NARROW: usize = 8;
    const CUT: &[&str] = &["FROM"];

    fn cells(&self, now: OffsetDateTime) -> Vec<Cell> {
        let state = match self.state {
            "running" => Cell::new(self.state).fg(Color::DarkGreen),
            "aborted" => Cell::new(self.state).fg(Color::DarkRed),
            state => Cell::new(state),
        };
        let refusals = self.refusals.iter().map(|(code, count)| format!("{code} {count}"));
        let rate = if self.rate == 0 { "-".to_owned() } else { format!("{}/s", self.rate) };
        vec![
            Cell::new(&self.broadcast_id),
            state,
            output::text(&self.from),
            output::text(&self.to),
            Cell::new(self.total),
            Cell::new(self.sent),
            Cell::new(self.refused),
            Cell::new(clock::ago(self.created_at, now)),
            Cell::new(rate),
            output::text(&refusals.collect::<Vec<_>>().join(", ")),
            output::text(&self.created_by),
        ]
    }
}
