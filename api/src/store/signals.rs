//! Who may send a signal to whom: the same as with messages, but nothing is locked, since nothing is stored.

use std::collections::{BTreeSet, HashMap};

use tokio_postgres::{Row, types::ToSql};
use uuid::Uuid;

use super::{
    Store, Transaction,
    append::{kept_out, not_taken, other_closed},
    sessions::read_end,
};
use crate::model::{
    ConversationId, ConversationNo, Error, GroupNo, IfBlocked, Result, SessionId, UserNo, WhoMay,
};

/// From whom a signal is and to whom.
#[derive(Debug, Clone)]
pub struct SignalCheck {
    /// Who sends it.
    pub sender: UserNo,
    /// The session it is sent from, which must be live.
    pub session_id: SessionId,
    /// The recipient, or a group.
    pub to: ConversationNo,
    /// The same, by id.
    pub to_id: ConversationId,
    /// What becomes of it when the recipient blocks the sender.
    pub if_blocked: IfBlocked,
}

/// What becomes of a signal that is not refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalVerdict {
    /// The recipients get it.
    Admitted,
    /// The recipient blocks the sender, who is not to know: nobody gets it.
    Withheld,
}

impl SignalCheck {
    /// What becomes of what the sender writes to the recipient or the group, by a row of [`MAY_WRITE`].
    fn judge(&self, row: &Row) -> Result<SignalVerdict> {
        let refusal = other_closed(&self.to_id, row)
            .or_else(|| kept_out(row))
            .or_else(|| not_taken(&self.to_id, row));
        match (refusal, row.get("blocked"), &self.to_id) {
            (Some(refusal), ..) => Err(refusal),
            (None, false, _) => Ok(SignalVerdict::Admitted),
            (None, true, ConversationId::User(user_id)) if self.if_blocked == IfBlocked::Refuse => {
                Err(Error::Blocked(user_id.clone()))
            }
            (None, true, _) => Ok(SignalVerdict::Withheld),
        }
    }
}

/// What becomes of what a sender, whose session is live, writes to a recipient or a group, behind the locks of
/// their timelines.
pub(super) async fn admit(
    tx: &Transaction<'_>,
    check: &SignalCheck,
    messages_from: WhoMay,
) -> Result<SignalVerdict> {
    let statement = tx.prepare_cached(MAY_WRITE).await?;
    let (senders, sessions, others) = ([check.sender.0], [check.session_id.0], [check.to.0]);
    let from = messages_from as i16;
    let values: [&(dyn ToSql + Sync); 4] =
        [&senders.as_slice(), &sessions.as_slice(), &others.as_slice(), &from];
    check.judge(&tx.query_one(&statement, &values).await?)
}

/// Whether a block keeps from the other user what becomes of a message between the two; not where there is no check to
/// make, because the other has no copy or all are to know.
///
/// Errors: those of a message to the other user.
pub(super) async fn is_withheld(
    tx: &Transaction<'_>,
    check: Option<SignalCheck>,
    messages_from: WhoMay,
) -> Result<bool> {
    let Some(check) = check else { return Ok(false) };
    Ok(admit(tx, &check, messages_from).await? == SignalVerdict::Withheld)
}

/// Selects what may keep each sender `$1`, from the session `$2`, from writing to `$3`, whose users take messages
/// from `$4` where they have not said. The conditions are those of a message: see append.sql.
const MAY_WRITE: &str = "SELECT s.session_id AS session, s.ended_at, s.end_reason, s.ended_by_type,
         s.ended_by_device_name, s.end_note, received.state AS other_state,
         theirs.owner IS NOT NULL AS blocked, own.owner IS NOT NULL AS recipient_blocked,
         CASE WHEN i.other < 0 OR i.other = i.sender THEN NULL
             ELSE CASE coalesce(received.messages_from, $4::smallint)
                 WHEN 1 THEN NULL
                 WHEN 2 THEN CASE (
                     SELECT c.state FROM contacts c
                     WHERE c.owner = i.other AND c.contact = i.sender
                 ) WHEN 3 THEN NULL ELSE 2 END
                 ELSE 3
             END
         END AS accepts_from,
         CASE WHEN i.other > 0 THEN NULL
             WHEN m.user_no IS NULL THEN 1
             WHEN m.muted_until > now() THEN 2
             WHEN g.muted AND m.role = 1 THEN 3
         END AS group_refusal, m.muted_until
     FROM unnest($1::bigint[], $2::uuid[], $3::bigint[]) WITH ORDINALITY
         i (sender, session_id, other, item)
     LEFT JOIN sessions s ON s.user_no = i.sender AND s.session_id = i.session_id
     LEFT JOIN timelines received ON received.owner = i.other
     LEFT JOIN blocks theirs ON theirs.owner = i.other AND theirs.blocked = i.sender
     LEFT JOIN blocks own ON own.owner = i.sender AND own.blocked = i.other
     LEFT JOIN groups g ON g.group_no = -i.other
     LEFT JOIN group_members m
         ON m.group_no = -i.other AND m.user_no = i.sender AND m.left_seq IS NULL
     ORDER BY i.item";

impl Store {
    /// What becomes of each of the signals, in their order, where a recipient who has not said takes messages
    /// from `messages_from`.
    pub async fn check_signals(
        &self,
        checks: &[&SignalCheck],
        messages_from: WhoMay,
    ) -> Result<Vec<Result<SignalVerdict>>> {
        let senders: Vec<i64> = checks.iter().map(|check| check.sender.0).collect();
        let sessions: Vec<Uuid> = checks.iter().map(|check| check.session_id.0).collect();
        let others: Vec<i64> = checks.iter().map(|check| check.to.0).collect();
        let client = self.client().await?;
        let statement = client.prepare_cached(MAY_WRITE).await?;
        let from = messages_from as i16;
        let rows = client.query(&statement, &[&senders, &sessions, &others, &from]).await?;
        drop(client);
        let mut verdicts = Vec::with_capacity(checks.len());
        for (check, row) in checks.iter().zip(&rows) {
            verdicts.push(self.verdict(check, row).await);
        }
        Ok(verdicts)
    }

    async fn verdict(&self, check: &SignalCheck, row: &Row) -> Result<SignalVerdict> {
        if row.get::<_, Option<Uuid>>("session").is_none() {
            // Those of a deleted user are gone: why, the user says.
            self.check_session(check.sender, check.session_id).await?.require_live()?;
        }
        if let Some(end) = read_end(row) {
            return Err(end.into());
        }
        check.judge(row)
    }

    /// The members of groups.
    pub async fn members_of_groups(
        &self,
        group_nos: &BTreeSet<GroupNo>,
    ) -> Result<HashMap<GroupNo, Vec<UserNo>>> {
        let group_nos: Vec<i64> = group_nos.iter().map(|group_no| group_no.0).collect();
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT group_no, user_no FROM group_members
                 WHERE group_no = ANY($1) AND left_seq IS NULL",
            )
            .await?;
        let mut members: HashMap<GroupNo, Vec<UserNo>> = HashMap::new();
        for row in client.query(&statement, &[&group_nos]).await? {
            let group_no = GroupNo(row.get("group_no"));
            members.entry(group_no).or_default().push(UserNo(row.get("user_no")));
        }
        Ok(members)
    }
}
