//! `imctl messages trace`

use clap::{ArgGroup, Args};
use comfy_table::{Cell, Color};
use imd_proto::v1::{
    ClientMessage, CopyState, MessageCopy, MessageHome, TraceMessageRequest, TraceMessageResponse,
    TracedTerminal, trace_message_request::Message,
};
use serde::Serialize;
use time::OffsetDateTime;

use crate::{
    client::Admin,
    clock,
    commands::sessions::SessionView,
    error::Error,
    output::{self, Format, OutputArgs, Row},
};

/// Arguments of `imctl messages trace`.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("message").required(true),
    after_help = "\
A row for each terminal of each participant. CURSOR is the last entry that was handed to the
terminal's connection, or that it came back with; it is written down every few seconds. PASSED says
whether the message is among what the terminal has got.

Of a message of a group a line before the table says where the message stands once. `-o json` has for
each member how far its timeline has been brought up to the group's (`fanned_to`), and whether it has
read the message (`read`).

Examples:
  imctl messages trace AAAAAAAAAAEAAAAAAAAAKg
  imctl messages trace --sender ann --client-message-id 4a7be2a2-64a3-4a59-8f5d-2f6d1c9a6f10 -o json"
)]
pub(crate) struct TraceArgs {
    // One in 64 begins with a hyphen.
    /// The message's id
    #[arg(value_name = "ID", group = "message", allow_hyphen_values = true)]
    message_id: Option<String>,
    /// The id that its sender gave it
    #[arg(long, value_name = "UUID", group = "message", requires = "sender")]
    client_message_id: Option<String>,
    /// Who sent it
    #[arg(long, value_name = "USER", requires = "client_message_id")]
    sender: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Prints where a message has got to.
pub(super) async fn run(args: TraceArgs, admin: &mut Admin) -> Result<(), Error> {
    let message = match (args.message_id, args.client_message_id) {
        (Some(id), _) => Message::MessageId(id),
        (None, id) => Message::ClientMessage(ClientMessage {
            sender_id: args.sender.unwrap_or_default(),
            client_message_id: id.unwrap_or_default(),
        }),
    };
    let request = TraceMessageRequest { message: Some(message) };
    let answer = admin.calls.trace_message(request).await;
    let trace = answer.map_err(|status| admin.failure(status))?.into_inner();
    print(&TraceView::from(trace), args.output.output)
}

fn print(trace: &TraceView, format: Format) -> Result<(), Error> {
    match format {
        Format::Json | Format::Yaml => output::print(output::document(trace, format)?),
        Format::Table | Format::Wide => {
            if let Some(home) = &trace.home {
                output::note(&home.line());
            }
            output::list(&trace.lines(), format, "")
        }
    }
}

#[derive(Debug, Serialize)]
struct TraceView {
    message_id: String,
    sender_id: String,
    client_message_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    home: Option<HomeView>,
    copies: Vec<CopyView>,
}

/// Where a message of a group stands.
#[derive(Debug, Serialize)]
struct HomeView {
    group_id: String,
    seq: i64,
    state: &'static str,
    #[serde(with = "time::serde::rfc3339::option")]
    appended_at: Option<OffsetDateTime>,
}

#[derive(Debug, Serialize)]
struct CopyView {
    user_id: String,
    seq: i64,
    state: &'static str,
    #[serde(with = "time::serde::rfc3339::option")]
    appended_at: Option<OffsetDateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fanned_to: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read: Option<bool>,
    terminals: Vec<TerminalView>,
}

#[derive(Debug, Serialize)]
struct TerminalView {
    passed: bool,
    #[serde(flatten)]
    session: SessionView,
}

impl From<TraceMessageResponse> for TraceView {
    fn from(trace: TraceMessageResponse) -> Self {
        Self {
            message_id: trace.message_id,
            sender_id: trace.sender_id,
            client_message_id: Some(trace.client_message_id).filter(|id| !id.is_empty()),
            home: trace.home.map(HomeView::from),
            copies: trace.copies.into_iter().map(CopyView::from).collect(),
        }
    }
}

impl From<MessageHome> for HomeView {
    fn from(home: MessageHome) -> Self {
        Self {
            state: state(home.state()),
            group_id: home.group_id,
            seq: home.seq,
            appended_at: clock::time(home.appended_at),
        }
    }
}

impl HomeView {
    fn line(&self) -> String {
        let Self { group_id, seq, state, .. } = self;
        format!("Entry {seq} of the timeline of the group {group_id}: {state}")
    }
}

fn state(state: CopyState) -> &'static str {
    match state {
        CopyState::There => "there",
        CopyState::Recalled => "recalled",
        CopyState::Deleted => "deleted",
        CopyState::Erased => "erased",
        CopyState::Purged => "purged",
        CopyState::OwnerDeleted => "owner deleted",
        CopyState::Pending => "pending",
        CopyState::Unspecified => "unknown",
    }
}

impl From<MessageCopy> for CopyView {
    fn from(copy: MessageCopy) -> Self {
        Self {
            state: state(copy.state()),
            user_id: copy.user_id,
            seq: copy.seq,
            fanned_to: copy.fanned_to,
            read: copy.read,
            appended_at: clock::time(copy.appended_at),
            terminals: copy.terminals.into_iter().map(TerminalView::from).collect(),
        }
    }
}

impl From<TracedTerminal> for TerminalView {
    fn from(terminal: TracedTerminal) -> Self {
        Self { passed: terminal.passed, session: terminal.session.unwrap_or_default().into() }
    }
}

impl TraceView {
    fn lines(&self) -> Vec<Line<'_>> {
        self.copies.iter().flat_map(CopyView::lines).collect()
    }
}

impl CopyView {
    /// A line for each terminal; one without when there is none.
    fn lines(&self) -> Vec<Line<'_>> {
        match self.terminals.as_slice() {
            [] => vec![Line { copy: self, terminal: None }],
            some => some.iter().map(|t| Line { copy: self, terminal: Some(t) }).collect(),
        }
    }
}

/// A terminal and the copy that it is to have, as a row.
#[derive(Serialize)]
struct Line<'a> {
    copy: &'a CopyView,
    terminal: Option<&'a TerminalView>,
}

impl Row for Line<'_> {
    const COLUMNS: &'static [&'static str] = &[
        "USER", "SEQ", "STATE", "APPENDED", "PASSED", "TERMINAL", "DEVICE", "CURSOR", "NODES",
        "LAG", "SESSION",
    ];
    const NARROW: usize = 9;

    fn cells(&self, now: OffsetDateTime) -> Vec<Cell> {
        let Line { copy, terminal } = self;
        let passed = match terminal.map(|terminal| terminal.passed) {
            Some(true) => Cell::new("yes").fg(Color::DarkGreen),
            Some(false) => Cell::new("no").fg(Color::DarkYellow),
            None => Cell::new("-"),
        };
        let terminal = terminal.map_or_else(
            || std::array::from_fn(|_| Cell::new("-")),
            |terminal| terminal.session.terminal_cells(),
        );
        let copy = [
            output::text(&copy.user_id),
            Cell::new(copy.seq),
            Cell::new(copy.state),
            Cell::new(clock::ago(copy.appended_at, now)),
            passed,
        ];
        copy.into_iter().chain(terminal).collect()
    }
}

#[cfg(test)]
mod tests {
    use imd_proto::v1::{AdminSession, Session, SessionState, Terminal};
    use prost_types::Timestamp;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-23 12:00:00 UTC);

    fn terminal(name: &str, state: SessionState, lag: i64) -> TracedTerminal {
        let session = Session {
            session_id: "01936e3c-8f5a-7c1e-9d0b-2f6a1c3b4d5e".to_owned(),
            terminal: Some(Terminal {
                r#type: "phone".to_owned(),
                device_id: "d-17".to_owned(),
                device_name: name.to_owned(),
            }),
            ..Session::default()
        };
        let online = state == SessionState::Online;
        TracedTerminal {
            session: Some(AdminSession {
                user_id: "ben".to_owned(),
                session: Some(session),
                state: state.into(),
                nodes: online.then(|| "n1".to_owned()).into_iter().collect(),
                cursor: format!("1763880000.{}", 42 - lag),
                lag: Some(lag),
            }),
            passed: lag == 0,
        }
    }

    fn trace() -> TraceView {
        let appended_at = Some(Timestamp { seconds: NOW.unix_timestamp() - 120, nanos: 0 });
        TraceView::from(TraceMessageResponse {
            message_id: "AAAAAAAAAAEAAAAAAAAAKg".to_owned(),
            sender_id: "ann".to_owned(),
            client_message_id: "4a7be2a2-64a3-4a59-8f5d-2f6d1c9a6f10".to_owned(),
            copies: vec![
                MessageCopy {
                    user_id: "ann".to_owned(),
                    seq: 7,
                    state: CopyState::There.into(),
                    appended_at,
                    ..MessageCopy::default()
                },
                MessageCopy {
                    user_id: "ben".to_owned(),
                    seq: 42,
                    state: CopyState::There.into(),
                    appended_at,
                    terminals: vec![
                        terminal("Ben's Pixel", SessionState::Online, 0),
                        terminal("Ben's old phone", SessionState::Offline, 3),
                    ],
                    ..MessageCopy::default()
                },
            ],
            home: None,
        })
    }

    #[test]
    fn a_trace_as_a_table() {
        let wide = output::table(&trace().lines(), true, None, NOW);
        insta::assert_snapshot!(anstream::adapter::strip_str(&wide), @r#"
        USER  SEQ  STATE  APPENDED  PASSED  TERMINAL  DEVICE           CURSOR         NODES  LAG  SESSION
        ann   7    there  2m ago    -       -         -                -              -      -    -
        ben   42   there  2m ago    yes     phone     Ben's Pixel      1763880000.42  n1     0    01936e3c-8f5a-7c1e-9d0b-2f6a1c3b4d5e
        ben   42   there  2m ago    no      phone     Ben's old phone  1763880000.39  -      3    01936e3c-8f5a-7c1e-9d0b-2f6a1c3b4d5e
        "#);
    }

    #[test]
    fn a_trace_as_json() {
        let json = output::document(&trace(), Format::Json).expect("it can be written");
        insta::assert_snapshot!(json, @r#"
        {
          "message_id": "AAAAAAAAAAEAAAAAAAAAKg",
          "sender_id": "ann",
          "client_message_id": "4a7be2a2-64a3-4a59-8f5d-2f6d1c9a6f10",
          "copies": [
            {
              "user_id": "ann",
              "seq": 7,
              "state": "there",
              "appended_at": "2026-11-23T11:58:00Z",
              "terminals": []
            },
            {
              "user_id": "ben",
              "seq": 42,
              "state": "there",
              "appended_at": "2026-11-23T11:58:00Z",
              "terminals": [
                {
                  "passed": true,
                  "user_id": "ben",
                  "session_id": "01936e3c-8f5a-7c1e-9d0b-2f6a1c3b4d5e",
                  "terminal": {
                    "type": "phone",
                    "device_id": "d-17",
                    "device_name": "Ben's Pixel"
                  },
                  "state": "online",
                  "created_at": null,
                  "last_used_at": null,
                  "nodes": [
                    "n1"
                  ],
                  "cursor": "1763880000.42",
                  "lag": 0,
                  "end": null
                },
                {
                  "passed": false,
                  "user_id": "ben",
                  "session_id": "01936e3c-8f5a-7c1e-9d0b-2f6a1c3b4d5e",
                  "terminal": {
                    "type": "phone",
                    "device_id": "d-17",
                    "device_name": "Ben's old phone"
                  },
                  "state": "offline",
                  "created_at": null,
                  "last_used_at": null,
                  "nodes": [],
                  "cursor": "1763880000.39",
                  "lag": 3,
                  "end": null
                }
              ]
            }
          ]
        }
        "#);
    }
}
