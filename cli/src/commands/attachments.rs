//! `imctl attachments`

use clap::{Subcommand, ValueEnum};
use comfy_table::Cell;
use imd_proto::v1::{
    AttachmentState, ListAttachmentsRequest, PurgeAttachmentsRequest, StoredAttachment,
};
use serde::Serialize;
use time::OffsetDateTime;

use crate::{
    client::Admin,
    clock,
    error::Error,
    output::{self, OutputArgs, Row},
    paging::LimitArgs,
};

/// `imctl attachments …`
#[derive(Debug, Subcommand)]
pub(crate) enum AttachmentsCommand {
    /// List attachments, the newest first
    List {
        /// Only those that this user created
        #[arg(long, value_name = "USER", default_value = "", hide_default_value = true)]
        user: String,
        /// Only in this state; waiting means not uploaded yet, deleting that no message has it any more
        #[arg(long, value_enum)]
        state: Option<StateArg>,
        /// Only attachments created since then: a time (2026-11-23T07:30:00Z), a date, or how long ago (30d)
        #[arg(long, value_name = "TIME", value_parser = clock::since)]
        since: Option<OffsetDateTime>,
        #[command(flatten)]
        limit: LimitArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Delete attachments that no message has, without waiting for the day after which that happens by itself
    Purge {
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// A state to filter by.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum StateArg {
    Waiting,
    Stored,
    Deleting,
}

impl From<StateArg> for AttachmentState {
    fn from(state: StateArg) -> Self {
        match state {
            StateArg::Waiting => Self::Waiting,
            StateArg::Stored => Self::Stored,
            StateArg::Deleting => Self::Deleting,
        }
    }
}

/// Runs one of the commands.
pub(crate) async fn run(command: AttachmentsCommand, admin: &mut Admin) -> Result<(), Error> {
    match command {
        AttachmentsCommand::List { user, state, since, limit, output } => {
            let state = state.map_or(AttachmentState::Unspecified, AttachmentState::from);
            let listed = limit
                .collect(async |page_size, page_token| {
                    let request = ListAttachmentsRequest {
                        user_id: user.clone(),
                        state: state.into(),
                        since: since.map(clock::timestamp),
                        page_size,
                        page_token,
                    };
                    let answer = admin.calls.list_attachments(request).await;
                    let page = answer.map_err(|status| admin.failure(status))?.into_inner();
                    Ok((page.attachments, page.next_page_token))
                })
                .await?;
            let listed: Vec<AttachmentView> =
                listed.into_iter().map(AttachmentView::from).collect();
            let is_whole =
                user.is_empty() && state == AttachmentState::Unspecified && since.is_none();
            let none = if is_whole { "there are no attachments" } else { "no attachment matches" };
            output::list(&listed, output.output, none)
        }
        AttachmentsCommand::Purge { output } => {
            let answer = admin.calls.purge_attachments(PurgeAttachmentsRequest {}).await;
            let purged = answer.map_err(|status| admin.failure(status))?.into_inner();
            let view = PurgedView { attachments: purged.attachments, bytes: purged.bytes };
            output::one(&view, output.output)
        }
    }
}

#[derive(Debug, Serialize)]
struct AttachmentView {
    attachment_id: String,
    user_id: String,
    file_name: String,
    content_type: String,
    size: i64,
    state: &'static str,
    uses: i64,
    #[serde(with = "time::serde::rfc3339::option")]
    created_at: Option<OffsetDateTime>,
}

impl From<StoredAttachment> for AttachmentView {
    fn from(stored: StoredAttachment) -> Self {
        let state = match stored.state() {
            AttachmentState::Unspecified => "unknown",
            AttachmentState::Waiting => "waiting",
            AttachmentState::Stored => "stored",
            AttachmentState::Deleting => "deleting",
        };
        let attachment = stored.attachment.unwrap_or_default();
        Self {
            attachment_id: attachment.attachment_id,
            user_id: stored.user_id,
            file_name: attachment.file_name,
            content_type: attachment.content_type,
            size: attachment.size,
            state,
            uses: stored.uses,
            created_at: clock::time(stored.created_at),
        }
    }
}

impl Row for AttachmentView {
    const COLUMNS: &[&str] = &["USER", "FILE", "TYPE", "SIZE", "STATE", "USES", "CREATED", "ID"];
    const NARROW: usize = 7;
    const CUT: &[&str] = &["FILE"];

    fn cells(&self, now: OffsetDateTime) -> Vec<Cell> {
        vec![
            output::text(&self.user_id),
            output::text(&self.file_name),
            output::text(&self.content_type),
            Cell::new(self.size),
            Cell::new(self.state),
            Cell::new(self.uses),
            Cell::new(clock::ago(self.created_at, now)),
            output::text(&self.attachment_id),
        ]
    }
}

#[derive(Debug, Serialize)]
struct PurgedView {
    attachments: i64,
    bytes: i64,
}

impl Row for PurgedView {
    const COLUMNS: &[&str] = &["ATTACHMENTS", "BYTES"];
    const NARROW: usize = 2;

    fn cells(&self, _: OffsetDateTime) -> Vec<Cell> {
        vec![Cell::new(self.attachments), Cell::new(self.bytes)]
    }
}
