//! Everybody's sessions.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    model::{self, Page},
    rest::types::{id::UserId, session::Session},
    service,
};

/// The sessions that were ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EndedSessions {
    ended: Vec<Session>,
}

/// Which sessions of a user to end: one of the three.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "terminal_type": "phone", "note": "lost" })))]
pub(crate) struct KickSessionsRequest {
    session_id: Option<String>,
    terminal_type: Option<String>,
    #[serde(default)]
    all: bool,
    /// For the terminals: up to 256 characters on one line.
    #[serde(default)]
    pub(in crate::rest) note: String,
}

/// Whether a session is live, and whether it has a stream.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum SessionState {
    Online,
    Offline,
    Ended,
}

/// A session of some user's.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminSession {
    user_id: UserId,
    session: Session,
    state: SessionState,
    /// The nodes that hold its streams.
    nodes: Vec<String>,
    /// The last entry that is known to have been handed to its connection; empty for none.
    cursor: String,
    /// How many entries stand behind the cursor; absent when that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    lag: Option<i64>,
}

/// A page of sessions, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminSessionList {
    sessions: Vec<AdminSession>,
    /// For the next page; empty on the last one.
    next_page_token: String,
}

impl From<Vec<model::Session>> for EndedSessions {
    fn from(ended: Vec<model::Session>) -> Self {
        Self { ended: Session::list(&ended) }
    }
}

impl KickSessionsRequest {
    /// Which sessions; nothing unless it is one of the three.
    pub(in crate::rest) fn which(&mut self) -> Option<service::Kick> {
        match (self.session_id.take(), self.terminal_type.take(), self.all) {
            (Some(id), None, false) => Some(service::Kick::Session(id)),
            (None, Some(name), false) => Some(service::Kick::TerminalType(name)),
            (None, None, true) => Some(service::Kick::All),
            _ => None,
        }
    }
}

impl From<SessionState> for service::SessionState {
    fn from(state: SessionState) -> Self {
        match state {
            SessionState::Online => Self::Online,
            SessionState::Offline => Self::Offline,
            SessionState::Ended => Self::Ended,
        }
    }
}

impl From<&service::AdminSession> for AdminSession {
    fn from(listed: &service::AdminSession) -> Self {
        Self {
            user_id: (&listed.user_id).into(),
            session: Session::new(&listed.session, None),
            state: match listed.state() {
                service::SessionState::Online => SessionState::Online,
                service::SessionState::Offline => SessionState::Offline,
                service::SessionState::Ended => SessionState::Ended,
            },
            nodes: listed.nodes.clone(),
            cursor: listed.cursor.map(|cursor| cursor.to_string()).unwrap_or_default(),
            lag: listed.lag,
        }
    }
}

impl From<Page<service::AdminSession>> for AdminSessionList {
    fn from(page: Page<service::AdminSession>) -> Self {
        Self {
            sessions: page.items.iter().map(Into::into).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }
    }
}
