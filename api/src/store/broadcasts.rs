//! Messages to many users at a time. Whoever works at a broadcast reads a portion of its users, sends to them, and then
//! moves `done_to` behind the portion, if it still stands where it did: of two who work at the same portion one is
//! counted.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use serde_json::json;
use time::OffsetDateTime;
use tokio_postgres::{Row, types::ToSql};
use uuid::Uuid;

use super::{
    Audit, Store, Transaction,
    since::{Numbered, older_up_to},
    tiers::check_tier,
    transaction,
};
use crate::model::{
    Broadcast, BroadcastAudience, BroadcastState, Content, Error, Notice, Result, UserId, UserNo,
};

/// How many rows are deleted at a time.
const FORGET_BATCH: i64 = 1000;

/// A broadcast to make.
#[derive(Debug)]
pub struct NewBroadcast {
    /// The id that its caller gave it.
    pub broadcast_id: Uuid,
    /// What was asked for, hashed: tells a retry from a reuse of the id.
    pub request_hash: [u8; 32],
    /// Who sends it.
    pub sender: UserNo,
    /// The same by id.
    pub sender_id: UserId,
    /// Whether that is the system.
    pub from_system: bool,
    /// Whom it is for; a list without repetition.
    pub audience: BroadcastAudience<Vec<UserId>>,
    /// What it says.
    pub content: Content,
    /// How terminals are to make it known.
    pub notice: Notice,
    /// Whether it is stored whatever its recipients want.
    pub bypass: bool,
    /// How many users a second it is sent to at most; 0 for as many as can be.
    pub rate: i32,
}

/// A broadcast to work at.
#[derive(Debug, Clone)]
pub struct RunningBroadcast {
    /// Which.
    pub broadcast_no: i64,
    /// The id that its caller gave it.
    pub broadcast_id: Uuid,
    /// Who sends it.
    pub sender: UserNo,
    /// The same by id.
    pub sender_id: UserId,
    /// Whom it is for.
    pub audience: BroadcastAudience<()>,
    /// What it says.
    pub content: Content,
    /// How terminals are to make it known.
    pub notice: Notice,
    /// Whether it is stored whatever its recipients want.
    pub bypass: bool,
    /// How many users a second it is sent to at most; 0 for as many as can be.
    pub rate: i32,
    /// The number of the last user it is for.
    pub last_no: UserNo,
    /// All up to this one are done.
    pub done_to: UserNo,
    /// How many were refused, by the code of the error.
    pub refusals: BTreeMap<String, i64>,
}

/// The columns of a [`Broadcast`].
const COLUMNS: &str = "broadcast_no, broadcast_id, state, sender_id, from_system, audience, tier, silent, no_push, bypass,
    rate, created_by, created_at, finished_at, total, sent, refused, refusals";

fn read(row: &Row) -> Result<Broadcast> {
    let state: i16 = row.get("state");
    let state = BroadcastState::from_number(state)
        .ok_or_else(|| Error::internal(format!("no broadcast has the state {state}")))?;
    Ok(Broadcast {
        broadcast_no: row.get("broadcast_no"),
        broadcast_id: row.get("broadcast_id"),
        state,
        sender_id: UserId::from_stored(row.get("sender_id")),
        from_system: row.get("from_system"),
        audience: read_audience(row)?,
        notice: Notice { silent: row.get("silent"), no_push: row.get("no_push") },
        bypass: row.get("bypass"),
        rate: row.get("rate"),
        created_by: row.get("created_by"),
        created_at: row.get("created_at"),
        finished_at: row.get("finished_at"),
        total: row.get("total"),
        sent: row.get("sent"),
        refused: row.get("refused"),
        refusals: read_refusals(row)?,
    })
}

fn read_audience(row: &Row) -> Result<BroadcastAudience<()>> {
    match row.get::<_, i16>("audience") {
        1 => Ok(BroadcastAudience::All),
        2 => Ok(BroadcastAudience::Tier(row.get("tier"))),
        3 => Ok(BroadcastAudience::Users(())),
        other => Err(Error::internal(format!("no broadcast has the audience {other}"))),
    }
}

fn read_refusals(row: &Row) -> Result<BTreeMap<String, i64>> {
    serde_json::from_value(row.get("refusals")).map_err(Error::internal)
}

impl Store {
    /// Makes a broadcast, which is sent from then on: the broadcast, and whether it was made before.
    ///
    /// Errors: [`Error::BroadcastIdConflict`]; [`Error::TierNotFound`].
    pub async fn create_broadcast(
        &self,
        new: &NewBroadcast,
        audit: Audit<'_>,
    ) -> Result<(Broadcast, bool)> {
        transaction!(self, async |tx| {
            let (audience, tier) = match &new.audience {
                BroadcastAudience::All => (1_i16, ""),
                BroadcastAudience::Tier(tier) => (2, tier.as_str()),
                BroadcastAudience::Users(_) => (3, ""),
            };
            if audience == 2 {
                check_tier(&tx, tier).await?;
            }
            let values: [&(dyn ToSql + Sync); 14] = [
                &new.broadcast_id,
                &new.request_hash.as_slice(),
                &new.sender.0,
                &new.sender_id.as_str(),
                &new.from_system,
                &audience,
                &tier,
                &new.content.content_type(),
                &new.content.body().as_ref(),
                &new.notice.silent,
                &new.notice.no_push,
                &new.bypass,
                &new.rate,
                &audit.actor,
            ];
            let inserted = tx
                .query_opt(
                    "INSERT INTO broadcasts (broadcast_id, request_hash, sender, sender_id, from_system, audience, tier,
                         content_type, body, silent, no_push, bypass, rate, created_by, last_no, total)
                     SELECT $1::uuid, $2::bytea, $3::bigint, $4::text, $5::boolean, $6::smallint, $7::text, $8::text,
                         $9::bytea, $10::boolean, $11::boolean, $12::boolean, $13::integer, $14::text,
                         (SELECT coalesce(max(user_no), 0) FROM users),
                         CASE $6
                             WHEN 1 THEN (SELECT count(*) FROM users WHERE state = 1 AND user_no <> $3)
                             WHEN 2 THEN (SELECT count(*) FROM users
                                          WHERE tier = $7 AND state = 1 AND user_no <> $3)
                             ELSE 0
                         END
                     ON CONFLICT (broadcast_id) DO NOTHING RETURNING broadcast_no",
                    &values,
                )
                .await?;
            let Some(inserted) = inserted else {
                let found = format!(
                    "SELECT request_hash, {COLUMNS} FROM broadcasts WHERE broadcast_id = $1"
                );
                let row = tx.query_one(&found, &[&new.broadcast_id]).await?;
                if row.get::<_, &[u8]>("request_hash") != new.request_hash {
                    return Err(Error::BroadcastIdConflict);
                }
                return Ok((read(&row)?, true));
            };
            if let BroadcastAudience::Users(user_ids) = &new.audience {
                list(&tx, inserted.get(0), user_ids).await?;
            }
            let made = find(&tx, new.broadcast_id).await?;
            let mut audit = audit.clone();
            audit.details["users"] = json!(made.total);
            audit.record(&tx, None).await?;
            tx.commit().await?;
            Ok((made, false))
        })
    }

    /// The broadcasts, the newest first: at most `limit`, all made before the one with the number `before`; only those in
    /// `state`, and only those made at the time `since` or later, where these are given.
    pub async fn broadcasts(
        &self,
        state: Option<BroadcastState>,
        since: Option<OffsetDateTime>,
        before: i64,
        limit: i64,
    ) -> Result<Vec<Broadcast>> {
        let client = self.client().await?;
        let older = older_up_to(&client, Numbered::Broadcasts, since).await?;
        let page = format!(
            "SELECT {COLUMNS} FROM broadcasts
             WHERE ($1::smallint IS NULL OR state = $1) AND ($2::timestamptz IS NULL OR created_at >= $2)
                 AND broadcast_no > $3 AND broadcast_no < $4
             ORDER BY broadcast_no DESC LIMIT $5"
        );
        let state = state.map(|state| state as i16);
        let values: [&(dyn ToSql + Sync); 5] = [&state, &since, &older, &before, &limit];
        client.query(&page, &values).await?.iter().map(read).collect()
    }

    /// One broadcast.
    ///
    /// Errors: [`Error::BroadcastNotFound`].
    pub async fn broadcast(&self, broadcast_id: Uuid) -> Result<Broadcast> {
        let client = self.client().await?;
        let one = format!("SELECT {COLUMNS} FROM broadcasts WHERE broadcast_id = $1");
        let row = client.query_opt(&one, &[&broadcast_id]).await?;
        read(&row.ok_or(Error::BroadcastNotFound)?)
    }

    /// Has a broadcast be running, paused or aborted. One that is so already stays so.
    ///
    /// Errors: [`Error::BroadcastNotFound`]; [`Error::BroadcastEnded`] for one that has ended otherwise.
    pub async fn set_broadcast_state(
        &self,
        broadcast_id: Uuid,
        state: BroadcastState,
        audit: Audit<'_>,
    ) -> Result<Broadcast> {
        transaction!(self, async |tx| {
            let lock =
                format!("SELECT {COLUMNS} FROM broadcasts WHERE broadcast_id = $1 FOR UPDATE");
            let row = tx.query_opt(&lock, &[&broadcast_id]).await?;
            let found = read(&row.ok_or(Error::BroadcastNotFound)?)?;
            if found.state == state {
                return Ok(found);
            }
            if matches!(found.state, BroadcastState::Done | BroadcastState::Aborted) {
                return Err(Error::BroadcastEnded);
            }
            let set = "UPDATE broadcasts SET state = $2 WHERE broadcast_no = $1";
            tx.execute(set, &[&found.broadcast_no, &(state as i16)]).await?;
            if state == BroadcastState::Aborted {
                end(&tx, found.broadcast_no).await?;
            }
            audit.record(&tx, None).await?;
            let changed = find(&tx, broadcast_id).await?;
            tx.commit().await?;
            Ok(changed)
        })
    }

    /// The broadcasts to work at.
    pub async fn running_broadcasts(&self) -> Result<Vec<RunningBroadcast>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT broadcast_no, broadcast_id, sender, sender_id, audience, tier, content_type, body, silent,
                     no_push, bypass, rate, last_no, done_to, refusals
                 FROM broadcasts WHERE state = 1 ORDER BY broadcast_no",
            )
            .await?;
        let running = |row: &Row| {
            Ok(RunningBroadcast {
                broadcast_no: row.get("broadcast_no"),
                broadcast_id: row.get("broadcast_id"),
                sender: UserNo(row.get("sender")),
                sender_id: UserId::from_stored(row.get("sender_id")),
                audience: read_audience(row)?,
                content: Content::from_stored(
                    row.get("content_type"),
                    Bytes::from(row.get::<_, Vec<u8>>("body")),
                ),
                notice: Notice { silent: row.get("silent"), no_push: row.get("no_push") },
                bypass: row.get("bypass"),
                rate: row.get("rate"),
                last_no: UserNo(row.get("last_no")),
                done_to: UserNo(row.get("done_to")),
                refusals: read_refusals(row)?,
            })
        };
        client.query(&statement, &[]).await?.iter().map(running).collect()
    }

    /// The next users that a broadcast is for, at most `limit`.
    pub async fn broadcast_users(
        &self,
        broadcast: &RunningBroadcast,
        limit: i64,
    ) -> Result<Vec<(UserNo, UserId)>> {
        let client = self.client().await?;
        let RunningBroadcast { broadcast_no, sender, last_no, done_to, .. } = broadcast;
        let (done_to, last_no, sender) = (done_to.0, last_no.0, sender.0);
        let rows = match &broadcast.audience {
            BroadcastAudience::All => {
                let statement = client
                    .prepare_cached(
                        "SELECT user_no, user_id FROM users
                         WHERE user_no > $1 AND user_no <= $2 AND state = 1 AND user_no <> $3
                         ORDER BY user_no LIMIT $4",
                    )
                    .await?;
                client.query(&statement, &[&done_to, &last_no, &sender, &limit]).await?
            }
            BroadcastAudience::Tier(tier) => {
                let statement = client
                    .prepare_cached(
                        "SELECT user_no, user_id FROM users
                         WHERE tier = $5 AND user_no > $1 AND user_no <= $2 AND state = 1 AND user_no <> $3
                         ORDER BY user_no LIMIT $4",
                    )
                    .await?;
                client.query(&statement, &[&done_to, &last_no, &sender, &limit, tier]).await?
            }
            BroadcastAudience::Users(()) => {
                let statement = client
                    .prepare_cached(
                        "SELECT u.user_no, u.user_id FROM (
                             SELECT user_no FROM broadcast_users
                             WHERE broadcast_no = $2 AND user_no > $1 ORDER BY user_no LIMIT $3
                         ) b JOIN users u USING (user_no) ORDER BY u.user_no",
                    )
                    .await?;
                client.query(&statement, &[&done_to, broadcast_no, &limit]).await?
            }
        };
        let user =
            |row: &Row| (UserNo(row.get("user_no")), UserId::from_stored(row.get("user_id")));
        Ok(rows.iter().map(user).collect())
    }

    /// Notes that all users of a broadcast up to `done_to` are done, of whom `sent` have the message, unless another has
    /// noted it: the state that the broadcast is in; `None` where it was noted.
    pub async fn advance_broadcast(
        &self,
        broadcast: &RunningBroadcast,
        done_to: UserNo,
        sent: i64,
        refused: i64,
        refusals: &BTreeMap<String, i64>,
    ) -> Result<Option<BroadcastState>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "UPDATE broadcasts SET done_to = $3, sent = sent + $4, refused = refused + $5, refusals = $6
                 WHERE broadcast_no = $1 AND done_to = $2 RETURNING state",
            )
            .await?;
        let values: [&(dyn ToSql + Sync); 6] = [
            &broadcast.broadcast_no,
            &broadcast.done_to.0,
            &done_to.0,
            &sent,
            &refused,
            &json!(refusals),
        ];
        let row = client.query_opt(&statement, &values).await?;
        Ok(row.and_then(|row| BroadcastState::from_number(row.get(0))))
    }

    /// Notes that all users of a broadcast are done.
    pub async fn finish_broadcast(&self, broadcast: &RunningBroadcast) -> Result<()> {
        transaction!(self, async |tx| {
            let finish = "UPDATE broadcasts SET state = 3 WHERE broadcast_no = $1 AND state = 1 AND done_to = $2";
            let finished =
                tx.execute(finish, &[&broadcast.broadcast_no, &broadcast.done_to.0]).await?;
            if finished == 1 {
                end(&tx, broadcast.broadcast_no).await?;
                tx.commit().await?;
            }
            Ok(())
        })
    }

    /// Deletes broadcasts that ended longer ago than `kept`.
    pub async fn forget_broadcasts(&self, kept: Duration) -> Result<()> {
        let client = self.client().await?;
        client
            .execute(
                "DELETE FROM broadcasts WHERE broadcast_no IN (
                     SELECT broadcast_no FROM broadcasts
                     WHERE finished_at < now() - make_interval(secs => $1) ORDER BY broadcast_no LIMIT $2)",
                &[&kept.as_secs_f64(), &FORGET_BATCH],
            )
            .await?;
        Ok(())
    }
}

/// Notes down whom a broadcast is for; counts those who are not there as refused.
async fn list(tx: &Transaction<'_>, broadcast_no: i64, user_ids: &[UserId]) -> Result<()> {
    let names: Vec<&str> = user_ids.iter().map(UserId::as_str).collect();
    let listed = tx
        .execute(
            "INSERT INTO broadcast_users (broadcast_no, user_no)
             SELECT $1, u.user_no FROM unnest($2::text[]) asked (user_id) JOIN users u USING (user_id)
             WHERE u.state IN (1, 2)",
            &[&broadcast_no, &names],
        )
        .await?;
    let total = i64::try_from(user_ids.len()).unwrap_or(i64::MAX);
    let unknown = total - i64::try_from(listed).unwrap_or(total);
    let mut refusals = json!({});
    if let Some(user_id) = user_ids.first().filter(|_| unknown > 0) {
        refusals[Error::UserNotFound(user_id.clone()).code()] = json!(unknown);
    }
    let count =
        "UPDATE broadcasts SET total = $2, refused = $3, refusals = $4 WHERE broadcast_no = $1";
    tx.execute(count, &[&broadcast_no, &total, &unknown, &refusals]).await?;
    Ok(())
}

async fn find(tx: &Transaction<'_>, broadcast_id: Uuid) -> Result<Broadcast> {
    let one = format!("SELECT {COLUMNS} FROM broadcasts WHERE broadcast_id = $1");
    read(&tx.query_one(&one, &[&broadcast_id]).await?)
}

/// What of a broadcast is not needed any more goes.
async fn end(tx: &Transaction<'_>, broadcast_no: i64) -> Result<()> {
    let end = "UPDATE broadcasts SET finished_at = now(), body = '' WHERE broadcast_no = $1";
    tx.execute(end, &[&broadcast_no]).await?;
    tx.execute("DELETE FROM broadcast_users WHERE broadcast_no = $1", &[&broadcast_no]).await?;
    Ok(())
}
