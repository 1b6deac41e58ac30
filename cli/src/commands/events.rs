//! `imctl events`

use std::time::Duration;

use clap::Args;
use imd_proto::v1::{TailEventsRequest, TailEventsResponse};
use serde::Serialize;
use time::OffsetDateTime;

use crate::{client::Admin, clock, error::Error, output};

/// Arguments of `imctl events`.
#[derive(Debug, Args)]
#[command(after_help = "\
Shown are logins and failed ones, ends of sessions with their reasons, and changes of accounts and keys, on whichever node, \
from now on. What was before is in the log of the nodes and, as far as administrators did it, in `imctl audit`.

Examples:
  imctl events
  imctl events --user ann --for 10m
  imctl events --json | jq 'select(.event == \"login_failed\")'")]
pub(crate) struct EventsArgs {
    /// Only those about this user
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Stop after so long
    #[arg(long = "for", value_name = "TIME", value_parser = clock::some_time)]
    lasts: Option<Duration>,
    /// Print a JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct EventView {
    event: String,
    #[serde(with = "time::serde::rfc3339::option")]
    at: Option<OffsetDateTime>,
    node_id: String,
    user_id: String,
    terminal_type: String,
    session_id: String,
    address: String,
    by: String,
    detail: String,
    request_id: String,
}

/// Prints events as they happen.
pub(crate) async fn run(args: EventsArgs, admin: &mut Admin) -> Result<(), Error> {
    let request = TailEventsRequest { seconds: seconds(args.lasts) };
    let answer = admin.calls.tail_events(request).await;
    let mut events = answer.map_err(|status| admin.failure(status))?.into_inner();
    output::note("watching");
    while let Some(event) = events.message().await.map_err(|status| admin.failure(status))? {
        let event = EventView::from(event);
        if args.user.as_ref().is_some_and(|user_id| *user_id != event.user_id) {
            continue;
        }
        if args.json {
            output::json_line(&event)?;
        } else {
            output::print(output::printable(&event.line()))?;
        }
    }
    Ok(())
}

/// A duration as a call takes it; 0 for no end.
pub(super) fn seconds(lasts: Option<Duration>) -> i32 {
    lasts.map_or(0, |lasts| i32::try_from(lasts.as_secs().max(1)).unwrap_or(i32::MAX))
}

impl EventView {
    fn line(&self) -> String {
        let (hour, minute, second) = self.at.unwrap_or(OffsetDateTime::UNIX_EPOCH).to_hms();
        let mut line = format!("{hour:02}:{minute:02}:{second:02} UTC  {:<17}", self.event);
        for (before, text) in [
            ("  ", &self.user_id),
            (" on ", &self.terminal_type),
            ("  from ", &self.address),
            ("  by ", &self.by),
            ("  ", &self.detail),
        ] {
            if !text.is_empty() {
                line = line + before + text;
            }
        }
        line
    }
}

impl From<TailEventsResponse> for EventView {
    fn from(event: TailEventsResponse) -> Self {
        Self {
            event: event.event,
            at: clock::time(event.at),
            node_id: event.node_id,
            user_id: event.user_id,
            terminal_type: event.terminal_type,
            session_id: event.session_id,
            address: event.address,
            by: event.by,
            detail: event.detail,
            request_id: event.request_id,
        }
    }
}
