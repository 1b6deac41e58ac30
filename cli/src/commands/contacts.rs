//! `imctl contacts`

use clap::{Subcommand, ValueEnum};
use comfy_table::Cell;
use imd_proto::v1::{AdminListContactsRequest, Contact, ContactState};
use serde::Serialize;
use time::OffsetDateTime;

use crate::{
    client::Admin,
    clock,
    error::Error,
    output::{self, Row, WatchedOutput},
    paging::LimitArgs,
};

/// `imctl contacts …`
#[derive(Debug, Subcommand)]
pub(crate) enum ContactsCommand {
    /// List the contacts of a user, those whom it has asked, and those who ask
    List {
        /// The user's id
        #[arg(value_name = "USER")]
        user_id: String,
        /// Only those in this state
        #[arg(long, value_enum)]
        state: Option<State>,
        #[command(flatten)]
        limit: LimitArgs,
        #[command(flatten)]
        output: WatchedOutput,
    },
}

/// How a contact stands to the user.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum State {
    /// The user has asked, and waits for an answer
    Sent,
    /// The other has asked, and waits for the user's answer
    Received,
    /// They are contacts
    Accepted,
}

impl From<State> for ContactState {
    fn from(state: State) -> Self {
        match state {
            State::Sent => Self::Sent,
            State::Received => Self::Received,
            State::Accepted => Self::Accepted,
        }
    }
}

/// Runs one of the commands.
pub(crate) async fn run(command: ContactsCommand, admin: &mut Admin) -> Result<(), Error> {
    let ContactsCommand::List { user_id, state, limit, output } = command;
    let state = state.map_or(ContactState::Unspecified, ContactState::from);
    let contacts = limit
        .collect(async |page_size, page_token| {
            let request = AdminListContactsRequest {
                user_id: user_id.clone(),
                state: state.into(),
                page_size,
                page_token,
            };
            let answer = admin.calls.admin_list_contacts(request).await;
            let page = answer.map_err(|status| admin.failure(status))?.into_inner();
            Ok((page.contacts, page.next_page_token))
        })
        .await?;
    let contacts: Vec<ContactView> = contacts.into_iter().map(ContactView::from).collect();
    output::list(&contacts, output.output, "there are no such contacts")
}

#[derive(Debug, Serialize)]
struct ContactView {
    user_id: String,
    state: &'static str,
    #[serde(with = "time::serde::rfc3339::option")]
    changed_at: Option<OffsetDateTime>,
    note: String,
}

impl From<Contact> for ContactView {
    fn from(contact: Contact) -> Self {
        Self {
            state: match contact.state() {
                ContactState::Unspecified => "unknown",
                ContactState::Sent => "sent",
                ContactState::Received => "received",
                ContactState::Accepted => "accepted",
            },
            user_id: contact.user_id,
            changed_at: clock::time(contact.changed_at),
            note: contact.note,
        }
    }
}

impl Row for ContactView {
    const COLUMNS: &[&str] = &["USER", "STATE", "SINCE", "NOTE"];
    const NARROW: usize = 4;
    const CUT: &[&str] = &["NOTE"];

    fn cells(&self, now: OffsetDateTime) -> Vec<Cell> {
        vec![
            output::text(&self.user_id),
            Cell::new(self.state),
            Cell::new(clock::ago(self.changed_at, now)),
            output::text(&self.note),
        ]
    }
}
