//! `imctl timelines`

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use imd_proto::v1::{
    Entry, StartEpochRequest, StartEpochResponse, TailTimelineRequest, entry::Kind, message,
    start_epoch_request::Whose,
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::events::seconds;
use crate::{client::Admin, clock, confirm::ConfirmArgs, error::Error, output, progress};

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
    /// Watch the entries that a user's timeline gets, from now on; leaves an audit record
    #[command(after_help = "\
Whoever watches is no terminal of the user: presence, push and the limits of terminals do not change. What entries say is \
shown with --json alone.

Examples:
  imctl timeline tail ann
  imctl timeline tail ann --for 10m --json --reason 'ticket 4711'")]
    Tail(TailArgs),
}

/// Arguments of `imctl timelines tail`.
#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// Whose
    #[arg(value_name = "USER")]
    user_id: String,
    /// Stop after so long
    #[arg(long = "for", value_name = "TIME", value_parser = clock::some_time)]
    lasts: Option<Duration>,
    /// Print a JSON object a line, with what messages say
    #[arg(long)]
    json: bool,
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
        TimelinesCommand::Tail(args) => tail(args, admin).await,
    }
}

async fn tail(args: TailArgs, admin: &mut Admin) -> Result<(), Error> {
    let request = TailTimelineRequest { user_id: args.user_id, seconds: seconds(args.lasts) };
    let answer = admin.calls.tail_timeline(request).await;
    let mut entries = answer.map_err(|status| admin.failure(status))?.into_inner();
    output::note("watching");
    while let Some(next) = entries.message().await.map_err(|status| admin.failure(status))? {
        let entry = next.entry.unwrap_or_default();
        if args.json {
            output::json_line(&json(&entry))?;
        } else {
            output::print(output::printable(&line(&entry)))?;
        }
    }
    Ok(())
}

/// When, where and what, without what it says.
fn line(entry: &Entry) -> String {
    let at = clock::time(entry.appended_at).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (hour, minute, second) = at.to_hms();
    let what = match &entry.kind {
        Some(Kind::Message(message)) => format!(
            "message {} from {} in {}",
            message.message_id, message.sender_id, message.conversation_id
        ),
        Some(kind) => name(kind),
        None => "an entry of a kind that this imctl does not know".to_owned(),
    };
    format!("{hour:02}:{minute:02}:{second:02} UTC  {}  {what}", entry.seq)
}

/// The name of a kind, as its type has it.
fn name(kind: &Kind) -> String {
    let written = format!("{kind:?}");
    let name = written.split(['(', ' ', '{']).next().unwrap_or_default();
    let mut words = String::new();
    for character in name.chars() {
        if character.is_uppercase() && !words.is_empty() {
            words.push('_');
        }
        words.extend(character.to_lowercase());
    }
    words
}

fn json(entry: &Entry) -> serde_json::Value {
    let at = clock::time(entry.appended_at).and_then(|at| at.format(&Rfc3339).ok());
    let mut shown =
        serde_json::json!({ "seq": entry.seq, "cursor": entry.cursor, "appended_at": at });
    let kind = entry.kind.as_ref().map(name);
    shown["kind"] = kind.into();
    if let Some(Kind::Message(message)) = &entry.kind {
        let text = match &message.content {
            Some(message::Content::Text(text)) => Some(text.clone()),
            _ => None,
        };
        shown["message"] = serde_json::json!({
            "message_id": message.message_id, "sender_id": message.sender_id,
            "conversation_id": message.conversation_id, "text": text,
        });
    }
    shown
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
