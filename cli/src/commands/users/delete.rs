//! `imctl users delete`

use clap::Args;
use comfy_table::Cell;
use imd_proto::v1::{DeleteUserRequest, DeleteUserResponse};
use serde::Serialize;
use time::OffsetDateTime;

use crate::{
    client::Admin,
    confirm::ConfirmArgs,
    error::Error,
    output::{self, OutputArgs, Row},
    progress,
};

/// Arguments of `imctl users delete`.
#[derive(Debug, Args)]
#[command(after_help = "\
At once the user's terminals are told, and nobody can log in or send to it any more. Then its
timeline goes, in short transactions. A tombstone stays: the id is not given out again. Peers
keep their copies of the messages, and see that the account of the sender was deleted. What
administrators did to the user stays in the audit records.

When it breaks off, some node finishes it within minutes; running it again goes on at once.

Examples:
  imctl users delete ann
  imctl users delete ann --erase-sent --yes")]
pub(crate) struct DeleteArgs {
    /// The user's id
    #[arg(value_name = "USER")]
    user_id: String,
    /// Erase what the user sent in the timelines of others, too; they see that it is gone
    #[arg(long)]
    erase_sent: bool,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Deletes a user, and shows how far it has come.
pub(super) async fn run(args: DeleteArgs, admin: &mut Admin) -> Result<(), Error> {
    let DeleteArgs { user_id, erase_sent, confirm, output } = args;
    let sent = if erase_sent { ", and what it sent goes at all others, too" } else { "" };
    confirm.confirm(&format!("{user_id} and all its messages will be deleted for good{sent}"))?;
    let note = admin.reason.clone();
    let request = DeleteUserRequest { user_id: user_id.clone(), erase_sent, note };
    let answer = admin.calls.delete_user(request).await;
    let mut steps = answer.map_err(|status| admin.failure(status))?.into_inner();
    let bar = progress::bar("entries", 0);
    let mut deleted = DeletedView { user_id, ..DeletedView::default() };
    while let Some(step) = steps.message().await.map_err(|status| admin.failure(status))? {
        deleted.take(&step);
        let (done, total) = match step.peers_total {
            0 => (step.entries, step.entries_total),
            total => {
                bar.set_prefix("peers");
                (step.peers, total)
            }
        };
        bar.set_length(total.unsigned_abs());
        bar.set_position(done.unsigned_abs());
    }
    bar.finish_and_clear();
    output::one(&deleted, output.output)
}

/// Deletes a user that a command has made for itself; how many sessions that ended.
pub(in crate::commands) async fn delete_user(
    user_id: &str,
    note: &str,
    admin: &Admin,
) -> Result<usize, Error> {
    let request =
        DeleteUserRequest { user_id: user_id.to_owned(), erase_sent: false, note: note.to_owned() };
    let answer = admin.calls.clone().delete_user(request).await;
    let mut steps = answer.map_err(|status| admin.failure(status))?.into_inner();
    let mut ended = 0;
    while let Some(step) = steps.message().await.map_err(|status| admin.failure(status))? {
        ended += step.ended.len();
    }
    Ok(ended)
}

#[derive(Debug, Default, Serialize)]
struct DeletedView {
    user_id: String,
    sessions_ended: usize,
    entries_deleted: i64,
    peers_erased: i64,
}

impl DeletedView {
    fn take(&mut self, step: &DeleteUserResponse) {
        self.sessions_ended += step.ended.len();
        self.entries_deleted = step.entries;
        self.peers_erased = step.peers;
    }
}

impl Row for DeletedView {
    const COLUMNS: &[&str] = &["USER", "SESSIONS ENDED", "ENTRIES DELETED", "PEERS ERASED"];
    const NARROW: usize = 4;

    fn cells(&self, _now: OffsetDateTime) -> Vec<Cell> {
        vec![
            output::text(&self.user_id),
            Cell::new(self.sessions_ended),
            Cell::new(self.entries_deleted),
            Cell::new(self.peers_erased),
        ]
    }
}
