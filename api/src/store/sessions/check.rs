//! Whether a session is live, and how it ended.

use tokio_postgres::Row;

use super::read_end;
use crate::{
    model::{DeviceId, EndReason, Error, Result, SessionEnd, SessionId, Terminal, UserNo},
    store::{Store, Transaction, users::DELETED},
};

/// What is known of the session that a token names.
#[derive(Debug)]
pub enum SessionCheck {
    /// It is live.
    Live,
    /// It has ended.
    Ended(Box<SessionEnd>),
    /// There is none.
    Unknown,
}

/// Selects the end of a session, if it has ended, or nothing when there is no such session. Those of a
/// deleted user are gone; what is left of the user says how they ended.
pub(in crate::store) fn session_end() -> String {
    let user_deleted = EndReason::UserDeleted as i16;
    format!(
        "SELECT ended_at, end_reason, ended_by_type, ended_by_device_name, end_note
         FROM sessions WHERE user_no = $1 AND session_id = $2
         UNION ALL
         SELECT deleted_at, {user_deleted}::smallint, NULL, NULL, deletion_note FROM users
         WHERE user_no = $1 AND state = {DELETED}
         LIMIT 1"
    )
}

impl SessionCheck {
    pub(in crate::store) fn read(row: Option<&Row>) -> Self {
        match row.map(read_end) {
            None => Self::Unknown,
            Some(None) => Self::Live,
            Some(Some(end)) => Self::Ended(Box::new(end)),
        }
    }

    /// Errors: [`Error::SessionEnded`], [`Error::InvalidToken`] unless it is live.
    pub fn require_live(self) -> Result<()> {
        match self {
            Self::Live => Ok(()),
            Self::Ended(end) => Err(Error::SessionEnded(end)),
            Self::Unknown => Err(Error::InvalidToken("the token's session is not known")),
        }
    }
}

impl Store {
    /// Whether the session that a token names is live.
    pub async fn check_session(
        &self,
        user_no: UserNo,
        session_id: SessionId,
    ) -> Result<SessionCheck> {
        let client = self.client().await?;
        let statement = client.prepare_cached(&session_end()).await?;
        let row = client.query_opt(&statement, &[&user_no.0, &session_id.0]).await?;
        Ok(SessionCheck::read(row.as_ref()))
    }

    /// What a session was opened on; `None` where there is no such session.
    pub async fn terminal_of(
        &self,
        user_no: UserNo,
        session_id: SessionId,
    ) -> Result<Option<Terminal>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT terminal_type, device_id, device_name FROM sessions
                 WHERE user_no = $1 AND session_id = $2",
            )
            .await?;
        let row = client.query_opt(&statement, &[&user_no.0, &session_id.0]).await?;
        Ok(row.map(|row| Terminal {
            terminal_type: row.get("terminal_type"),
            device_id: DeviceId::from_stored(row.get("device_id")),
            device_name: row.get("device_name"),
        }))
    }
}

/// Fails as [`SessionCheck::require_live`] does. Behind the lock of the user's timeline, where the
/// answer holds until the commit (I3).
pub(in crate::store) async fn require_live(
    tx: &Transaction<'_>,
    user_no: UserNo,
    session_id: SessionId,
) -> Result<()> {
    let statement = tx.prepare_cached(&session_end()).await?;
    let row = tx.query_opt(&statement, &[&user_no.0, &session_id.0]).await?;
    SessionCheck::read(row.as_ref()).require_live()
}
