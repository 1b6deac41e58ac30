//! A session as it is printed.

use comfy_table::{Cell, Color};
use imd_proto::v1::{AdminSession, EndReason, Session, SessionEnd, SessionState, Terminal};
use serde::Serialize;
use time::OffsetDateTime;

use crate::{
    clock,
    output::{self, Row},
};

/// Known to other commands, too.
#[derive(Debug, Serialize)]
pub(in crate::commands) struct SessionView {
    user_id: String,
    session_id: String,
    terminal: TerminalView,
    state: &'static str,
    #[serde(with = "time::serde::rfc3339::option")]
    created_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    last_used_at: Option<OffsetDateTime>,
    nodes: Vec<String>,
    cursor: Option<String>,
    lag: Option<i64>,
    end: Option<EndView>,
}

#[derive(Debug, Serialize)]
struct TerminalView {
    r#type: String,
    device_id: String,
    device_name: String,
}

#[derive(Debug, Serialize)]
struct EndView {
    reason: String,
    by_terminal_type: String,
    by_device_name: String,
    #[serde(with = "time::serde::rfc3339::option")]
    ended_at: Option<OffsetDateTime>,
    note: String,
}

impl SessionView {
    /// A session that a call has just ended.
    pub(super) fn ended(user_id: &str, session: Session) -> Self {
        Self::from(AdminSession {
            user_id: user_id.to_owned(),
            session: Some(session),
            state: SessionState::Ended.into(),
            ..AdminSession::default()
        })
    }
}

impl From<AdminSession> for SessionView {
    fn from(row: AdminSession) -> Self {
        let state = state_name(row.state());
        let session = row.session.unwrap_or_default();
        Self {
            user_id: row.user_id,
            session_id: session.session_id,
            terminal: session.terminal.unwrap_or_default().into(),
            state,
            created_at: clock::time(session.created_at),
            last_used_at: clock::time(session.last_used_at),
            nodes: row.nodes,
            cursor: Some(row.cursor).filter(|cursor| !cursor.is_empty()),
            lag: row.lag,
            end: session.end.map(EndView::from),
        }
    }
}

impl From<Terminal> for TerminalView {
    fn from(terminal: Terminal) -> Self {
        Self {
            r#type: terminal.r#type,
            device_id: terminal.device_id,
            device_name: terminal.device_name,
        }
    }
}

impl From<SessionEnd> for EndView {
    fn from(end: SessionEnd) -> Self {
        Self {
            reason: reason_name(&end),
            by_terminal_type: end.by_terminal_type,
            by_device_name: end.by_device_name,
            ended_at: clock::time(end.ended_at),
            note: end.note,
        }
    }
}

impl SessionView {
    /// The cells of a table about terminals: type, device, cursor, nodes, lag, session.
    pub(in crate::commands) fn terminal_cells(&self) -> [Cell; 6] {
        [
            output::text(&self.terminal.r#type),
            output::text(&self.terminal.device_name),
            output::text(self.cursor.as_deref().unwrap_or_default()),
            output::text(&self.nodes.join(",")),
            self.lag_cell(),
            output::text(&self.session_id),
        ]
    }

    fn lag_cell(&self) -> Cell {
        self.lag.map_or_else(|| Cell::new("-"), Cell::new)
    }
}

impl EndView {
    /// The terminal that ended it: its device's name, or else its type.
    fn by(&self) -> &str {
        match self.by_device_name.as_str() {
            "" => &self.by_terminal_type,
            name => name,
        }
    }
}

impl Row for SessionView {
    const COLUMNS: &[&str] = &[
        "USER",
        "TERMINAL",
        "DEVICE",
        "STATE",
        "LAST USED",
        "SESSION",
        "DEVICE ID",
        "CREATED",
        "NODES",
        "CURSOR",
        "LAG",
        "END REASON",
        "BY",
        "NOTE",
    ];
    const NARROW: usize = 6;
    const CUT: &[&str] = &["DEVICE"];

    fn cells(&self, now: OffsetDateTime) -> Vec<Cell> {
        let end = self.end.as_ref();
        let state = match self.state {
            "online" => Cell::new(self.state).fg(Color::DarkGreen),
            "ended" => Cell::new(self.state).fg(Color::DarkRed),
            other => Cell::new(other),
        };
        vec![
            output::text(&self.user_id),
            output::text(&self.terminal.r#type),
            output::text(&self.terminal.device_name),
            state,
            Cell::new(clock::ago(self.last_used_at, now)),
            output::text(&self.session_id),
            output::text(&self.terminal.device_id),
            Cell::new(clock::ago(self.created_at, now)),
            output::text(&self.nodes.join(",")),
            output::text(self.cursor.as_deref().unwrap_or_default()),
            self.lag_cell(),
            output::text(end.map_or("", |end| &end.reason)),
            output::text(end.map_or("", EndView::by)),
            output::text(end.map_or("", |end| &end.note)),
        ]
    }
}

fn state_name(state: SessionState) -> &'static str {
    match state {
        SessionState::Online => "online",
        SessionState::Offline => "offline",
        SessionState::Ended => "ended",
        SessionState::Unspecified => "unknown",
    }
}

/// `REPLACED`, `KICKED` …; of a reason newer than this program, its number.
pub(in crate::commands) fn reason_name(end: &SessionEnd) -> String {
    EndReason::try_from(end.reason).map_or_else(
        |_| end.reason.to_string(),
        |reason| reason.as_str_name().trim_start_matches("END_REASON_").to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;
    use time::macros::datetime;

    use super::*;
    use crate::output::Format;

    const NOW: OffsetDateTime = datetime!(2026-11-23 12:00:00 UTC);

    fn minutes_ago(minutes: i64) -> Timestamp {
        Timestamp { seconds: NOW.unix_timestamp() - 60 * minutes, nanos: 0 }
    }

    fn session(state: SessionState, device_name: &str, end: Option<SessionEnd>) -> SessionView {
        SessionView::from(AdminSession {
            user_id: "ann".to_owned(),
            session: Some(Session {
                session_id: "01936e3c-8f5a-7c1e-9d0b-2f6a1c3b4d5e".to_owned(),
                terminal: Some(Terminal {
                    r#type: "phone".to_owned(),
                    device_id: "d-17".to_owned(),
                    device_name: device_name.to_owned(),
                }),
                created_at: Some(minutes_ago(120)),
                last_used_at: Some(minutes_ago(2)),
                online: state == SessionState::Online,
                current: false,
                end,
            }),
            state: state.into(),
            nodes: match state {
                SessionState::Online => vec!["n1".to_owned()],
                _ => vec![],
            },
            cursor: "1763880000.38".to_owned(),
            lag: (state != SessionState::Ended).then_some(4),
        })
    }

    fn replaced() -> SessionEnd {
        SessionEnd {
            reason: EndReason::Replaced.into(),
            by_terminal_type: "phone".to_owned(),
            by_device_name: "Ann's new phone".to_owned(),
            ended_at: Some(minutes_ago(2)),
            note: String::new(),
        }
    }

    fn plain(rows: &[SessionView], wide: bool) -> String {
        anstream::adapter::strip_str(&output::table(rows, wide, None, NOW)).to_string()
    }

    #[test]
    fn sessions_as_a_table() {
        let rows = [
            session(SessionState::Online, "Ann's Pixel", None),
            session(SessionState::Offline, "", None),
        ];
        insta::assert_snapshot!(plain(&rows, false), @r#"
        USER  TERMINAL  DEVICE       STATE    LAST USED  SESSION
        ann   phone     Ann's Pixel  online   2m ago     01936e3c-8f5a-7c1e-9d0b-2f6a1c3b4d5e
        ann   phone     -            offline  2m ago     01936e3c-8f5a-7c1e-9d0b-2f6a1c3b4d5e
        "#);
    }

    #[test]
    fn an_ended_session_as_a_wide_table() {
        let rows = [session(SessionState::Ended, "Ann's Pixel", Some(replaced()))];
        insta::assert_snapshot!(plain(&rows, true), @r#"
        USER  TERMINAL  DEVICE       STATE  LAST USED  SESSION                               DEVICE ID  CREATED  NODES  CURSOR         LAG  END REASON  BY               NOTE
        ann   phone     Ann's Pixel  ended  2m ago     01936e3c-8f5a-7c1e-9d0b-2f6a1c3b4d5e  d-17       2h ago   -      1763880000.38  -    REPLACED    Ann's new phone  -
        "#);
    }

    #[test]
    fn an_ended_session_as_json() {
        let rows = [session(SessionState::Ended, "Ann's Pixel", Some(replaced()))];
        let json = output::document(&rows[..], Format::Json).expect("it can be written");
        insta::assert_snapshot!(json, @r#"
        [
          {
            "user_id": "ann",
            "session_id": "01936e3c-8f5a-7c1e-9d0b-2f6a1c3b4d5e",
            "terminal": {
              "type": "phone",
              "device_id": "d-17",
              "device_name": "Ann's Pixel"
            },
            "state": "ended",
            "created_at": "2026-11-23T10:00:00Z",
            "last_used_at": "2026-11-23T11:58:00Z",
            "nodes": [],
            "cursor": "1763880000.38",
            "lag": null,
            "end": {
              "reason": "REPLACED",
              "by_terminal_type": "phone",
              "by_device_name": "Ann's new phone",
              "ended_at": "2026-11-23T11:58:00Z",
              "note": ""
            }
          }
        ]
        "#);
    }

    #[test]
    fn a_live_session_as_yaml() {
        let rows = [session(SessionState::Online, "Ann's Pixel", None)];
        let yaml = output::document(&rows[..], Format::Yaml).expect("it can be written");
        insta::assert_snapshot!(yaml, @r#"
        - user_id: ann
          session_id: 01936e3c-8f5a-7c1e-9d0b-2f6a1c3b4d5e
          terminal:
            type: phone
            device_id: d-17
            device_name: Ann's Pixel
          state: online
          created_at: 2026-11-23T10:00:00Z
          last_used_at: 2026-11-23T11:58:00Z
          nodes:
          - n1
          cursor: '1763880000.38'
          lag: 4
          end: null
        "#);
    }

    #[test]
    fn text_of_others_cannot_drive_the_terminal() {
        let rows = [session(SessionState::Online, "a\u{1b}[2Jb\nc", None)];
        let table = plain(&rows, false);
        assert!(table.contains("a\u{fffd}[2Jb ⏎ c"), "{table}");
        assert_eq!(table.lines().count(), 2);
    }

    #[test]
    fn a_reason_newer_than_this_program_is_its_number() {
        let end = SessionEnd { reason: 77, ..SessionEnd::default() };
        assert_eq!(reason_name(&end), "77");
    }
}
