//! `imctl messages import`

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use clap::Args;
use comfy_table::Cell;
use futures::{Stream, stream};
use imd_proto::v1::{
    ImportBegin, ImportEnd, ImportMessagesRequest, ImportMessagesResponse, ImportedGroup,
    ImportedGroupDissolved, ImportedMemberChange, ImportedMessage, ImportedUser,
    import_messages_request::Step,
};
use serde::Serialize;
use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot};

use super::record::{Line, Parsed};
use crate::{
    client::Admin,
    error::Error,
    output::{self, OutputArgs, Row},
    progress,
};

/// How many lines are read ahead.
const AHEAD: usize = 64;

/// Arguments of `imctl messages import`.
#[derive(Debug, Args)]
#[command(after_help = "\
One message a line, as JSON, in the order of times:
  {\"sent_at\":\"2026-11-23T07:30:00Z\",\"sender_id\":\"ann\",\"recipient_id\":\"ben\",
   \"client_message_id\":\"4a7be2a2-64a3-4a59-8f5d-2f6d1c9a6f10\",\"text\":\"On my way\"}
or, in the place of text, \"content_type\":\"image/png\",\"data\":\"<base64>\". As `imctl messages export`
writes them, too; `message_id` and `seq` are not imported. The `client_message_id`, a UUID, says
which message of its sender it is: one that stands already is left.

A message of a group has \"group_id\" in the place of recipient_id. The group comes before it, and who
came and went later stands among the messages, as `imctl groups export` writes it:
  {\"sent_at\":\"2026-11-23T07:00:00Z\",\"group\":{\"group_id\":\"oslo\",\"name\":\"Trip to Oslo\",
   \"members\":[{\"user_id\":\"ann\",\"role\":\"OWNER\"},{\"user_id\":\"ben\"}]}}
  {\"sent_at\":\"2026-11-23T08:00:00Z\",\"group_id\":\"oslo\",\"change\":\"LEFT\",\"member\":{\"user_id\":\"ben\"}}

A message may have edits, reactions, a quote, a pin and where it was forwarded from, and a line may say
what a user shows, has set and has begun. Each is described with the docs of moving from another system.

Each message goes into the timelines of all participants, which must be empty: of users that have
neither logged in nor been written to. Until the import is finished they can do neither. When it
breaks off, run it again, with the same file or a mended one: that is what finishes it. What is
imported counts as read.

Examples:
  imctl messages import all.jsonl --create-users
  zcat all.jsonl.gz | imctl messages import -
  imctl messages import --finish      # opens what imports have left unfinished, as it is")]
pub(crate) struct ImportArgs {
    /// The file; - for stdin
    #[arg(value_name = "FILE", required_unless_present = "finish", conflicts_with = "finish")]
    file: Option<PathBuf>,
    /// Make accounts, without passwords, for participants that do not exist
    #[arg(long)]
    create_users: bool,
    /// Import nothing, and open the timelines that imports have left unfinished
    #[arg(long)]
    finish: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Imports a file.
pub(super) async fn run(args: ImportArgs, admin: &mut Admin) -> Result<(), Error> {
    let file = args.file.as_deref().map(Source::open).transpose()?;
    let bar = match file.as_ref().and_then(|file| file.bytes) {
        Some(bytes) => progress::bytes("import", bytes),
        None => progress::spinner("importing"),
    };
    let read = Arc::new(AtomicU64::new(0));
    let (steps, ahead) = mpsc::channel(AHEAD);
    let (create_users, finish_all, counted) = (args.create_users, args.finish, read.clone());
    let (failed, mut failure) = oneshot::channel();
    // A thread that nobody waits for: it may be reading from a terminal when the server has refused.
    thread::spawn(move || {
        send(Step::Begin(ImportBegin { create_users }), &steps);
        match file.map_or(Ok(()), |file| file.read(&steps, &counted)) {
            Ok(()) => send(Step::End(ImportEnd { finish_all }), &steps),
            // Said before the steps end, which the server takes for the end of the import.
            Err(error) => drop(failed.send(error)),
        }
    });
    let answer = admin.calls.import_messages(requests(ahead)).await;
    let mut answers = answer.map_err(|status| admin.failure(status))?.into_inner();
    let mut last = ImportMessagesResponse::default();
    let ended = loop {
        match answers.message().await {
            Ok(Some(answer)) => last = answer,
            Ok(None) => break Ok(()),
            Err(status) => break Err(admin.failure(status)),
        }
        bar.set_position(read.load(Ordering::Relaxed));
    };
    bar.finish_and_clear();
    // What is wrong with the file ends the import, too, and says more.
    if let Err(error) = failure.try_recv().map_or(ended, Err) {
        if last.line > 0 {
            output::note(&format!(
                "all up to line {} is imported; run it again to go on",
                last.line
            ));
        }
        return Err(error);
    }
    output::one(&ImportView::from(last), args.output.output)
}

fn requests(
    steps: mpsc::Receiver<Step>,
) -> impl Stream<Item = ImportMessagesRequest> + Send + 'static {
    stream::unfold(steps, |mut steps| async {
        let step = steps.recv().await?;
        Some((ImportMessagesRequest { step: Some(step) }, steps))
    })
}

fn step(line: i64, parsed: Parsed) -> Step {
    match parsed {
        Parsed::Message(message) => {
            Step::Message(ImportedMessage { line, message: Some(*message) })
        }
        Parsed::Group(group) => Step::Group(ImportedGroup { line, group: Some(group) }),
        Parsed::Dissolved(ended) => {
            Step::Dissolved(ImportedGroupDissolved { line, dissolved: Some(ended) })
        }
        Parsed::User(user) => Step::User(ImportedUser { line, user: Some(user) }),
        Parsed::MemberChange(change) => {
            Step::MemberChange(ImportedMemberChange { line, change: Some(change) })
        }
    }
}

/// Sends a step. When nobody takes it any more, the server has said why.
fn send(step: Step, steps: &mpsc::Sender<Step>) {
    let _ = steps.blocking_send(step);
}

/// What is imported.
struct Source {
    name: String,
    lines: Box<dyn BufRead + Send>,
    /// How much it is, where that is known.
    bytes: Option<u64>,
}

impl Source {
    fn open(path: &Path) -> Result<Self, Error> {
        if path.as_os_str() == "-" {
            let lines = Box::new(BufReader::new(io::stdin()));
            return Ok(Self { name: "stdin".to_owned(), lines, bytes: None });
        }
        let name = path.display().to_string();
        let unreadable = |cause| Error::File(format!("cannot read {name}: {cause}"));
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(unreadable(io::Error::other("it is a folder")));
        }
        // How much comes out of a FIFO is not known.
        let bytes = metadata.is_file().then_some(metadata.len());
        Ok(Self { name, lines: Box::new(BufReader::new(file)), bytes })
    }

    /// Sends each line, and counts the bytes.
    fn read(self, steps: &mpsc::Sender<Step>, bytes: &AtomicU64) -> Result<(), Error> {
        let Self { name, mut lines, .. } = self;
        let wrong = |number, wrong: &str| Error::File(format!("{name}: line {number}: {wrong}"));
        let mut text = String::new();
        for number in 1.. {
            text.clear();
            let length = lines.read_line(&mut text);
            let length = length.map_err(|cause| wrong(number, &cause.to_string()))?;
            if length == 0 || steps.is_closed() {
                break;
            }
            bytes.fetch_add(length as u64, Ordering::Relaxed);
            let parsed = Line::parse(&text).map_err(|what| wrong(number, &what))?;
            send(step(number, parsed), steps);
        }
        Ok(())
    }
}

#[derive(Debug, Serialize)]
struct ImportView {
    imported: i64,
    duplicates: i64,
    users_created: i64,
    timelines: i64,
}

impl From<ImportMessagesResponse> for ImportView {
    fn from(last: ImportMessagesResponse) -> Self {
        Self {
            imported: last.imported,
            duplicates: last.duplicates,
            users_created: last.users_created,
            timelines: last.timelines,
        }
    }
}

impl Row for ImportView {
    const COLUMNS: &[&str] = &["IMPORTED", "DUPLICATES", "USERS CREATED", "TIMELINES"];
    const NARROW: usize = 4;

    fn cells(&self, _now: OffsetDateTime) -> Vec<Cell> {
        [self.imported, self.duplicates, self.users_created, self.timelines].map(Cell::new).to_vec()
    }
}
