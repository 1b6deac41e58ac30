//! `imctl groups export`

use std::{
    io::{self, BufWriter, Write},
    path::PathBuf,
};

use clap::Args;
use imd_proto::v1::ExportGroupRequest;

use crate::{
    client::Admin,
    commands::messages::{export::write_line, record::Line},
    destination::{self, Destination},
    error::Error,
    interrupt::unless_interrupted,
};

/// Arguments of `imctl groups export`.
#[derive(Debug, Args)]
#[command(after_help = "\
The first line is the group with those whom it had at first, each other one somebody who came or went,
in the order of times, as far back as the group's messages are stored; the last one of a group that was
dissolved says so. What is set of the group is what holds now. Its messages are in the exports of its members: merged with these, as the help of
`imctl messages export` says, all make one file for `imctl messages import`.

Examples:
  imctl groups export oslo -o oslo.jsonl")]
pub(crate) struct ExportArgs {
    /// The group's id
    #[arg(value_name = "GROUP")]
    group_id: String,
    /// Where to write to, instead of stdout; a file that is there keeps what it has until all has come
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes the records of a group.
pub(super) async fn run(args: ExportArgs, admin: &mut Admin) -> Result<(), Error> {
    match &args.output {
        None => {
            let stdout = &mut BufWriter::new(io::stdout().lock());
            export(args.group_id, stdout, Error::Output, admin).await
        }
        Some(path) => {
            let mut file = Destination::open(path)?;
            let unwritable = |cause| destination::unwritable(path, &cause);
            let exported = export(args.group_id.clone(), &mut file, unwritable, admin);
            unless_interrupted(exported).await?;
            file.finish()
        }
    }
}

async fn export(
    group_id: String,
    file: &mut impl Write,
    unwritable: impl Fn(io::Error) -> Error,
    admin: &mut Admin,
) -> Result<(), Error> {
    let answer = admin.calls.export_group(ExportGroupRequest { group_id }).await;
    let mut records = answer.map_err(|status| admin.failure(status))?.into_inner();
    while let Some(next) = records.message().await.map_err(|status| admin.failure(status))? {
        if let Some(record) = next.record {
            write_line(file, &Line::from(record)).map_err(&unwritable)?;
        }
    }
    file.flush().map_err(unwritable)
}
