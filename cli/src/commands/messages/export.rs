//! `imctl messages export`

use std::{
    io::{self, BufWriter, Write},
    path::PathBuf,
};

use clap::Args;
use imd_proto::v1::ExportMessagesRequest;
use time::OffsetDateTime;

use super::record::Line;
use crate::{
    client::Admin,
    clock,
    destination::{self, Destination},
    error::Error,
    interrupt::unless_interrupted,
    output::{self, escaped},
    progress,
};

/// Arguments of `imctl messages export`.
#[derive(Debug, Args)]
#[command(after_help = "\
One message a line, as JSON, the oldest first: all that is stored of the user's timeline, also what
the user's tier hides, each with its edits, reactions, quote and pin. Messages that were recalled,
deleted or erased say nothing and are left out. The last line is of the user, if there is any of it: the
profile, what is set for conversations, drafts, and messages that wait to be sent.

Lines sort by time. So the exports of several users make one file for `imctl messages import`, which
takes a message that is in two of them once. Groups are exported with `imctl groups export`:
  LC_ALL=C sort --merge --stable --key=1,1 --field-separator=, *.jsonl > all.jsonl

Examples:
  imctl messages export ann -o ann.jsonl
  imctl messages export ann --since 30d | jq -r .text")]
pub(crate) struct ExportArgs {
    /// Whose timeline
    #[arg(value_name = "USER")]
    user_id: String,
    /// Only messages since then: a time (2026-11-23T07:30:00Z), a date, or how long ago (30d)
    #[arg(long, value_name = "TIME", value_parser = clock::since)]
    since: Option<OffsetDateTime>,
    /// Where to write to, instead of stdout; a file that is there keeps what it has until all has come
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes the messages of a timeline.
pub(super) async fn run(args: ExportArgs, admin: &mut Admin) -> Result<(), Error> {
    let messages = match &args.output {
        None => {
            let stdout = &mut BufWriter::new(io::stdout().lock());
            export(&args, stdout, Error::Output, admin).await?
        }
        Some(path) => {
            let mut file = Destination::open(path)?;
            let unwritable = |cause| destination::unwritable(path, &cause);
            let exported = export(&args, &mut file, unwritable, admin);
            let messages = unless_interrupted(exported).await?;
            file.finish()?;
            messages
        }
    };
    output::note(&match messages {
        1 => "1 message exported".to_owned(),
        many => format!("{many} messages exported"),
    });
    Ok(())
}

/// Writes to `file`; how many messages.
async fn export(
    args: &ExportArgs,
    file: &mut impl Write,
    unwritable: impl Fn(io::Error) -> Error,
    admin: &mut Admin,
) -> Result<u64, Error> {
    let since = args.since.map(clock::timestamp);
    let request = ExportMessagesRequest { user_id: args.user_id.clone(), since };
    let answer = admin.calls.export_messages(request).await;
    let mut steps = answer.map_err(|status| admin.failure(status))?.into_inner();
    let bar = progress::bar("messages", 0);
    let mut messages = 0;
    while let Some(step) = steps.message().await.map_err(|status| admin.failure(status))? {
        if let Some(user) = step.user {
            write_line(file, &Line::from(user)).map_err(&unwritable)?;
            continue;
        }
        let Some(message) = step.message else {
            bar.set_length(step.messages.unsigned_abs());
            continue;
        };
        write_line(file, &Line::from(message)).map_err(&unwritable)?;
        messages += 1;
        bar.set_position(messages);
    }
    file.flush().map_err(unwritable)?;
    bar.finish_and_clear();
    Ok(messages)
}

pub(in crate::commands) fn write_line(file: &mut impl Write, line: &Line) -> io::Result<()> {
    let line = escaped(&serde_json::to_string(line)?);
    writeln!(file, "{line}")
}
