//! `imctl messages export`

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use imd_proto::v1::{ExportMessagesRequest, ExportMessagesResponse};
use time::OffsetDateTime;
use tonic::Streaming;

use super::record::Line;
use crate::{client::Admin, clock, error::Error, output, progress};

/// Arguments of `imctl messages export`.
#[derive(Debug, Args)]
#[command(after_help = "\
One message a line, as JSON, the oldest first: all that is stored of the user's timeline, also what
the user's tier hides. Messages that were recalled, deleted or erased say nothing and are left out.

Lines sort by time. So the exports of several users make one file for `imctl messages import`, which
takes a message that is in two of them once:
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
    /// Where to write to, instead of stdout; what is there is replaced when all has come
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes the messages of a timeline.
pub(super) async fn run(args: ExportArgs, admin: &mut Admin) -> Result<(), Error> {
    let since = args.since.map(clock::timestamp);
    let request = ExportMessagesRequest { user_id: args.user_id, since };
    let answer = admin.calls.export_messages(request).await;
    let steps = answer.map_err(|status| admin.failure(status))?.into_inner();
    let messages = match &args.output {
        None => write(steps, BufWriter::new(io::stdout().lock()), admin).await?,
        Some(path) => {
            let unwritable =
                |cause| Error::File(format!("cannot write {}: {cause}", path.display()));
            let partial = partial(path);
            let file = File::create(&partial).map_err(unwritable)?;
            let messages = write(steps, BufWriter::new(file), admin).await?;
            fs::rename(partial, path).map_err(unwritable)?;
            messages
        }
    };
    output::note(&match messages {
        1 => "1 message exported".to_owned(),
        many => format!("{many} messages exported"),
    });
    Ok(())
}

/// Where a file is written until it is whole.
fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

async fn write(
    mut steps: Streaming<ExportMessagesResponse>,
    mut file: impl Write,
    admin: &Admin,
) -> Result<u64, Error> {
    let bar = progress::bar("messages", 0);
    let mut messages = 0;
    while let Some(step) = steps.message().await.map_err(|status| admin.failure(status))? {
        let Some(message) = step.message else {
            bar.set_length(step.messages.unsigned_abs());
            continue;
        };
        serde_json::to_writer(&mut file, &Line::from(message)).map_err(io::Error::from)?;
        file.write_all(b"\n")?;
        messages += 1;
        bar.set_position(messages);
    }
    file.flush()?;
    bar.finish_and_clear();
    Ok(messages)
}
