//! Sessions: opened, checked, ended, refreshed, listed.

mod check;
mod end;
mod forget;
mod list;
mod open;
mod refresh;

use tokio_postgres::Row;
use uuid::Uuid;

pub use check::SessionCheck;
pub(super) use check::{require_live, session_end};
pub(super) use end::end_named;
pub use end::{Ending, SessionsEnded, Which};
pub use list::{AdminSession, SessionFilter, SessionState};
pub use open::{NewSession, Opened, Proof, UNKNOWN_TIER};
pub use refresh::Rotation;

use super::{Transaction, nodes::ALIVE};
use crate::model::{DeviceId, EndReason, Result, Session, SessionEnd, SessionId, Terminal, UserNo};

/// The columns that [`read_session`] reads, of `sessions s`.
const SESSION_COLUMNS: &str = "s.session_id, s.terminal_type, s.device_id, s.device_name, \
     s.created_at, s.last_used_at, s.ended_at, s.end_reason, s.ended_by_type, \
     s.ended_by_device_name, s.end_note";

/// Whether the session `s` has a stream on a running node.
fn online() -> String {
    format!(
        "EXISTS (SELECT FROM login_points p JOIN nodes n USING (node_no)
                 WHERE p.user_no = s.user_no AND p.session_id = s.session_id AND {ALIVE})"
    )
}

/// The live sessions of a user, the oldest first. Behind the user's place in the timeline, where the
/// answer must hold until the commit.
async fn live(tx: &Transaction<'_>, user_no: UserNo) -> Result<Vec<Session>> {
    let online = online();
    let rows = tx
        .query(
            &format!(
                "SELECT {SESSION_COLUMNS}, {online} AS online FROM sessions s
                 WHERE s.user_no = $1 AND s.ended_at IS NULL ORDER BY s.created_at, s.session_id"
            ),
            &[&user_no.0],
        )
        .await?;
    Ok(rows.iter().map(read_session).collect())
}

fn read_session(row: &Row) -> Session {
    Session {
        session_id: SessionId(row.get("session_id")),
        terminal: Terminal {
            terminal_type: row.get("terminal_type"),
            device_id: DeviceId::from_stored(row.get("device_id")),
            device_name: row.get("device_name"),
        },
        created_at: row.get("created_at"),
        last_used_at: row.get("last_used_at"),
        online: row.get("online"),
        end: read_end(row),
    }
}

/// Reads how a session ended; `None` when it is live.
pub(super) fn read_end(row: &Row) -> Option<SessionEnd> {
    let text = |column| row.get::<_, Option<String>>(column).unwrap_or_default();
    Some(SessionEnd {
        ended_at: row.get::<_, Option<_>>("ended_at")?,
        reason: EndReason::from_number(row.get("end_reason")).unwrap_or(EndReason::Kicked),
        by_terminal_type: text("ended_by_type"),
        by_device_name: text("ended_by_device_name"),
        note: text("end_note"),
    })
}

/// Writes the ends that the sessions carry.
async fn write_ends(tx: &Transaction<'_>, user_no: UserNo, ended: &[Session]) -> Result<()> {
    for session in ended {
        let Some(end) = &session.end else { continue };
        let session_id: Uuid = session.session_id.0;
        tx.execute(
            "UPDATE sessions
             SET ended_at = $3, end_reason = $4, ended_by_type = $5, ended_by_device_name = $6,
                 end_note = $7
             WHERE user_no = $1 AND session_id = $2",
            &[
                &user_no.0,
                &session_id,
                &end.ended_at,
                &(end.reason as i16),
                &end.by_terminal_type,
                &end.by_device_name,
                &end.note,
            ],
        )
        .await?;
    }
    Ok(())
}
