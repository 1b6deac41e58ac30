//! Ending sessions: logout, kick, and what a change of the account brings with it.

use time::OffsetDateTime;

use super::{live, write_ends};
use crate::{
    model::{
        EndReason, Entry, EntryKind, Error, Result, Session, SessionChanged, SessionEnd, SessionId,
        UserNo,
    },
    store::{
        Audit, Store, Transaction,
        timelines::{About, Place},
        transaction,
    },
};

/// Which of a user's live sessions.
#[derive(Debug, Clone)]
pub enum Which {
    /// One. The user must have had it.
    One(SessionId),
    /// Those of a terminal type.
    OfType(String),
    /// All.
    All,
}

impl Which {
    fn names(&self, session: &Session) -> bool {
        match self {
            Self::One(session_id) => session.session_id == *session_id,
            Self::OfType(name) => session.terminal.terminal_type == *name,
            Self::All => true,
        }
    }
}

/// Why sessions end, and through whom.
#[derive(Debug, Clone)]
pub struct Ending {
    /// Why.
    pub reason: EndReason,
    /// The session whose call ends them, for its terminal's type and name.
    pub by: Option<SessionId>,
    /// A word from an administrator.
    pub note: String,
}

impl Ending {
    /// For a reason that needs no more.
    #[must_use]
    pub fn because(reason: EndReason) -> Self {
        Self { reason, by: None, note: String::new() }
    }

    fn at(&self, at: OffsetDateTime, live: &[Session]) -> SessionEnd {
        let by = live.iter().find(|session| Some(session.session_id) == self.by);
        SessionEnd {
            reason: self.reason,
            by_terminal_type: by.map(|s| s.terminal.terminal_type.clone()).unwrap_or_default(),
            by_device_name: by.map(|s| s.terminal.device_name.clone()).unwrap_or_default(),
            ended_at: at,
            note: self.note.clone(),
        }
    }
}

/// What ended.
#[derive(Debug)]
pub struct SessionsEnded {
    /// The sessions, with their ends.
    pub ended: Vec<Session>,
    /// The entry that tells the user's terminals; none when nothing ended.
    pub entry: Option<Entry>,
}

impl Store {
    /// Ends sessions of a user. Those that have ended already stay as they are.
    ///
    /// Errors: [`Error::SessionNotFound`] when one is named that the user never had.
    pub async fn end_sessions(
        &self,
        user_no: UserNo,
        which: &Which,
        ending: &Ending,
        audit: Option<Audit<'_>>,
    ) -> Result<SessionsEnded> {
        transaction!(self, async |tx| {
            let place = Place::take(&tx, user_no).await?;
            if let Which::One(session_id) = which {
                tx.query_opt(
                    "SELECT FROM sessions WHERE user_no = $1 AND session_id = $2",
                    &[&user_no.0, &session_id.0],
                )
                .await?
                .ok_or(Error::SessionNotFound)?;
            }
            let ended = end_named(&tx, place, user_no, which, ending).await?;
            if let Some(audit) = &audit {
                audit.ended(ended.ended.len()).record(&tx, Some(user_no)).await?;
            }
            tx.commit().await?;
            Ok(ended)
        })
    }
}

/// Ends the live sessions that `which` names, at `place`; gives the place back when there are none.
pub(in crate::store) async fn end_named(
    tx: &Transaction<'_>,
    place: Place,
    user_no: UserNo,
    which: &Which,
    ending: &Ending,
) -> Result<SessionsEnded> {
    let live = live(tx, user_no).await?;
    let end = ending.at(place.at, &live);
    let ended: Vec<Session> = live
        .into_iter()
        .filter(|session| which.names(session))
        .map(|session| Session { end: Some(end.clone()), online: false, ..session })
        .collect();
    if ended.is_empty() {
        place.give_back(tx).await?;
        return Ok(SessionsEnded { ended, entry: None });
    }
    write_ends(tx, user_no, &ended).await?;
    let change = SessionChanged { started: None, ended: ended.clone() };
    let entry = place.fill(tx, About::default(), EntryKind::SessionChanged(change)).await?;
    Ok(SessionsEnded { ended, entry: Some(entry) })
}
