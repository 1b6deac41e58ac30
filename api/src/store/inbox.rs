//! Messages that transactions of the customer's ask for, in SQL. Its roles call functions of the schema `imd`, which
//! write requests into `inbox` in the caller's transaction; a node that finds a request sends the message as it does
//! for a backend, and notes what became of it.
//!
//! The requests are divided into partitions by their senders. Who meets those of a partition has leased it, so that the
//! requests of one sender are met one after another. A lease that runs out while its holder works does no harm but
//! that a message may be sent twice, which its `client_message_id` has stored once; and only who holds the lease notes
//! what became of a request.

use std::time::Duration;

use bytes::Bytes;
use time::OffsetDateTime;
use tokio_postgres::{Client, Row, types::ToSql};
use uuid::Uuid;

use super::{Listener, Store, transaction};
use crate::model::{Content, Result, SealedMessageId};

/// Where nodes hear that there are requests.
const CHANNEL: &str = "imd_inbox";

/// Where the customer's clients can hear that a request was refused: its number.
const REFUSED: &str = "imd_refused";

/// The schema with the functions for the customer's roles. Made at a node's start and not by a migration: it needs a
/// right that imd's role may lack, and imd works without it.
///
/// The functions run with the rights of imd's role, so each has a search path of its own, which ends with the schema of
/// the caller's temporary tables: nothing that a caller makes is found in place of what they mean. The first statement
/// makes that path the current one until the commit; `FROM CURRENT` keeps it.
const FUNCTIONS: &str = "
    BEGIN;
    SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);
    CREATE SCHEMA IF NOT EXISTS imd;

    CREATE FUNCTION imd.send(
        sender text, recipient text, client_message_id uuid, text text DEFAULT NULL,
        content_type text DEFAULT NULL, data bytea DEFAULT NULL,
        silent boolean DEFAULT false, no_push boolean DEFAULT false, bypass boolean DEFAULT false
    ) RETURNS bigint LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path FROM CURRENT
        AS $$ SELECT put_into_inbox('user:' || $1, $2, $3, $4, $5, $6, $7, $8, $9) $$;
    COMMENT ON FUNCTION imd.send IS
        'Has imd send a message as a user when the transaction commits; returns the number of the request.';

    CREATE FUNCTION imd.send_system(
        sender text, recipient text, client_message_id uuid, text text DEFAULT NULL,
        content_type text DEFAULT NULL, data bytea DEFAULT NULL,
        silent boolean DEFAULT false, no_push boolean DEFAULT false, bypass boolean DEFAULT false
    ) RETURNS bigint LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path FROM CURRENT
        AS $$ SELECT put_into_inbox('system:' || $1, $2, $3, $4, $5, $6, $7, $8, $9) $$;
    COMMENT ON FUNCTION imd.send_system IS
        'Has imd send a message as the system when the transaction commits; returns the number of the request.';

    CREATE VIEW imd.requests WITH (security_barrier) AS
        SELECT request_id, requested_at, sender, recipient, client_message_id,
            CASE state WHEN 1 THEN 'waiting' WHEN 2 THEN 'sent' ELSE 'refused' END AS status,
            code, detail, message_id, done_at
        FROM inbox WHERE requested_by = session_user;
    COMMENT ON VIEW imd.requests IS
        'What became of the messages that the current role has asked for, for seven days.';

    REVOKE ALL ON FUNCTION imd.send, imd.send_system FROM PUBLIC;
    COMMIT;";

/// The right to meet the requests of one partition, until the lease runs out.
#[derive(Debug, Clone)]
pub struct InboxClaim {
    partition: i16,
    lease: Uuid,
}

/// A message that a transaction has asked for.
#[derive(Debug, Clone)]
pub struct InboxRequest {
    /// Which request.
    pub request_id: i64,
    /// The role of the database that asked.
    pub requested_by: String,
    /// When its transaction began.
    pub requested_at: OffsetDateTime,
    /// Who is to have sent it: `user:` or `system:`, and an id.
    pub sender: String,
    /// To whom: `user:` or `group:`, and an id.
    pub recipient: String,
    /// The id that a message is stored under once.
    pub client_message_id: Uuid,
    /// What it says; not checked yet.
    pub content: Content,
    /// Whether terminals are to show it without a sound.
    pub silent: bool,
    /// Whether terminals without a stream are not to be pushed for it.
    pub no_push: bool,
    /// Whether it is stored whatever the recipient or the group wants.
    pub bypass: bool,
}

/// What became of a request.
#[derive(Debug)]
pub struct InboxOutcome {
    /// Which request.
    pub request_id: i64,
    /// The message, or why there is none: an error code, and the same in words.
    pub result: Result<SealedMessageId, (String, String)>,
}

/// Makes the schema `imd`, where it lacks and the role may make it: whether it is there.
pub(super) async fn make_functions(client: &Client) -> Result<bool, tokio_postgres::Error> {
    let row = client
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
                            WHERE n.nspname = 'imd' AND p.proname = 'send_system') AS made,
                 coalesce((SELECT has_schema_privilege(n.oid, 'CREATE') AND has_schema_privilege(n.oid, 'USAGE')
                           FROM pg_namespace n WHERE n.nspname = 'imd'),
                     has_database_privilege(current_database(), 'CREATE')) AS may_make",
            &[],
        )
        .await?;
    if row.get("made") {
        return Ok(true);
    }
    let may_make = row.get("may_make");
    if may_make {
        client.batch_execute(FUNCTIONS).await?;
    }
    Ok(may_make)
}

impl Store {
    /// Hears of requests from now on.
    pub async fn listen_to_inbox(&self) -> Result<Listener> {
        self.listen(CHANNEL).await
    }

    /// Leases, for so long, partitions in which requests wait.
    pub async fn claim_inbox(&self, lasts: Duration) -> Result<Vec<InboxClaim>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "WITH free AS (
                     SELECT p.partition FROM inbox_partitions p
                     WHERE p.leased_until < now()
                         AND EXISTS (SELECT FROM inbox i WHERE i.partition = p.partition AND i.state = 1)
                     FOR UPDATE OF p SKIP LOCKED
                 )
                 UPDATE inbox_partitions p SET lease = $1, leased_until = now() + make_interval(secs => $2)
                 FROM free f WHERE p.partition = f.partition
                 RETURNING p.partition",
            )
            .await?;
        let lease = Uuid::now_v7();
        let rows = client.query(&statement, &[&lease, &lasts.as_secs_f64()]).await?;
        Ok(rows.iter().map(|row| InboxClaim { partition: row.get(0), lease }).collect())
    }

    /// Renews a claim and reads the next requests of the partition, at most `limit`, those of the senders `passed_over`
    /// left out; `None` when the claim holds no longer.
    pub async fn inbox_requests(
        &self,
        claim: &InboxClaim,
        lasts: Duration,
        passed_over: &[String],
        limit: i64,
    ) -> Result<Option<Vec<InboxRequest>>> {
        let client = self.client().await?;
        let renew = client
            .prepare_cached(
                "UPDATE inbox_partitions SET leased_until = now() + make_interval(secs => $3)
                 WHERE partition = $1 AND lease = $2",
            )
            .await?;
        let InboxClaim { partition, lease } = claim;
        if client.execute(&renew, &[partition, lease, &lasts.as_secs_f64()]).await? == 0 {
            return Ok(None);
        }
        let read = client
            .prepare_cached(
                "SELECT request_id, requested_by, requested_at, sender, recipient, client_message_id, content_type,
                     body, silent, no_push, bypass
                 FROM inbox WHERE partition = $1 AND state = 1 AND sender <> ALL ($2)
                 ORDER BY request_id LIMIT $3",
            )
            .await?;
        let rows = client.query(&read, &[partition, &passed_over, &limit]).await?;
        let request = |row: &Row| InboxRequest {
            request_id: row.get("request_id"),
            requested_by: row.get("requested_by"),
            requested_at: row.get("requested_at"),
            sender: row.get("sender"),
            recipient: row.get("recipient"),
            client_message_id: row.get("client_message_id"),
            content: Content::from_stored(
                row.get("content_type"),
                Bytes::from(row.get::<_, Vec<u8>>("body")),
            ),
            silent: row.get("silent"),
            no_push: row.get("no_push"),
            bypass: row.get("bypass"),
        };
        Ok(Some(rows.iter().map(request).collect()))
    }

    /// Notes what became of requests, if the claim still holds, and says so where clients listen for refusals.
    pub async fn finish_inbox(&self, claim: &InboxClaim, outcomes: &[InboxOutcome]) -> Result<()> {
        let request_ids: Vec<i64> = outcomes.iter().map(|outcome| outcome.request_id).collect();
        let message_ids: Vec<Option<String>> = outcomes
            .iter()
            .map(|outcome| outcome.result.as_ref().ok().map(ToString::to_string))
            .collect();
        let refusals = outcomes.iter().map(|outcome| outcome.result.as_ref().err());
        let (codes, details): (Vec<Option<&str>>, Vec<Option<&str>>) = refusals
            .map(|refusal| refusal.map(|(code, detail)| (&**code, &**detail)).unzip())
            .unzip();
        transaction!(self, async |tx| {
            let finish = tx
                .prepare_cached(
                    "UPDATE inbox i SET state = CASE WHEN d.code IS NULL THEN 2 ELSE 3 END, done_at = now(),
                         body = NULL, message_id = d.message_id, code = d.code, detail = d.detail
                     FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) d
                         (request_id, message_id, code, detail)
                     WHERE i.request_id = d.request_id AND i.state = 1
                         AND EXISTS (SELECT FROM inbox_partitions p WHERE p.partition = $5 AND p.lease = $6)",
                )
                .await?;
            let values: [&(dyn ToSql + Sync); 6] =
                [&request_ids, &message_ids, &codes, &details, &claim.partition, &claim.lease];
            let finished = tx.execute(&finish, &values).await?;
            if finished > 0 && codes.iter().any(Option::is_some) {
                let tell = tx
                    .prepare_cached(
                        "SELECT pg_notify($1, d.request_id::text)
                         FROM unnest($2::bigint[], $3::text[]) d (request_id, code) WHERE d.code IS NOT NULL",
                    )
                    .await?;
                tx.execute(&tell, &[&REFUSED, &request_ids, &codes]).await?;
            }
            tx.commit().await?;
            Ok(())
        })
    }

    /// Gives a claim up: any node may take it once `pause` is over.
    pub async fn release_inbox(&self, claim: &InboxClaim, pause: Duration) -> Result<()> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "UPDATE inbox_partitions SET lease = NULL,
                     leased_until = CASE WHEN $3::float8 = 0 THEN '-infinity' ELSE now() + make_interval(secs => $3) END
                 WHERE partition = $1 AND lease = $2",
            )
            .await?;
        let InboxClaim { partition, lease } = claim;
        client.execute(&statement, &[partition, lease, &pause.as_secs_f64()]).await?;
        Ok(())
    }

    /// Deletes the requests that have been done for longer than `kept`, up to `limit`: how many.
    pub async fn forget_inbox(&self, kept: Duration, limit: i64) -> Result<i64> {
        let client = self.client().await?;
        let deleted = client
            .execute(
                "DELETE FROM inbox WHERE request_id IN (
                     SELECT request_id FROM inbox
                     WHERE state <> 1 AND done_at < now() - make_interval(secs => $1)
                     ORDER BY done_at LIMIT $2)",
                &[&kept.as_secs_f64(), &limit],
            )
            .await?;
        Ok(i64::try_from(deleted).unwrap_or(limit))
    }
}
