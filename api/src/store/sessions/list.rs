//! Listing sessions, for their user and for administrators.

use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{SESSION_COLUMNS, online, read_session};
use crate::{
    model::{Cursor, Result, Session, SessionId, UserId, UserNo},
    store::{Store, nodes::ALIVE, since::lowest_id},
};

/// What a session is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionState {
    /// Live, with a stream open.
    Online,
    /// Live, without a stream.
    Offline,
    /// Ended.
    Ended,
}

/// Which sessions to list.
#[derive(Debug, Clone, Default)]
pub struct SessionFilter {
    /// Only this user's.
    pub user_no: Option<UserNo>,
    /// Only of this terminal type.
    pub terminal_type: Option<String>,
    /// Only in this state; `None` for every live one.
    pub state: Option<SessionState>,
    /// Only those that started then or later.
    pub since: Option<OffsetDateTime>,
}

/// A session as administrators see it.
#[derive(Debug)]
pub struct AdminSession {
    /// Whose.
    pub user_id: UserId,
    /// The session.
    pub session: Session,
    /// The nodes that hold its streams.
    pub nodes: Vec<String>,
    /// The last entry that is known to have been handed to its connection; `None` for none.
    pub cursor: Option<Cursor>,
    /// How many entries stand behind the cursor; `None` when that is not known, or the cursor is of
    /// another numbering, or the session has ended.
    pub lag: Option<i64>,
}

impl AdminSession {
    /// What it is at.
    #[must_use]
    pub fn state(&self) -> SessionState {
        match (&self.session.end, self.session.online) {
            (Some(_), _) => SessionState::Ended,
            (None, true) => SessionState::Online,
            (None, false) => SessionState::Offline,
        }
    }
}

impl Store {
    /// The live sessions of a user, the newest first.
    pub async fn live_sessions(&self, user_no: UserNo) -> Result<Vec<Session>> {
        let client = self.client().await?;
        let online = online();
        let statement = client
            .prepare_cached(&format!(
                "SELECT {SESSION_COLUMNS}, {online} AS online FROM sessions s
                 WHERE s.user_no = $1 AND s.ended_at IS NULL ORDER BY s.session_id DESC"
            ))
            .await?;
        let rows = client.query(&statement, &[&user_no.0]).await?;
        Ok(rows.iter().map(read_session).collect())
    }

    /// The sessions that `filter` lets through, the newest first: at most `limit`, all older than
    /// `before`.
    pub async fn list_sessions(
        &self,
        filter: &SessionFilter,
        before: Option<SessionId>,
        limit: i64,
    ) -> Result<Vec<AdminSession>> {
        let client = self.client().await?;
        let online = online();
        let wants_online = match filter.state {
            Some(SessionState::Online) => Some(true),
            Some(SessionState::Offline) => Some(false),
            Some(SessionState::Ended) | None => None,
        };
        let list = format!(
            "SELECT u.user_id, {SESSION_COLUMNS}, s.online,
                 ARRAY(SELECT DISTINCT n.node_id FROM login_points p JOIN nodes n USING (node_no)
                       WHERE p.user_no = s.user_no AND p.session_id = s.session_id AND {ALIVE}
                       ORDER BY 1) AS nodes,
                 s.cursor_epoch, s.cursor_seq,
                 CASE WHEN s.ended_at IS NULL AND s.cursor_epoch = stamp(t.epoch)
                     THEN greatest(t.last_seq - s.cursor_seq, 0) END AS lag
             FROM (SELECT s.*, {online} AS online FROM sessions s) s
             JOIN users u USING (user_no)
             LEFT JOIN timelines t ON t.owner = s.user_no
             WHERE ($1::bigint IS NULL OR s.user_no = $1)
                 AND ($2::text IS NULL OR s.terminal_type = $2)
                 AND (s.ended_at IS NOT NULL) = $3
                 AND ($4::boolean IS NULL OR s.online = $4)
                 AND s.session_id < $5 AND s.session_id >= $6
                 AND ($7::timestamptz IS NULL OR s.created_at >= $7)
             ORDER BY s.session_id DESC LIMIT $8"
        );
        // Planned for these values each time: which index serves depends on them.
        let rows = client
            .query(
                &list,
                &[
                    &filter.user_no.map(|no| no.0),
                    &filter.terminal_type,
                    &(filter.state == Some(SessionState::Ended)),
                    &wants_online,
                    &before.map_or(Uuid::max(), |id| id.0),
                    &lowest_id(filter.since),
                    &filter.since,
                    &limit,
                ],
            )
            .await?;
        let session = |row: &Row| AdminSession {
            user_id: UserId::from_stored(row.get("user_id")),
            session: read_session(row),
            nodes: row.get("nodes"),
            cursor: read_cursor(row),
            lag: row.get("lag"),
        };
        Ok(rows.iter().map(session).collect())
    }
}

fn read_cursor(row: &Row) -> Option<Cursor> {
    let (epoch, seq): (Option<i64>, Option<i64>) = (row.get("cursor_epoch"), row.get("cursor_seq"));
    Some(Cursor { epoch: epoch?, seq: seq? })
}
