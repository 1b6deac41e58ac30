//! Webhooks: where they are, what they are told of, and how that goes.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretSlice};
use serde_json::json;
use time::OffsetDateTime;
use tokio_postgres::{Row, types::ToSql};
use uuid::Uuid;

use super::{Audit, Listener, Store, Transaction, transaction};
use crate::model::{Error, EventKind, Result, WebhookFilter, WebhookState};

/// Into how many partitions the timelines are divided for each webhook.
const PARTITIONS: i16 = 16;

/// Where nodes tell of requests to webhooks that somebody watches.
const CHANNEL: &str = "imd_webhooks";

/// How many waiting events are counted.
const MOST_COUNTED: i64 = 100_000;

/// A webhook as administrators see it.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// The same in the tables of events.
    pub webhook_no: i32,
    /// Its id, a `UUIDv7`.
    pub webhook_id: Uuid,
    /// Where it is.
    pub url: String,
    /// What it is for, in the words of whoever made it; may be empty.
    pub description: String,
    /// What it is told of, sorted.
    pub kinds: Vec<EventKind>,
    /// Of whom and what it is told.
    pub filter: WebhookFilter,
    /// Whether it is told.
    pub state: WebhookState,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it last acknowledged a request.
    pub delivered_at: Option<OffsetDateTime>,
    /// Since when it has acknowledged none that was made.
    pub failing_since: Option<OffsetDateTime>,
    /// How many requests have failed since.
    pub failures: i32,
    /// What came of the last of them; empty when none has failed.
    pub error: String,
    /// How many events wait for it; what is more than 100,000 is not counted.
    pub waiting: i64,
    /// When the oldest of them happened.
    pub oldest_at: Option<OffsetDateTime>,
    /// Until when requests are signed with its secret before the last one, too.
    pub previous_until: Option<OffsetDateTime>,
}

/// A webhook to make.
#[derive(Debug)]
pub struct NewWebhook {
    /// The id to give it, a `UUIDv7`.
    pub webhook_id: Uuid,
    /// See [`Webhook::url`].
    pub url: String,
    /// See [`Webhook::description`].
    pub description: String,
    /// See [`Webhook::kinds`].
    pub kinds: Vec<EventKind>,
    /// See [`Webhook::filter`].
    pub filter: WebhookFilter,
    /// What requests are signed with.
    pub secret: SecretSlice<u8>,
}

/// What is to change of a webhook; what is absent stays.
#[derive(Debug, Default)]
pub struct ChangeWebhook {
    /// See [`Webhook::url`].
    pub url: Option<String>,
    /// See [`Webhook::description`].
    pub description: Option<String>,
    /// See [`Webhook::kinds`]. What waits already is delivered.
    pub kinds: Option<Vec<EventKind>>,
    /// See [`Webhook::filter`]. It holds for what waits already, too.
    pub filter: Option<WebhookFilter>,
}

/// The columns of a [`Webhook`], of a table or subquery `w`.
const COLUMNS: &str = "w.webhook_no, w.webhook_id, w.url, w.description, w.kinds, w.filter, w.state, w.created_at, \
     w.delivered_at, w.failing_since, w.failures, w.error, \
     CASE WHEN w.previous_until > now() THEN w.previous_until END AS previous_until, \
     (SELECT count(*) FROM (SELECT FROM webhook_queue q WHERE q.webhook_no = w.webhook_no \
         LIMIT 100000) counted) AS waiting, \
     (SELECT min(first.at) FROM webhook_partitions p CROSS JOIN LATERAL ( \
         SELECT q.at FROM webhook_queue q \
         WHERE q.webhook_no = p.webhook_no AND q.partition = p.partition ORDER BY q.at LIMIT 1 \
     ) first WHERE p.webhook_no = w.webhook_no) AS oldest_at";

const _: () = assert!(MOST_COUNTED == 100_000, "as in COLUMNS");

fn read(row: &Row) -> Result<Webhook> {
    let state: i16 = row.get("state");
    let state = WebhookState::from_number(state)
        .ok_or_else(|| Error::internal(format!("no webhook has the state {state}")))?;
    let kinds: Vec<i16> = row.get("kinds");
    Ok(Webhook {
        webhook_no: row.get("webhook_no"),
        webhook_id: row.get("webhook_id"),
        url: row.get("url"),
        description: row.get("description"),
        // A newer node may know more.
        kinds: kinds.into_iter().filter_map(EventKind::from_number).collect(),
        filter: read_filter(row)?,
        state,
        created_at: row.get("created_at"),
        delivered_at: row.get("delivered_at"),
        failing_since: row.get("failing_since"),
        failures: row.get("failures"),
        error: row.get("error"),
        waiting: row.get("waiting"),
        oldest_at: row.get("oldest_at"),
        previous_until: row.get("previous_until"),
    })
}

/// The column `filter`.
pub(super) fn read_filter(row: &Row) -> Result<WebhookFilter> {
    serde_json::from_value(row.get("filter")).map_err(Error::internal)
}

fn numbers(kinds: &[EventKind]) -> Vec<i16> {
    kinds.iter().map(|kind| *kind as i16).collect()
}

impl Store {
    /// All webhooks, in the order in which they were made.
    pub async fn webhooks(&self) -> Result<Vec<Webhook>> {
        let client = self.client().await?;
        let all = format!("SELECT {COLUMNS} FROM webhooks w ORDER BY w.webhook_id");
        client.query(&all, &[]).await?.iter().map(read).collect()
    }

    /// One webhook.
    ///
    /// Errors: [`Error::WebhookNotFound`].
    pub async fn webhook(&self, webhook_id: Uuid) -> Result<Webhook> {
        let client = self.client().await?;
        let one = format!("SELECT {COLUMNS} FROM webhooks w WHERE w.webhook_id = $1");
        let row = client.query_opt(&one, &[&webhook_id]).await?;
        read(&row.ok_or(Error::WebhookNotFound)?)
    }

    /// Hears of the requests that are made to webhooks which somebody watches.
    pub async fn listen_to_webhooks(&self) -> Result<Listener> {
        self.listen(CHANNEL).await
    }

    /// Tells those who watch webhooks of a request.
    pub async fn tell_of_webhook(&self, payload: &str) -> Result<()> {
        self.notify(&[CHANNEL.to_owned()], &[payload]).await
    }

    /// Has nodes tell of the requests to a webhook, for so long.
    ///
    /// Errors: [`Error::WebhookNotFound`].
    pub async fn tail_webhook(&self, webhook_id: Uuid, lasts: Duration) -> Result<()> {
        let client = self.client().await?;
        let tailed = client
            .execute(
                "UPDATE webhooks SET tailed_until = now() + make_interval(secs => $2)
                 WHERE webhook_id = $1",
                &[&webhook_id, &lasts.as_secs_f64()],
            )
            .await?;
        if tailed == 1 { Ok(()) } else { Err(Error::WebhookNotFound) }
    }

    /// What requests to a webhook are signed with now, the newest secret first.
    ///
    /// Errors: [`Error::WebhookNotFound`].
    pub async fn webhook_secrets(&self, webhook_id: Uuid) -> Result<Vec<SecretSlice<u8>>> {
        let client = self.client().await?;
        let row = client
            .query_opt(
                "SELECT secret, CASE WHEN previous_until > now() THEN previous_secret END AS previous_secret
                 FROM webhooks WHERE webhook_id = $1",
                &[&webhook_id],
            )
            .await?;
        Ok(read_secrets(&row.ok_or(Error::WebhookNotFound)?))
    }

    /// Makes a webhook: it is told of what is committed from then on, by whichever node.
    ///
    /// Errors: [`Error::TooManyWebhooks`] where there are `most` already.
    pub async fn create_webhook(
        &self,
        new: &NewWebhook,
        most: i64,
        audit: Audit<'_>,
    ) -> Result<Webhook> {
        transaction!(self, async |tx| {
            tx.execute("LOCK TABLE webhooks IN SHARE ROW EXCLUSIVE MODE", &[]).await?;
            let there: i64 = tx.query_one("SELECT count(*) FROM webhooks", &[]).await?.get(0);
            if there >= most {
                return Err(Error::TooManyWebhooks(most));
            }
            let kinds = numbers(&new.kinds);
            let row = tx
                .query_one(
                    "INSERT INTO webhooks (webhook_id, url, description, kinds, secret, filter)
                     VALUES ($1, $2, $3, $4, $5, $6) RETURNING webhook_no",
                    &[
                        &new.webhook_id,
                        &new.url,
                        &new.description,
                        &kinds,
                        &new.secret.expose_secret(),
                        &json!(new.filter),
                    ],
                )
                .await?;
            let webhook_no: i32 = row.get(0);
            tx.execute(
                "INSERT INTO webhook_partitions (webhook_no, partition)
                 SELECT $1, partition FROM generate_series(0, $2::integer - 1) partition",
                &[&webhook_no, &i32::from(PARTITIONS)],
            )
            .await?;
            tell_of(&tx, webhook_no, &kinds).await?;
            audit.record(&tx, None).await?;
            let webhook = find(&tx, new.webhook_id).await?;
            tx.commit().await?;
            Ok(webhook)
        })
    }

    /// Changes a webhook. What waits for it goes to its new URL.
    ///
    /// Errors: [`Error::WebhookNotFound`].
    pub async fn change_webhook(
        &self,
        webhook_id: Uuid,
        change: &ChangeWebhook,
        audit: Audit<'_>,
    ) -> Result<Webhook> {
        transaction!(self, async |tx| {
            let kinds = change.kinds.as_deref().map(numbers);
            let filter = change.filter.as_ref().map(|filter| json!(filter));
            let values: [&(dyn ToSql + Sync); 5] =
                [&webhook_id, &change.url, &change.description, &kinds, &filter];
            let row = tx
                .query_opt(
                    "UPDATE webhooks SET url = coalesce($2, url), description = coalesce($3, description),
                         kinds = coalesce($4, kinds), filter = coalesce($5, filter)
                     WHERE webhook_id = $1 RETURNING webhook_no, kinds, state",
                    &values,
                )
                .await?
                .ok_or(Error::WebhookNotFound)?;
            if row.get::<_, i16>("state") != WebhookState::Gone as i16 {
                tell_of(&tx, row.get("webhook_no"), &row.get::<_, Vec<i16>>("kinds")).await?;
            }
            if change.url.is_some() {
                try_at_once(&tx, row.get("webhook_no")).await?;
            }
            audit.record(&tx, None).await?;
            let webhook = find(&tx, webhook_id).await?;
            tx.commit().await?;
            Ok(webhook)
        })
    }

    /// Pauses a webhook, or has it told again of what waits, at once. One that was gone is told of what comes from now
    /// on.
    ///
    /// Errors: [`Error::WebhookNotFound`].
    pub async fn set_webhook_state(
        &self,
        webhook_id: Uuid,
        active: bool,
        audit: Audit<'_>,
    ) -> Result<Webhook> {
        transaction!(self, async |tx| {
            let state = if active { WebhookState::Active } else { WebhookState::Paused };
            let row = tx
                .query_opt(
                    "UPDATE webhooks SET state = $2,
                         failing_since = CASE WHEN $3 THEN NULL ELSE failing_since END,
                         failures = CASE WHEN $3 THEN 0 ELSE failures END
                     WHERE webhook_id = $1 RETURNING webhook_no, kinds",
                    &[&webhook_id, &(state as i16), &active],
                )
                .await?
                .ok_or(Error::WebhookNotFound)?;
            tell_of(&tx, row.get("webhook_no"), &row.get::<_, Vec<i16>>("kinds")).await?;
            if active {
                try_at_once(&tx, row.get("webhook_no")).await?;
            }
            audit.record(&tx, None).await?;
            let webhook = find(&tx, webhook_id).await?;
            tx.commit().await?;
            Ok(webhook)
        })
    }

    /// Gives a webhook another secret. Requests are signed with the one before, too, for so long.
    ///
    /// Errors: [`Error::WebhookNotFound`].
    pub async fn rotate_webhook_secret(
        &self,
        webhook_id: Uuid,
        secret: &SecretSlice<u8>,
        overlap: Duration,
        audit: Audit<'_>,
    ) -> Result<Webhook> {
        transaction!(self, async |tx| {
            let changed = tx
                .execute(
                    "UPDATE webhooks SET previous_secret = secret, secret = $2,
                         previous_until = now() + make_interval(secs => $3)
                     WHERE webhook_id = $1",
                    &[&webhook_id, &secret.expose_secret(), &overlap.as_secs_f64()],
                )
                .await?;
            if changed == 0 {
                return Err(Error::WebhookNotFound);
            }
            audit.record(&tx, None).await?;
            let webhook = find(&tx, webhook_id).await?;
            tx.commit().await?;
            Ok(webhook)
        })
    }

    /// Deletes a webhook, and what waits for it.
    ///
    /// Errors: [`Error::WebhookNotFound`].
    pub async fn delete_webhook(&self, webhook_id: Uuid, audit: Audit<'_>) -> Result<()> {
        transaction!(self, async |tx| {
            let row = tx
                .query_opt(
                    "DELETE FROM webhooks WHERE webhook_id = $1 RETURNING webhook_no",
                    &[&webhook_id],
                )
                .await?
                .ok_or(Error::WebhookNotFound)?;
            let webhook_no: i32 = row.get(0);
            tell_of(&tx, webhook_no, &[]).await?;
            tx.execute("DELETE FROM webhook_partitions WHERE webhook_no = $1", &[&webhook_no])
                .await?;
            audit.record(&tx, None).await?;
            tx.commit().await?;
            Ok(())
        })
    }
}

/// Has those who append write events of these kinds for a webhook, and of no others.
pub(super) async fn tell_of(tx: &Transaction<'_>, webhook_no: i32, kinds: &[i16]) -> Result<()> {
    tx.execute(
        "DELETE FROM webhook_kinds WHERE webhook_no = $1 AND kind <> ALL($2)",
        &[&webhook_no, &kinds],
    )
    .await?;
    tx.execute(
        "INSERT INTO webhook_kinds (kind, webhook_no) SELECT kind, $1 FROM unnest($2::smallint[]) kind
         ON CONFLICT DO NOTHING",
        &[&webhook_no, &kinds],
    )
    .await?;
    Ok(())
}

/// Has a webhook tried at once that is to be tried later.
async fn try_at_once(tx: &Transaction<'_>, webhook_no: i32) -> Result<()> {
    tx.execute(
        "UPDATE webhook_partitions SET retry_at = '-infinity', failures = 0, failing_since = NULL
         WHERE webhook_no = $1",
        &[&webhook_no],
    )
    .await?;
    Ok(())
}

async fn find(tx: &Transaction<'_>, webhook_id: Uuid) -> Result<Webhook> {
    let one = format!("SELECT {COLUMNS} FROM webhooks w WHERE w.webhook_id = $1");
    read(&tx.query_one(&one, &[&webhook_id]).await?)
}

/// The secrets that a row says, the newest first.
pub(super) fn read_secrets(row: &Row) -> Vec<SecretSlice<u8>> {
    let secret: Vec<u8> = row.get("secret");
    let previous: Option<Vec<u8>> = row.get("previous_secret");
    [Some(secret), previous].into_iter().flatten().map(SecretSlice::from).collect()
}
