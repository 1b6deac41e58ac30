//! Everybody's sessions.

use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Admin, check_note, list_size};
use crate::{
    model::{EndReason, Error, Page, Result, Role, Session, SessionId, TerminalType, UserId},
    service::conversations::instant,
    store::{AdminSession, Ending, SessionFilter, SessionState, Which},
};

/// Which sessions to list.
#[derive(Debug, Default)]
pub struct SessionQuery {
    /// Only this user's; empty for all.
    pub user_id: String,
    /// Only of this terminal type; empty for all.
    pub terminal_type: String,
    /// Only in this state; `None` for every live one.
    pub state: Option<SessionState>,
    /// Only those that started then or later.
    pub since: Option<OffsetDateTime>,
}

/// Which of a user's sessions to end.
#[derive(Debug)]
pub enum Kick {
    /// One.
    Session(String),
    /// Those of a terminal type.
    TerminalType(String),
    /// All.
    All,
}

impl Admin<'_> {
    /// The sessions, the newest first.
    pub async fn list_sessions(
        &self,
        query: SessionQuery,
        page_size: i32,
        page_token: &str,
    ) -> Result<Page<AdminSession>> {
        self.require(Role::Viewer)?;
        let size = list_size(page_size)?;
        if !query.terminal_type.is_empty() && !TerminalType::is_name(&query.terminal_type) {
            return Err(Error::invalid("terminal_type", TerminalType::NAME_RULE));
        }
        if !query.terminal_type.is_empty() {
            self.check_terminal_type(&query.terminal_type).await?;
        }
        let user_no = self.only_of(&query.user_id).await?;
        let SessionQuery { terminal_type, state, since, .. } = query;
        let scope = format!("sessions/{user_no:?}/{terminal_type}/{state:?}/{:?}", instant(since));
        let session_id = |payload: Vec<u8>| Uuid::from_slice(&payload).ok().map(SessionId);
        let before = self.service.read_page_token(&scope, page_token, session_id)?;
        let filter = SessionFilter {
            user_no,
            terminal_type: Some(terminal_type).filter(|name| !name.is_empty()),
            state,
            since,
        };
        let mut items = self.service.store.list_sessions(&filter, before, size.get() + 1).await?;
        let more = size.cut(&mut items);
        let next = items.last().filter(|_| more).map(|listed| {
            self.service.opaque_tokens.seal(&scope, listed.session.session_id.0.as_bytes())
        });
        Ok(Page { items, next_page_token: next })
    }

    /// Ends live sessions of a user; those that this ended. Returns after the commit: a call with
    /// their tokens that starts afterwards fails, on every node (I3).
    ///
    /// Errors: [`Error::UserNotFound`]; [`Error::SessionNotFound`] when one is named that the user
    /// never had.
    pub async fn kick_sessions(
        &self,
        user_id: &str,
        which: Option<Kick>,
        note: String,
    ) -> Result<Vec<Session>> {
        self.require(Role::Support)?;
        check_note(&note)?;
        let (which, named) = match which {
            Some(Kick::Session(id)) => {
                (Which::One(SessionId::parse("session_id", &id)?), json!({ "session_id": id }))
            }
            Some(Kick::TerminalType(name)) => {
                self.check_terminal_type(&name).await?;
                let named = json!({ "terminal_type": name });
                (Which::OfType(name), named)
            }
            Some(Kick::All) => (Which::All, json!({ "all": true })),
            None => {
                return Err(Error::invalid("which", "a session, a terminal type or all is needed"));
            }
        };
        let user_no = self.service.store.user_no(&UserId::parse("user_id", user_id)?).await?;
        let audit = self.audit("kick_sessions", json!({ "which": named, "note": note }));
        let ending = Ending { note, ..Ending::because(EndReason::Kicked) };
        let ended = self.service.store.end_sessions(user_no, &which, &ending, Some(audit)).await?;
        let ended = self.service.announce_end(user_no, ended);
        self.note_ended(user_id, &ended);
        Ok(ended)
    }

    /// A misspelt terminal type is an error, so that it is not mistaken for a call that matched no
    /// session.
    pub(super) async fn check_terminal_type(&self, name: &str) -> Result<()> {
        let known = self.service.store.terminal_types().await?;
        if known.iter().any(|terminal_type| terminal_type.name == name) {
            return Ok(());
        }
        Err(TerminalType::none_of("terminal_type", &known))
    }
}
