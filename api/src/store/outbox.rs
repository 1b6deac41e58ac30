//! Events that wait for webhooks. They are written by the transactions that they tell of: messages by
//! `append.sql`, all else where a place of a timeline is filled. Here they are delivered, by whichever node has
//! leased a partition of a webhook.

use std::time::Duration;

use secrecy::SecretSlice;
use serde_json::json;
use time::OffsetDateTime;
use tokio_postgres::{Row, types::ToSql};
use uuid::Uuid;

use super::{
    Audit, Store, Transaction, transaction,
    webhooks::{read_filter, read_secrets, tell_of},
};
use crate::model::{EventKind, MessageId, Result, TimelineNo, UserNo, WebhookFilter, WebhookState};

/// Who pauses webhooks that are dead, in the audit.
const DELIVERY: &str = "webhook delivery";

/// How many rows are deleted at a time.
const FORGET_BATCH: i64 = 5000;

/// The right to deliver the events of one partition of a webhook, in their order, until the lease runs out.
#[derive(Debug, Clone)]
pub struct DeliveryClaim {
    /// Which webhook.
    pub webhook_no: i32,
    /// Which partition of it.
    pub partition: i16,
    /// The lease.
    pub lease: Uuid,
    /// How many requests have failed in a row.
    pub failures: i32,
    /// Since when they have.
    pub failing_since: Option<OffsetDateTime>,
}

/// The next events of a claim, and where they go.
#[derive(Debug)]
pub struct PendingEvents {
    /// The webhook's id.
    pub webhook_id: Uuid,
    /// Where it is.
    pub url: String,
    /// What requests are signed with, the newest secret first.
    pub secrets: Vec<SecretSlice<u8>>,
    /// Whether somebody watches the requests to it.
    pub tailed: bool,
    /// Which of them it is told of.
    pub filter: WebhookFilter,
    /// The events, in the order of each timeline.
    pub events: Vec<OutboxEvent>,
}

/// An event that was committed.
#[derive(Debug, Clone)]
pub struct OutboxEvent {
    /// When its entry was appended.
    pub at: OffsetDateTime,
    /// The place of the entry. It also names the event.
    pub place: MessageId,
    /// Which part of the entry it is, from 0 on.
    pub part: i16,
    /// What happened; `None` for what a newer node has written.
    pub kind: Option<EventKind>,
}

/// The columns of events' keys, one array each.
struct Keys {
    at: Vec<OffsetDateTime>,
    owners: Vec<i64>,
    seqs: Vec<i64>,
    parts: Vec<i16>,
}

impl Keys {
    fn of(events: &[OutboxEvent]) -> Self {
        Self {
            at: events.iter().map(|event| event.at).collect(),
            owners: events.iter().map(|event| event.place.home.0).collect(),
            seqs: events.iter().map(|event| event.place.seq).collect(),
            parts: events.iter().map(|event| event.part).collect(),
        }
    }
}

/// `outbox.part` of what happens to an account and is no entry of its timeline: this, and the kind. So it comes behind
/// the entry at whose place it stands, the newest at that time.
pub const BESIDE_ENTRIES: i16 = 1000;

/// Writes an event about an account, as things are now, for the webhooks that are to be told of it. Behind the lock of
/// its timeline, or where the transaction has made that.
pub(super) async fn tell_of_user(
    tx: &Transaction<'_>,
    user_no: UserNo,
    kind: EventKind,
) -> Result<()> {
    tell_of_user_at(tx, user_no, kind, None).await
}

/// As [`tell_of_user`], at a place of its timeline.
pub(super) async fn tell_of_user_at(
    tx: &Transaction<'_>,
    user_no: UserNo,
    kind: EventKind,
    seq: Option<i64>,
) -> Result<()> {
    let statement = tx
        .prepare_cached(
            "WITH event AS MATERIALIZED (
                 SELECT (abs(t.owner) % 16)::smallint AS partition, greatest(t.last_at, now()) AS at,
                     t.owner, coalesce($4, t.last_seq) AS seq, $2::smallint AS part
                 FROM timelines t
                 WHERE t.owner = $1 AND EXISTS (SELECT FROM webhook_kinds k WHERE k.kind = $3)
             ), outboxed AS (
                 INSERT INTO outbox (partition, at, owner, seq, part, kind, generation)
                 SELECT partition, at, owner, seq, part, $3, nullif(current_generation(), 0) FROM event
             )
             INSERT INTO webhook_queue (webhook_no, partition, at, owner, seq, part)
             SELECT k.webhook_no, e.partition, e.at, e.owner, e.seq, e.part
             FROM event e CROSS JOIN webhook_kinds k WHERE k.kind = $3",
        )
        .await?;
    let number = kind as i16;
    tx.execute(&statement, &[&user_no.0, &(BESIDE_ENTRIES + number), &number, &seq]).await?;
    Ok(())
}

/// Takes events out of a partition's queue, if the lease still holds.
const DEQUEUE: &str = "DELETE FROM webhook_queue q
     USING unnest($4::timestamptz[], $5::bigint[], $6::bigint[], $7::smallint[]) e (at, owner, seq, part)
     WHERE q.webhook_no = $1 AND q.partition = $2 AND q.at = e.at AND q.owner = e.owner AND q.seq = e.seq
         AND q.part = e.part
         AND EXISTS (SELECT FROM webhook_partitions p
                     WHERE p.webhook_no = $1 AND p.partition = $2 AND p.lease = $3)";

impl Store {
    /// Until this process has written events since the last time.
    pub async fn events_written(&self) {
        self.0.outbox.notified().await;
    }

    /// Says that there may be something to deliver.
    pub fn look_for_events(&self) {
        self.0.outbox.notify_one();
    }

    /// Leases, for so long, partitions of webhooks for which events wait; at most `limit`.
    pub async fn claim_deliveries(
        &self,
        lasts: Duration,
        limit: i64,
    ) -> Result<Vec<DeliveryClaim>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "WITH free AS (
                     SELECT p.webhook_no, p.partition FROM webhooks w
                     JOIN webhook_partitions p USING (webhook_no)
                     WHERE w.state = $4 AND p.leased_until < now() AND p.retry_at <= now()
                         AND EXISTS (SELECT FROM webhook_queue q
                                     WHERE q.webhook_no = p.webhook_no AND q.partition = p.partition)
                     ORDER BY p.leased_until LIMIT $3 FOR UPDATE OF p SKIP LOCKED
                 )
                 UPDATE webhook_partitions p
                 SET lease = $1, leased_until = now() + make_interval(secs => $2)
                 FROM free f
                 WHERE p.webhook_no = f.webhook_no AND p.partition = f.partition
                 RETURNING p.webhook_no, p.partition, p.failures, p.failing_since",
            )
            .await?;
        let lease = Uuid::now_v7();
        let active = WebhookState::Active as i16;
        let values: [&(dyn ToSql + Sync); 4] = [&lease, &lasts.as_secs_f64(), &limit, &active];
        let rows = client.query(&statement, &values).await?;
        let claim = |row: &Row| DeliveryClaim {
            webhook_no: row.get("webhook_no"),
            partition: row.get("partition"),
            lease,
            failures: row.get("failures"),
            failing_since: row.get("failing_since"),
        };
        Ok(rows.iter().map(claim).collect())
    }

    /// The next events of a claim, at most `limit`; `None` when the claim holds no longer, or the webhook is to be told
    /// of nothing.
    pub async fn pending_events(
        &self,
        claim: &DeliveryClaim,
        limit: i64,
    ) -> Result<Option<PendingEvents>> {
        let client = self.client().await?;
        let find = client
            .prepare_cached(
                "SELECT w.webhook_id, w.url, w.filter, w.tailed_until > now() AS tailed, w.secret,
                     CASE WHEN w.previous_until > now() THEN w.previous_secret END AS previous_secret
                 FROM webhook_partitions p JOIN webhooks w USING (webhook_no)
                 WHERE p.webhook_no = $1 AND p.partition = $2 AND p.lease = $3 AND w.state = $4",
            )
            .await?;
        let read = client
            .prepare_cached(
                "SELECT o.at, o.owner, o.seq, o.part, o.kind, coalesce(o.generation, 0::smallint) AS generation
                 FROM (
                     SELECT partition, at, owner, seq, part FROM webhook_queue
                     WHERE webhook_no = $1 AND partition = $2
                     ORDER BY at, owner, seq, part LIMIT $3
                 ) q
                 JOIN outbox o ON o.partition = q.partition AND o.at = q.at AND o.owner = q.owner
                     AND o.seq = q.seq AND o.part = q.part
                 ORDER BY o.at, o.owner, o.seq, o.part",
            )
            .await?;
        let DeliveryClaim { webhook_no, partition, lease, .. } = claim;
        let active = WebhookState::Active as i16;
        let webhook: [&(dyn ToSql + Sync); 4] = [webhook_no, partition, lease, &active];
        let events: [&(dyn ToSql + Sync); 3] = [webhook_no, partition, &limit];
        let (row, rows) =
            tokio::try_join!(client.query_opt(&find, &webhook), client.query(&read, &events))?;
        let Some(row) = row else { return Ok(None) };
        let event = |row: &Row| OutboxEvent {
            at: row.get("at"),
            place: MessageId {
                home: TimelineNo(row.get("owner")),
                seq: row.get("seq"),
                generation: row.get("generation"),
            },
            part: row.get("part"),
            kind: EventKind::from_number(row.get("kind")),
        };
        Ok(Some(PendingEvents {
            webhook_id: row.get("webhook_id"),
            url: row.get("url"),
            secrets: read_secrets(&row),
            filter: read_filter(&row)?,
            tailed: row.get("tailed"),
            events: rows.iter().map(event).collect(),
        }))
    }

    /// Notes that events were acknowledged, and renews the claim for so long. What was delivered by one whose claim has
    /// run out is delivered again.
    ///
    /// The commit waits for no flush: what a crash takes back is delivered again, too.
    pub async fn finish_events(
        &self,
        claim: &DeliveryClaim,
        lasts: Duration,
        events: &[OutboxEvent],
    ) -> Result<()> {
        let DeliveryClaim { webhook_no, partition, lease, .. } = claim;
        let Keys { at, owners, seqs, parts } = Keys::of(events);
        let client = self.client().await?;
        let statement = client
            .prepare_cached(&format!(
                "WITH claim AS (
                     UPDATE webhook_partitions
                     SET leased_until = now() + make_interval(secs => $8), failures = 0, failing_since = NULL
                     WHERE webhook_no = $1 AND partition = $2 AND lease = $3
                     RETURNING lease
                 ), well AS (
                     -- Not by each request, for which its partitions would wait for each other.
                     UPDATE webhooks SET delivered_at = now(), failing_since = NULL, failures = 0, error = ''
                     WHERE webhook_no = $1 AND (failing_since IS NOT NULL
                         OR coalesce(delivered_at, '-infinity') < now() - interval '1 second')
                 ), dequeued AS (
                     {DEQUEUE} AND EXISTS (SELECT FROM claim)
                 )
                 SELECT set_config('synchronous_commit', 'off', true)"
            ))
            .await?;
        let values: [&(dyn ToSql + Sync); 8] =
            [webhook_no, partition, lease, &at, &owners, &seqs, &parts, &lasts.as_secs_f64()];
        client.query(&statement, &values).await?;
        Ok(())
    }

    /// Notes that a request has failed, and gives the claim up until `pause` is over. A webhook that has acknowledged
    /// nothing for as long as `dead_after` is paused: whether it was.
    pub async fn fail_delivery(
        &self,
        claim: &DeliveryClaim,
        error: &str,
        pause: Duration,
        dead_after: Duration,
    ) -> Result<bool> {
        let DeliveryClaim { webhook_no, partition, lease, .. } = claim;
        transaction!(self, async |tx| {
            let later = "UPDATE webhook_partitions
                 SET failures = failures + 1, failing_since = coalesce(failing_since, now()),
                     retry_at = now() + make_interval(secs => $4), lease = NULL, leased_until = '-infinity'
                 WHERE webhook_no = $1 AND partition = $2 AND lease = $3";
            let values: [&(dyn ToSql + Sync); 4] =
                [webhook_no, partition, lease, &pause.as_secs_f64()];
            if tx.execute(later, &values).await? == 0 {
                return Ok(false);
            }
            let row = tx
                .query_opt(
                    "UPDATE webhooks SET failures = failures + 1, failing_since = coalesce(failing_since, now()),
                         error = $2
                     WHERE webhook_no = $1
                     RETURNING webhook_id, state, failing_since < now() - make_interval(secs => $3) AS dead",
                    &[webhook_no, &error, &dead_after.as_secs_f64()],
                )
                .await?;
            let active = WebhookState::Active as i16;
            let dead = row.filter(|row| row.get::<_, i16>("state") == active && row.get("dead"));
            if let Some(row) = &dead {
                let webhook_id: Uuid = row.get("webhook_id");
                let pause = "UPDATE webhooks SET state = $2 WHERE webhook_no = $1";
                tx.execute(pause, &[webhook_no, &(WebhookState::Dead as i16)]).await?;
                let details = json!({ "webhook_id": webhook_id, "error": error });
                Audit::unasked(DELIVERY, "webhook_dead", details).record(&tx, None).await?;
            }
            tx.commit().await?;
            Ok(dead.is_some())
        })
    }

    /// Has a webhook told of nothing any more that has said so itself.
    pub async fn end_webhook(&self, claim: &DeliveryClaim) -> Result<()> {
        let webhook_no = claim.webhook_no;
        transaction!(self, async |tx| {
            let end = "UPDATE webhooks SET state = $2 WHERE webhook_no = $1 AND state <> $2 RETURNING webhook_id";
            let row = tx.query_opt(end, &[&webhook_no, &(WebhookState::Gone as i16)]).await?;
            let Some(row) = row else { return Ok(()) };
            tell_of(&tx, webhook_no, &[]).await?;
            let details = json!({ "webhook_id": row.get::<_, Uuid>(0) });
            Audit::unasked(DELIVERY, "webhook_gone", details).record(&tx, None).await?;
            tx.commit().await?;
            Ok(())
        })
    }

    /// Gives an event up that the webhook does not take, so that those behind it can be delivered.
    pub async fn give_event_up(
        &self,
        claim: &DeliveryClaim,
        webhook_id: Uuid,
        event: &OutboxEvent,
        event_id: &str,
    ) -> Result<()> {
        let DeliveryClaim { webhook_no, partition, lease, .. } = claim;
        let Keys { at, owners, seqs, parts } = Keys::of(std::slice::from_ref(event));
        transaction!(self, async |tx| {
            let values: [&(dyn ToSql + Sync); 7] =
                [webhook_no, partition, lease, &at, &owners, &seqs, &parts];
            if tx.execute(DEQUEUE, &values).await? == 0 {
                return Ok(());
            }
            tx.execute(
                "UPDATE webhook_partitions SET failures = 0, failing_since = NULL
                 WHERE webhook_no = $1 AND partition = $2",
                &[webhook_no, partition],
            )
            .await?;
            let details = json!({ "webhook_id": webhook_id, "event_id": event_id });
            Audit::unasked(DELIVERY, "webhook_event_given_up", details).record(&tx, None).await?;
            tx.commit().await?;
            Ok(())
        })
    }

    /// Gives a claim up: another node may take it at once.
    pub async fn release_delivery(&self, claim: &DeliveryClaim) -> Result<()> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "UPDATE webhook_partitions SET lease = NULL, leased_until = '-infinity'
                 WHERE webhook_no = $1 AND partition = $2 AND lease = $3",
            )
            .await?;
        client.execute(&statement, &[&claim.webhook_no, &claim.partition, &claim.lease]).await?;
        Ok(())
    }

    /// Has a webhook told once more of what is kept of the kinds that it wants, from a time on: of how many events that
    /// do not wait anyway.
    ///
    /// Errors: [`crate::model::Error::WebhookNotFound`].
    pub async fn replay_events(
        &self,
        webhook_id: Uuid,
        from: OffsetDateTime,
        audit: Audit<'_>,
    ) -> Result<i64> {
        let webhook = self.webhook(webhook_id).await?;
        let kinds: Vec<i16> = webhook.kinds.iter().map(|kind| *kind as i16).collect();
        let client = self.patient_client().await?;
        let queued = client
            .execute(
                "INSERT INTO webhook_queue (webhook_no, partition, at, owner, seq, part)
                 SELECT p.webhook_no, o.partition, o.at, o.owner, o.seq, o.part
                 FROM webhook_partitions p JOIN outbox o ON o.partition = p.partition
                 WHERE p.webhook_no = $1 AND o.at >= $2 AND o.kind = ANY($3)
                 ON CONFLICT DO NOTHING",
                &[&webhook.webhook_no, &from, &kinds],
            )
            .await?;
        self.record(audit).await?;
        Ok(i64::try_from(queued).unwrap_or(i64::MAX))
    }

    /// Deletes the events that are older than `kept`, waiting or not, and what waits for nobody.
    pub async fn forget_events(&self, kept: Duration) -> Result<()> {
        let kept = kept.as_secs_f64();
        for partition in 0..16_i16 {
            loop {
                let client = self.client().await?;
                let forgotten = client
                    .execute(
                        "WITH old AS (
                             SELECT partition, at, owner, seq, part FROM outbox
                             WHERE partition = $1 AND at < now() - make_interval(secs => $2)
                             ORDER BY at LIMIT $3
                         ), unqueued AS (
                             DELETE FROM webhook_queue q USING old o, webhooks w
                             WHERE q.webhook_no = w.webhook_no AND q.partition = o.partition AND q.at = o.at
                                 AND q.owner = o.owner AND q.seq = o.seq AND q.part = o.part
                         )
                         DELETE FROM outbox e USING old o
                         WHERE e.partition = o.partition AND e.at = o.at AND e.owner = o.owner
                             AND e.seq = o.seq AND e.part = o.part",
                        &[&partition, &kept, &FORGET_BATCH],
                    )
                    .await?;
                if i64::try_from(forgotten).unwrap_or_default() < FORGET_BATCH {
                    break;
                }
            }
        }
        loop {
            let client = self.client().await?;
            let forgotten = client
                .execute(
                    "DELETE FROM webhook_queue WHERE ctid = ANY (ARRAY(
                         SELECT q.ctid FROM webhook_queue q WHERE NOT EXISTS (
                             SELECT FROM webhooks w WHERE w.webhook_no = q.webhook_no AND w.state <> $1
                         ) LIMIT $2
                     ))",
                    &[&(WebhookState::Gone as i16), &FORGET_BATCH],
                )
                .await?;
            if i64::try_from(forgotten).unwrap_or_default() < FORGET_BATCH {
                return Ok(());
            }
        }
    }
}
