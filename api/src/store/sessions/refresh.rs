//! Refresh tokens: one conditional update a rotation.

use std::time::Duration;

use serde_json::json;

use super::{Ending, SessionsEnded, Which, end_named, read_end};
use crate::{
    model::{EndReason, Error, Result, SessionEnd, SessionId, UserNo},
    store::{Audit, Store, timelines::Place, transaction},
};

/// How long a refresh token stays good after its exchange, in seconds, unless its successor is used
/// before.
const GRACE_SECONDS: f64 = 60.0;

/// What the audit calls the server where nobody asked it; no key of an administrator is called so.
const SERVER: &str = "(imd)";

/// What became of a refresh token.
#[derive(Debug)]
pub enum Rotation {
    /// It was exchanged, now or by an earlier call whose answer may have been lost: the successor is
    /// the session's token.
    Exchanged,
    /// The session had ended before.
    Ended(Box<SessionEnd>),
    /// There is no such session.
    Unknown,
    /// It was too late (EXPIRED) or a token long exchanged (`TOKEN_REUSED`): this ended the session.
    EndedNow(Box<SessionsEnded>),
}

impl Store {
    /// Puts the hash `successor` in the place of `presented`, both hashes of refresh tokens. A token
    /// has one successor only, so that a repeated exchange leads to the same place.
    pub async fn rotate_refresh(
        &self,
        user_no: UserNo,
        session_id: SessionId,
        presented: &[u8; 32],
        successor: &[u8; 32],
        ttl: Duration,
    ) -> Result<Rotation> {
        let client = self.client().await?;
        let exchange = client
            .prepare_cached(
                "UPDATE sessions
                 SET refresh_hash = $4, previous_refresh_hash = $3, rotated_at = now(),
                     last_used_at = now(), refresh_expires_at = now() + make_interval(secs => $5)
                 WHERE user_no = $1 AND session_id = $2 AND refresh_hash = $3
                     AND ended_at IS NULL AND refresh_expires_at > now()",
            )
            .await?;
        let (presented, successor) = (presented.as_slice(), successor.as_slice());
        let exchanged = client
            .execute(
                &exchange,
                &[&user_no.0, &session_id.0, &presented, &successor, &ttl.as_secs_f64()],
            )
            .await?;
        if exchanged == 1 {
            return Ok(Rotation::Exchanged);
        }
        let row = client
            .query_opt(
                "SELECT ended_at, end_reason, ended_by_type, ended_by_device_name, end_note,
                     refresh_hash = $4 AND previous_refresh_hash = $3
                         AND rotated_at > now() - make_interval(secs => $5) AS repeated,
                     refresh_expires_at <= now() AS expired
                 FROM sessions WHERE user_no = $1 AND session_id = $2",
                &[&user_no.0, &session_id.0, &presented, &successor, &GRACE_SECONDS],
            )
            .await?;
        drop(client);
        let Some(row) = row else { return Ok(Rotation::Unknown) };
        if let Some(end) = read_end(&row) {
            return Ok(Rotation::Ended(Box::new(end)));
        }
        if row.get::<_, Option<bool>>("repeated") == Some(true) {
            return Ok(Rotation::Exchanged);
        }
        let reason = if row.get("expired") { EndReason::Expired } else { EndReason::TokenReused };
        let which = Which::One(session_id);
        // A token that is used twice may have been stolen.
        let audit = (reason == EndReason::TokenReused).then(|| {
            let details =
                json!({ "session_id": session_id.to_string(), "end_reason": reason.name() });
            Audit::unasked(SERVER, "end_session", details)
        });
        self.end_sessions(user_no, &which, &Ending::because(reason), audit)
            .await
            .map(|ended| Rotation::EndedNow(Box::new(ended)))
    }

    /// Ends up to `limit` users' sessions whose refresh tokens have expired (reason EXPIRED).
    pub async fn end_expired(&self, limit: i64) -> Result<Vec<(UserNo, SessionsEnded)>> {
        let client = self.client().await?;
        let expired = client
            .query(
                "SELECT user_no, session_id FROM sessions
                 WHERE ended_at IS NULL AND refresh_expires_at <= now() LIMIT $1",
                &[&limit],
            )
            .await?;
        drop(client);
        let mut all = Vec::with_capacity(expired.len());
        for row in expired {
            let (user_no, session_id) = (UserNo(row.get(0)), SessionId(row.get(1)));
            if let Some(ended) = self.end_if_expired(user_no, session_id).await? {
                all.push((user_no, ended));
            }
        }
        Ok(all)
    }

    async fn end_if_expired(
        &self,
        user_no: UserNo,
        session_id: SessionId,
    ) -> Result<Option<SessionsEnded>> {
        transaction!(self, async |tx| {
            let place = Place::take(&tx, user_no).await?;
            // A refresh may have come between.
            let still = tx
                .query_opt(
                    "SELECT FROM sessions WHERE user_no = $1 AND session_id = $2
                         AND ended_at IS NULL AND refresh_expires_at <= now() FOR UPDATE",
                    &[&user_no.0, &session_id.0],
                )
                .await?;
            if still.is_none() {
                return Ok(None);
            }
            let ending = Ending::because(EndReason::Expired);
            let ended = end_named(&tx, place, user_no, &Which::One(session_id), &ending).await?;
            tx.commit().await?;
            Ok(Some(ended))
        })
    }
}

/// The error of a call whose session has ended.
impl From<SessionEnd> for Error {
    fn from(end: SessionEnd) -> Self {
        Self::SessionEnded(Box::new(end))
    }
}
