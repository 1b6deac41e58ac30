//! How far the terminals have got. Bookkeeping for people: deliveries never depend on it.

use uuid::Uuid;

use super::Store;
use crate::model::{Cursor, Result, SessionId, UserNo};

/// How far the terminal of one session has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionCursor {
    /// Whose session.
    pub user_no: UserNo,
    /// Which.
    pub session_id: SessionId,
    /// The last entry that was handed to it.
    pub cursor: Cursor,
}

impl Store {
    /// Writes how far sessions have got, each only forward, in the numbering that holds and not beyond the
    /// timeline's end: clients say some of it. A session that is gone is left out. One
    /// that somebody else is changing at this moment is left alone, so that there is no lock to wait
    /// for and none to deadlock on: those are returned, to be written again.
    pub async fn write_cursors(&self, cursors: &[SessionCursor]) -> Result<Vec<SessionCursor>> {
        let users: Vec<i64> = cursors.iter().map(|c| c.user_no.0).collect();
        let sessions: Vec<Uuid> = cursors.iter().map(|c| c.session_id.0).collect();
        let epochs: Vec<i64> = cursors.iter().map(|c| c.cursor.epoch).collect();
        let seqs: Vec<i64> = cursors.iter().map(|c| c.cursor.seq).collect();
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "WITH moved AS (
                     SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::bigint[])
                         m (user_no, session_id, epoch, seq)
                 ), free AS (
                     SELECT s.user_no, s.session_id, m.epoch, m.seq
                     FROM moved m JOIN sessions s USING (user_no, session_id)
                     FOR NO KEY UPDATE OF s SKIP LOCKED
                 ), written AS (
                     UPDATE sessions s SET cursor_epoch = f.epoch, cursor_seq = least(f.seq, t.last_seq)
                     FROM free f JOIN timelines t ON t.owner = f.user_no AND stamp(t.epoch) = f.epoch
                     WHERE s.user_no = f.user_no AND s.session_id = f.session_id
                         AND (s.cursor_epoch IS NULL
                              OR (s.cursor_epoch, s.cursor_seq) < (f.epoch, f.seq))
                 )
                 SELECT session_id FROM moved JOIN sessions USING (user_no, session_id)
                 EXCEPT SELECT session_id FROM free",
            )
            .await?;
        let busy = client.query(&statement, &[&users, &sessions, &epochs, &seqs]).await?;
        let busy: Vec<Uuid> = busy.iter().map(|row| row.get(0)).collect();
        Ok(cursors.iter().filter(|c| busy.contains(&c.session_id.0)).copied().collect())
    }
}
