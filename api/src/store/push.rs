//! Whom to tell of messages: the terminals without a stream whose cursors are behind their timelines.

use std::{collections::HashMap, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use time::OffsetDateTime;
use tokio_postgres::{Row, types::ToSql};
use uuid::Uuid;

use super::{Store, conversations::SAID, nodes::ALIVE};
use crate::model::{
    ConversationNo, Error, PushContent, PushProvider, PushTarget, QuietHours, Result, SessionId,
    UserId, UserNo, WebPushTarget,
};

/// Unless the session has another token by now, or has bound this one after the given time.
const DROP: &str = "DELETE FROM push_tokens WHERE user_no = $1 AND session_id = $2 AND token = $3
     AND ($4::timestamptz IS NULL OR bound_at <= $4)";

/// Whether a terminal can be claimed: neither is it, by a node that lives, nor does it rest behind a failure.
fn free() -> String {
    format!(
        "(coalesce(p.claimed_until, now()) <= now()
          OR p.claimed_by IS NOT NULL AND NOT EXISTS (
              SELECT FROM nodes n WHERE n.node_no = p.claimed_by AND {ALIVE}
          ))"
    )
}

/// A terminal that is to be told, claimed by the one who asked.
#[derive(Debug)]
pub struct PushClaim {
    /// Whose terminal.
    pub user_no: UserNo,
    /// Its session.
    pub session_id: SessionId,
    /// Where it is told.
    pub target: PushTarget,
    /// What it is told.
    pub content: PushContent,
    /// The numbering of the timeline.
    pub epoch: i64,
    /// What the terminal has.
    pub cursor_seq: i64,
    /// What it was told of, or did not have to be.
    pub handled_seq: i64,
    /// The end of the timeline.
    pub last_seq: i64,
    /// How often telling it has failed in a row.
    pub failures: i32,
}

/// Which terminals to look at.
#[derive(Debug, Clone, Copy)]
pub enum PushLook<'a> {
    /// Those of these users.
    Users(&'a [UserNo]),
    /// All whose timelines have been still for so long.
    Still(Duration),
}

/// A terminal that is told of messages.
#[derive(Debug)]
pub struct PushToken {
    /// Whose terminal.
    pub user_id: UserId,
    /// The same, by number.
    pub user_no: UserNo,
    /// Its session.
    pub session_id: SessionId,
    /// Its type.
    pub terminal_type: String,
    /// What the device is called.
    pub device_name: String,
    /// Where it is told.
    pub target: PushTarget,
    /// When it was bound to that, the last time.
    pub bound_at: OffsetDateTime,
    /// How often telling it has failed in a row.
    pub failures: i32,
    /// When it is tried again; `None` when nothing has failed.
    pub retry_at: Option<OffsetDateTime>,
}

/// Which terminals to list.
#[derive(Debug, Default)]
pub struct PushFilter {
    /// Only those of this user.
    pub user_no: Option<UserNo>,
    /// Only those that this provider tells.
    pub provider: Option<PushProvider>,
    /// Only those that were bound then or later.
    pub since: Option<OffsetDateTime>,
}

/// What became of telling a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushOutcome {
    /// It was told, or need not be.
    Handled,
    /// To be tried again after so long.
    Later(Duration),
    /// It has a stream: to be looked at again when it has none.
    Connected,
    /// Nobody is there any more: the token is dropped; where it is known since when, unless it was bound after that, and
    /// then it counts as told.
    Gone(Option<OffsetDateTime>),
}

/// How it is about a terminal right before it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushNeed {
    /// It has everything up to here, and no stream.
    Lags(i64),
    /// It has a stream.
    Connected,
    /// Its session has ended.
    Ended,
}

/// What of a conversation need not be told.
#[derive(Debug, Clone, Copy, Default)]
pub struct PushMarks {
    /// The messages up to here are read.
    pub read_seq: i64,
    /// Only messages that mention the user are told.
    pub muted: bool,
}

/// What a user has not read, of the newest entries of its timeline.
#[derive(Debug)]
pub struct NewestUnread {
    /// The place of the newest of these entries; 0 for none.
    pub upto: i64,
    /// The messages: their places, in order, and their conversations.
    pub messages: Vec<(i64, ConversationNo)>,
}

impl PushClaim {
    /// What the terminal has, or was told of.
    #[must_use]
    pub fn has(&self) -> i64 {
        self.cursor_seq.max(self.handled_seq)
    }
}

impl Store {
    /// Binds a token to a session, in the place of the one it has. What stands in the timeline by now is not
    /// told.
    pub async fn set_push(
        &self,
        user_no: UserNo,
        session_id: SessionId,
        target: &PushTarget,
        content: PushContent,
    ) -> Result<()> {
        let (key, secret) = match target {
            PushTarget::WebPush(WebPushTarget { key, secret, .. }) => (Some(key), Some(secret)),
            _ => (None, None),
        };
        let token = target.token();
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "INSERT INTO push_tokens (user_no, session_id, provider, token, web_key, web_secret,
                     content, handled_epoch, handled_seq, failures)
                 SELECT t.owner, s.session_id, $3, $4, $5, $6, $7, stamp(t.epoch), t.last_seq, 0
                 FROM timelines t JOIN sessions s ON s.user_no = t.owner
                 WHERE t.owner = $1 AND s.session_id = $2 AND s.ended_at IS NULL
                 ON CONFLICT (user_no, session_id) DO UPDATE
                 SET provider = excluded.provider, token = excluded.token, web_key = excluded.web_key,
                     web_secret = excluded.web_secret, content = excluded.content,
                     handled_epoch = excluded.handled_epoch, handled_seq = excluded.handled_seq,
                     claimed_until = NULL, claimed_by = NULL, failures = 0, bound_at = now()",
            )
            .await?;
        let (provider, content) = (target.provider() as i16, content as i16);
        client
            .execute(
                &statement,
                &[
                    &user_no.0,
                    &session_id.0,
                    &provider,
                    &token.expose_secret(),
                    &key,
                    &secret,
                    &content,
                ],
            )
            .await?;
        Ok(())
    }

    /// Drops the token of a session, if it has one.
    pub async fn remove_push(&self, user_no: UserNo, session_id: SessionId) -> Result<()> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached("DELETE FROM push_tokens WHERE user_no = $1 AND session_id = $2")
            .await?;
        client.execute(&statement, &[&user_no.0, &session_id.0]).await?;
        Ok(())
    }

    /// Who tells the terminal of a session, if anybody does.
    pub async fn push_of(
        &self,
        user_no: UserNo,
        session_id: SessionId,
    ) -> Result<Option<PushProvider>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT provider FROM push_tokens WHERE user_no = $1 AND session_id = $2",
            )
            .await?;
        let row = client.query_opt(&statement, &[&user_no.0, &session_id.0]).await?;
        row.as_ref().map(|row| read_provider(row.get("provider"))).transpose()
    }

    /// Drops the tokens of sessions that have ended.
    pub async fn forget_push(&self) -> Result<()> {
        let client = self.client().await?;
        client
            .execute(
                "DELETE FROM push_tokens p WHERE NOT EXISTS (
                     SELECT FROM sessions s WHERE s.user_no = p.user_no
                         AND s.session_id = p.session_id AND s.ended_at IS NULL
                 )",
                &[],
            )
            .await?;
        Ok(())
    }

    /// Claims for a node, for so long, terminals that lag and have no stream; at most `limit` of them. One that
    /// another living node has claimed is left out, and so are those of users whose hours are quiet.
    pub async fn claim_push(
        &self,
        look: PushLook<'_>,
        node_no: i64,
        lasts: Duration,
        limit: i64,
    ) -> Result<Vec<PushClaim>> {
        let (asked, still) = match look {
            PushLook::Users(users) => (Some(users.iter().map(|no| no.0).collect::<Vec<_>>()), 0.0),
            PushLook::Still(still) => (None, still.as_secs_f64()),
        };
        let tokens = if asked.is_some() {
            "unnest($1::bigint[]) asked (user_no) JOIN push_tokens p USING (user_no)"
        } else {
            "push_tokens p"
        };
        let free = free();
        let client = self.client().await?;
        let statement = client
            .prepare_cached(&format!(
                "WITH lagging AS MATERIALIZED (
                     SELECT p.user_no, p.session_id, stamp(t.epoch) AS epoch, t.last_seq,
                         CASE WHEN p.handled_epoch = stamp(t.epoch) THEN p.handled_seq ELSE 0 END AS handled,
                         CASE WHEN s.cursor_epoch = stamp(t.epoch) THEN s.cursor_seq ELSE 0 END AS cursor
                     FROM {tokens}
                     JOIN sessions s USING (user_no, session_id)
                     JOIN timelines t ON t.owner = p.user_no
                     WHERE s.ended_at IS NULL AND {free}
                         AND ($1::bigint[] IS NOT NULL
                              OR t.last_at < now() - make_interval(secs => $4))
                         AND NOT EXISTS (
                             SELECT FROM login_points l JOIN nodes n USING (node_no)
                             WHERE l.user_no = p.user_no AND l.session_id = p.session_id AND {ALIVE}
                         )
                         AND NOT EXISTS (
                             SELECT FROM quiet_hours q WHERE q.user_no = p.user_no AND is_quiet(q)
                         )
                 ), free AS (
                     SELECT p.user_no, p.session_id, l.epoch, l.last_seq, l.handled, l.cursor
                     FROM lagging l JOIN push_tokens p USING (user_no, session_id)
                     WHERE l.last_seq > greatest(l.handled, l.cursor) AND {free}
                     LIMIT $3 FOR UPDATE OF p SKIP LOCKED
                 )
                 UPDATE push_tokens p SET claimed_until = now() + make_interval(secs => $2), claimed_by = $5
                 FROM free f
                 WHERE p.user_no = f.user_no AND p.session_id = f.session_id
                 RETURNING p.*, f.epoch, f.last_seq, f.handled, f.cursor"
            ))
            .await?;
        let rows = client
            .query(&statement, &[&asked, &lasts.as_secs_f64(), &limit, &still, &node_no])
            .await?;
        rows.iter().map(read_claim).collect()
    }

    /// How it is about a terminal that was claimed a while ago.
    pub async fn push_need(&self, claim: &PushClaim) -> Result<PushNeed> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(&format!(
                "SELECT CASE WHEN cursor_epoch = $3 THEN cursor_seq ELSE 0 END AS cursor, EXISTS (
                     SELECT FROM login_points l JOIN nodes n USING (node_no)
                     WHERE l.user_no = $1 AND l.session_id = $2 AND {ALIVE}
                 ) AS connected
                 FROM sessions WHERE user_no = $1 AND session_id = $2 AND ended_at IS NULL"
            ))
            .await?;
        let values: [&(dyn ToSql + Sync); 3] =
            [&claim.user_no.0, &claim.session_id.0, &claim.epoch];
        let row = client.query_opt(&statement, &values).await?;
        Ok(match row {
            None => PushNeed::Ended,
            Some(row) if row.get("connected") => PushNeed::Connected,
            Some(row) => PushNeed::Lags(row.get("cursor")),
        })
    }

    /// Notes what became of a claim.
    pub async fn finish_push(&self, claim: &PushClaim, outcome: PushOutcome) -> Result<()> {
        let (user_no, session_id) = (claim.user_no.0, claim.session_id.0);
        let client = self.client().await?;
        match outcome {
            PushOutcome::Handled | PushOutcome::Gone(_) => {
                if let PushOutcome::Gone(since) = outcome {
                    let statement = client.prepare_cached(DROP).await?;
                    let token = claim.target.token().expose_secret();
                    client.execute(&statement, &[&user_no, &session_id, &token, &since]).await?;
                }
                let statement = client
                    .prepare_cached(
                        "UPDATE push_tokens SET handled_epoch = $3, handled_seq = $4,
                             claimed_until = NULL, claimed_by = NULL, failures = 0
                         WHERE user_no = $1 AND session_id = $2",
                    )
                    .await?;
                let (epoch, seq) = (claim.epoch, claim.last_seq);
                client.execute(&statement, &[&user_no, &session_id, &epoch, &seq]).await?;
            }
            PushOutcome::Later(pause) => {
                let statement = client
                    .prepare_cached(
                        "UPDATE push_tokens SET failures = failures + 1,
                             claimed_until = now() + make_interval(secs => $3), claimed_by = NULL
                         WHERE user_no = $1 AND session_id = $2",
                    )
                    .await?;
                let seconds = pause.as_secs_f64();
                client.execute(&statement, &[&user_no, &session_id, &seconds]).await?;
            }
            PushOutcome::Connected => {
                let statement = client
                    .prepare_cached(
                        "UPDATE push_tokens SET claimed_until = NULL, claimed_by = NULL
                         WHERE user_no = $1 AND session_id = $2",
                    )
                    .await?;
                client.execute(&statement, &[&user_no, &session_id]).await?;
            }
        }
        Ok(())
    }

    /// The terminals of live sessions that are told of messages and that `filter` lets through, in the order of users and
    /// sessions: at most `limit`, all after `after`.
    ///
    /// No index serves `since` and `provider`: each terminal binds its token whenever its app starts, and would pay for it.
    /// Where they let few through, all tokens behind `after` are read.
    pub async fn push_tokens(
        &self,
        filter: &PushFilter,
        after: Option<(UserNo, SessionId)>,
        limit: i64,
    ) -> Result<Vec<PushToken>> {
        let (after_user, after_session) = after.unwrap_or((UserNo(0), SessionId(Uuid::nil())));
        let client = self.client().await?;
        // Planned for these values each time: how much the filter lets through depends on them.
        let rows = client
            .query(
                "SELECT p.*, u.user_id, s.terminal_type, s.device_name,
                     CASE WHEN p.failures > 0 THEN p.claimed_until END AS retry_at
                 FROM push_tokens p JOIN sessions s USING (user_no, session_id)
                 JOIN users u USING (user_no)
                 WHERE s.ended_at IS NULL AND ($1::bigint IS NULL OR p.user_no = $1)
                     AND ($2::smallint IS NULL OR p.provider = $2)
                     AND ($3::timestamptz IS NULL OR p.bound_at >= $3)
                     AND (p.user_no, p.session_id) > ($4, $5)
                 ORDER BY p.user_no, p.session_id LIMIT $6",
                &[
                    &filter.user_no.map(|no| no.0),
                    &filter.provider.map(|provider| provider as i16),
                    &filter.since,
                    &after_user.0,
                    &after_session.0,
                    &limit,
                ],
            )
            .await?;
        rows.iter().map(read_token).collect()
    }

    /// Drops a token that is none any more; where it is known since when, unless it was bound after that.
    pub async fn drop_push(&self, token: &PushToken, since: Option<OffsetDateTime>) -> Result<()> {
        let client = self.client().await?;
        let statement = client.prepare_cached(DROP).await?;
        let secret = token.target.token().expose_secret();
        let values: [&(dyn ToSql + Sync); 4] =
            [&token.user_no.0, &token.session_id.0, &secret, &since];
        client.execute(&statement, &values).await?;
        Ok(())
    }

    /// The hours in which a user is told of nothing, if there are any.
    pub async fn quiet_hours(&self, user_no: UserNo) -> Result<Option<QuietHours>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached("SELECT starts, ends, time_zone FROM quiet_hours WHERE user_no = $1")
            .await?;
        let row = client.query_opt(&statement, &[&user_no.0]).await?;
        Ok(row.map(|row| QuietHours {
            from: row.get("starts"),
            to: row.get("ends"),
            time_zone: row.get("time_zone"),
        }))
    }

    /// Sets them. Of a deleted user nothing is written.
    ///
    /// Errors: [`Error::InvalidArgument`] for a time zone that the database does not know.
    pub async fn set_quiet_hours(&self, user_no: UserNo, hours: &QuietHours) -> Result<()> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "WITH known AS (SELECT local_time($4) IS NOT NULL AS known), written AS (
                     INSERT INTO quiet_hours (user_no, starts, ends, time_zone)
                     SELECT u.user_no, $2, $3, $4 FROM users u CROSS JOIN known k
                     WHERE u.user_no = $1 AND u.deleted_at IS NULL AND k.known
                     ON CONFLICT (user_no) DO UPDATE
                     SET starts = excluded.starts, ends = excluded.ends, time_zone = excluded.time_zone
                 )
                 SELECT known FROM known",
            )
            .await?;
        let QuietHours { from, to, time_zone } = hours;
        let row = client.query_one(&statement, &[&user_no.0, from, to, time_zone]).await?;
        if row.get("known") { Ok(()) } else { Err(QuietHours::unknown_time_zone()) }
    }

    /// Takes them back.
    pub async fn remove_quiet_hours(&self, user_no: UserNo) -> Result<()> {
        let client = self.client().await?;
        let statement = client.prepare_cached("DELETE FROM quiet_hours WHERE user_no = $1").await?;
        client.execute(&statement, &[&user_no.0]).await?;
        Ok(())
    }

    /// The messages that a user has not read, of those among the newest `among` entries of its timeline: as its
    /// list of conversations counts them, but of muted conversations those alone that mention the user, as these are
    /// all that it is told of.
    pub async fn newest_unread(&self, user_no: UserNo, among: i64) -> Result<NewestUnread> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(&format!(
                "WITH newest AS MATERIALIZED (
                     SELECT e.seq, e.conversation, e.sender, coalesce(e.flags, 0) & 1 <> 0 AS mentions,
                         {SAID} AS said
                     FROM entries e
                     WHERE e.owner = $1 ORDER BY e.seq DESC LIMIT $2
                 ), read AS (
                     SELECT n.conversation, greatest(
                         max(n.seq) FILTER (WHERE n.sender = $1),
                         (SELECT greatest(m.read_seq, m.answered_seq) FROM read_marks m
                          WHERE m.owner = $1 AND m.conversation = n.conversation)
                     ) AS seq
                     FROM newest n WHERE n.said GROUP BY n.conversation
                 )
                 SELECT (SELECT coalesce(max(seq), 0) FROM newest) AS upto,
                     coalesce(array_agg(n.seq ORDER BY n.seq), '{{}}') AS seqs,
                     coalesce(array_agg(n.conversation ORDER BY n.seq), '{{}}') AS conversations
                 FROM newest n JOIN read r USING (conversation)
                 WHERE n.said AND n.sender <> $1 AND n.seq > coalesce(r.seq, 0)
                     AND (n.mentions OR NOT EXISTS (
                         SELECT FROM conversation_settings s
                         WHERE s.owner = $1 AND s.conversation = n.conversation AND s.muted_until > now()
                     ))"
            ))
            .await?;
        let row = client.query_one(&statement, &[&user_no.0, &among]).await?;
        let (seqs, conversations): (Vec<i64>, Vec<i64>) =
            (row.get("seqs"), row.get("conversations"));
        let messages = seqs.into_iter().zip(conversations.into_iter().map(ConversationNo));
        Ok(NewestUnread { upto: row.get("upto"), messages: messages.collect() })
    }

    /// Whether a conversation has a message by another after one place and up to another.
    pub async fn has_received(
        &self,
        user_no: UserNo,
        conversation: ConversationNo,
        after: i64,
        upto: i64,
    ) -> Result<bool> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT EXISTS (
                     SELECT FROM entries WHERE owner = $1 AND conversation = $2 AND seq > $3 AND seq <= $4
                         AND kind = 1 AND sender <> $1 AND tombstone IS DISTINCT FROM 2
                 )",
            )
            .await?;
        let values: [&(dyn ToSql + Sync); 4] = [&user_no.0, &conversation.0, &after, &upto];
        Ok(client.query_one(&statement, &values).await?.get(0))
    }

    /// How far a user has read the conversations, and which it has muted. Those that are neither read nor
    /// muted are left out.
    pub async fn push_marks(
        &self,
        user_no: UserNo,
        conversations: &[ConversationNo],
    ) -> Result<HashMap<ConversationNo, PushMarks>> {
        let numbers: Vec<i64> = conversations.iter().map(|conversation| conversation.0).collect();
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT conversation, coalesce(r.read_seq, 0) AS read_seq,
                     coalesce(s.muted_until > now(), false) AS muted
                 FROM (
                     SELECT conversation, read_seq FROM read_marks
                     WHERE owner = $1 AND conversation = ANY($2)
                 ) r
                 FULL JOIN (
                     SELECT conversation, muted_until FROM conversation_settings
                     WHERE owner = $1 AND conversation = ANY($2)
                 ) s USING (conversation)",
            )
            .await?;
        let rows = client.query(&statement, &[&user_no.0, &numbers]).await?;
        let marks = |row: &Row| {
            let marks = PushMarks { read_seq: row.get("read_seq"), muted: row.get("muted") };
            (ConversationNo(row.get("conversation")), marks)
        };
        Ok(rows.iter().map(marks).collect())
    }
}

fn read_provider(number: i16) -> Result<PushProvider> {
    PushProvider::from_number(number)
        .ok_or_else(|| Error::internal(format!("no push provider has number {number}")))
}

fn read_token(row: &Row) -> Result<PushToken> {
    Ok(PushToken {
        user_id: UserId::from_stored(row.get("user_id")),
        user_no: UserNo(row.get("user_no")),
        session_id: SessionId(row.get("session_id")),
        terminal_type: row.get("terminal_type"),
        device_name: row.get("device_name"),
        target: read_target(row)?,
        bound_at: row.get("bound_at"),
        failures: row.get("failures"),
        retry_at: row.get("retry_at"),
    })
}

fn read_target(row: &Row) -> Result<PushTarget> {
    let token = SecretString::from(row.get::<_, String>("token"));
    Ok(match read_provider(row.get("provider"))? {
        PushProvider::Webhook => PushTarget::Webhook(token),
        PushProvider::Apns => PushTarget::Apns(token),
        PushProvider::Fcm => PushTarget::Fcm(token),
        PushProvider::WebPush => {
            let bytes = |column| row.get::<_, Option<Vec<u8>>>(column).unwrap_or_default();
            PushTarget::WebPush(WebPushTarget {
                endpoint: token,
                key: bytes("web_key"),
                secret: bytes("web_secret"),
            })
        }
    })
}

fn read_claim(row: &Row) -> Result<PushClaim> {
    Ok(PushClaim {
        user_no: UserNo(row.get("user_no")),
        session_id: SessionId(row.get("session_id")),
        target: read_target(row)?,
        content: PushContent::from_number(row.get("content")).unwrap_or(PushContent::Id),
        epoch: row.get("epoch"),
        cursor_seq: row.get("cursor"),
        handled_seq: row.get("handled"),
        last_seq: row.get("last_seq"),
        failures: row.get("failures"),
    })
}
