//! Webhooks, as administrators and backends see to them.

use std::time::{Duration, Instant};

use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::{SecretSlice, SecretString};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Admin, check_line};
use crate::{
    model::{Error, EventKind, Result, Role, WebhookFilter},
    service::{WebhookTail, tail, tokens::random, webhooks::Answer},
    store::{ChangeWebhook, NewWebhook, Webhook},
};

/// How many webhooks there may be: each event is written once for each that wants it.
const MOST_WEBHOOKS: i64 = 20;

/// How long requests are signed with the last secret, too, when there is a new one.
const OVERLAP: Duration = Duration::from_hours(24);

/// Begins a secret, as Standard Webhooks has it.
const PREFIX: &str = "whsec_";

/// How many bytes a secret may have, as Standard Webhooks has it.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// How a webhook answered a test.
#[derive(Debug)]
pub struct WebhookTest {
    /// Whether it acknowledged it.
    pub delivered: bool,
    /// The HTTP status that it answered with; `None` when it did not answer.
    pub status: Option<u16>,
    /// Why it was not delivered; empty when it was.
    pub error: String,
    /// How long that took.
    pub took: Duration,
}

impl Admin<'_> {
    /// All webhooks, in the order in which they were made.
    pub async fn list_webhooks(&self) -> Result<Vec<Webhook>> {
        self.require(Role::Viewer)?;
        self.service.store.webhooks().await
    }

    /// One webhook.
    ///
    /// Errors: [`Error::WebhookNotFound`].
    pub async fn get_webhook(&self, webhook_id: &str) -> Result<Webhook> {
        self.require(Role::Viewer)?;
        self.service.store.webhook(parse_id(webhook_id)?).await
    }

    /// Makes a webhook, and the secret that its requests are signed with, where none is given. It is told of what
    /// happens after this has returned, on any node.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::TooManyWebhooks`].
    pub async fn create_webhook(
        &self,
        url: &str,
        description: &str,
        kinds: &[String],
        filter: WebhookFilter,
        secret: &str,
    ) -> Result<(Webhook, SecretString)> {
        self.require(Role::Backend)?;
        let url = self.service.check_webhook_url(url)?;
        check_line("description", description)?;
        let kinds = EventKind::parse(kinds)?;
        let secret = if secret.is_empty() { new_secret()? } else { parse_secret(secret)? };
        let shown = show(&secret);
        let webhook_id = Uuid::now_v7();
        let details = json!({
            "webhook_id": webhook_id, "url": url, "kinds": names(&kinds), "filter": filter,
        });
        let audit = self.audit("create_webhook", details);
        let description = description.to_owned();
        let secret = secret.into();
        let new = NewWebhook { webhook_id, url, description, kinds, filter, secret };
        let made = self.service.store.create_webhook(&new, MOST_WEBHOOKS, audit).await?;
        Ok((made, shown))
    }

    /// Changes where a webhook is, what it is for, or what and whom it is told of; what is `None` stays.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::WebhookNotFound`].
    pub async fn update_webhook(
        &self,
        webhook_id: &str,
        url: Option<&str>,
        description: Option<String>,
        kinds: Option<&[String]>,
        filter: Option<WebhookFilter>,
    ) -> Result<Webhook> {
        self.require(Role::Backend)?;
        let webhook_id = parse_id(webhook_id)?;
        let url = url.map(|url| self.service.check_webhook_url(url)).transpose()?;
        if let Some(description) = &description {
            check_line("description", description)?;
        }
        let kinds = kinds.map(EventKind::parse).transpose()?;
        let details = json!({
            "webhook_id": webhook_id, "url": url, "kinds": kinds.as_deref().map(names), "filter": filter,
        });
        let audit = self.audit("update_webhook", details);
        let change = ChangeWebhook { url, description, kinds, filter };
        let changed = self.service.store.change_webhook(webhook_id, &change, audit).await?;
        self.service.store.look_for_events();
        Ok(changed)
    }

    /// Deletes a webhook, and what waits for it.
    ///
    /// Errors: [`Error::WebhookNotFound`].
    pub async fn delete_webhook(&self, webhook_id: &str) -> Result<()> {
        self.require(Role::Backend)?;
        let webhook_id = parse_id(webhook_id)?;
        let audit = self.audit("delete_webhook", json!({ "webhook_id": webhook_id }));
        self.service.store.delete_webhook(webhook_id, audit).await
    }

    /// Has a webhook told of nothing for a while: its events wait, as long as they are kept.
    ///
    /// Errors: [`Error::WebhookNotFound`].
    pub async fn pause_webhook(&self, webhook_id: &str) -> Result<Webhook> {
        self.require(Role::Backend)?;
        let webhook_id = parse_id(webhook_id)?;
        let audit = self.audit("pause_webhook", json!({ "webhook_id": webhook_id }));
        self.service.store.set_webhook_state(webhook_id, false, audit).await
    }

    /// Has a webhook told again, at once, beginning with what waits.
    ///
    /// Errors: [`Error::WebhookNotFound`].
    pub async fn resume_webhook(&self, webhook_id: &str) -> Result<Webhook> {
        self.require(Role::Backend)?;
        let webhook_id = parse_id(webhook_id)?;
        let audit = self.audit("resume_webhook", json!({ "webhook_id": webhook_id }));
        let resumed = self.service.store.set_webhook_state(webhook_id, true, audit).await?;
        self.service.store.look_for_events();
        Ok(resumed)
    }

    /// Gives a webhook another secret, a new one where none is given. For a day requests are signed with the one before,
    /// too.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::WebhookNotFound`].
    pub async fn rotate_webhook_secret(
        &self,
        webhook_id: &str,
        secret: &str,
    ) -> Result<(Webhook, SecretString)> {
        self.require(Role::Backend)?;
        let webhook_id = parse_id(webhook_id)?;
        let secret = if secret.is_empty() { new_secret()? } else { parse_secret(secret)? };
        let shown = show(&secret);
        let secret = SecretSlice::from(secret);
        let audit = self.audit("rotate_webhook_secret", json!({ "webhook_id": webhook_id }));
        let store = &self.service.store;
        let changed = store.rotate_webhook_secret(webhook_id, &secret, OVERLAP, audit).await?;
        Ok((changed, shown))
    }

    /// Tells a webhook that this is a test, whatever its state, and waits for its answer.
    ///
    /// Errors: [`Error::WebhookNotFound`].
    pub async fn test_webhook(&self, webhook_id: &str) -> Result<WebhookTest> {
        self.require(Role::Backend)?;
        let webhook_id = parse_id(webhook_id)?;
        let audit = self.audit("test_webhook", json!({ "webhook_id": webhook_id }));
        self.service.store.record(audit).await?;
        let began = Instant::now();
        let answer = self.service.test_webhook(webhook_id).await?;
        let took = began.elapsed();
        Ok(match answer {
            Answer::Delivered(status) => {
                let status = Some(status.as_u16());
                WebhookTest { delivered: true, status, error: String::new(), took }
            }
            Answer::Gone => {
                let error = "answered 410 Gone".to_owned();
                WebhookTest { delivered: false, status: Some(410), error, took }
            }
            Answer::Failed { status, error, .. } => {
                let status = status.map(|status| status.as_u16());
                WebhookTest { delivered: false, status, error, took }
            }
        })
    }

    /// Watches the requests to a webhook as they are made, on whichever node, for so many seconds; 0 for as long as
    /// there is somebody.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::WebhookNotFound`].
    pub async fn tail_webhook(&self, webhook_id: &str, seconds: i32) -> Result<WebhookTail> {
        self.require(Role::Backend)?;
        let webhook_id = parse_id(webhook_id)?;
        self.service.tail_webhook(webhook_id, tail::until(seconds)?).await
    }

    /// Has a webhook told once more of what is kept of the kinds that it wants and happened from a time on: how many
    /// events were added to those that wait.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::WebhookNotFound`].
    pub async fn replay_webhook(
        &self,
        webhook_id: &str,
        from: Option<OffsetDateTime>,
    ) -> Result<i64> {
        self.require(Role::Backend)?;
        let webhook_id = parse_id(webhook_id)?;
        let from = from.ok_or_else(|| Error::invalid("from", "must be a time"))?;
        let details = json!({ "webhook_id": webhook_id, "from": from.unix_timestamp() });
        let audit = self.audit("replay_webhook", details);
        let queued = self.service.store.replay_events(webhook_id, from, audit).await?;
        self.service.store.look_for_events();
        Ok(queued)
    }
}

fn names(kinds: &[EventKind]) -> Vec<&'static str> {
    kinds.iter().map(|kind| kind.name()).collect()
}

/// What is no id of a webhook is the id of none.
fn parse_id(webhook_id: &str) -> Result<Uuid> {
    Uuid::try_parse(webhook_id).map_err(|_| Error::WebhookNotFound)
}

fn new_secret() -> Result<Vec<u8>> {
    random::<32>().map(|secret| secret.to_vec())
}

fn show(secret: &[u8]) -> SecretString {
    format!("{PREFIX}{}", BASE64_STANDARD.encode(secret)).into()
}

fn parse_secret(secret: &str) -> Result<Vec<u8>> {
    let encoded = secret.strip_prefix(PREFIX);
    let bytes = encoded.and_then(|encoded| BASE64_STANDARD.decode(encoded).ok());
    bytes.filter(|bytes| SECRET_BYTES.contains(&bytes.len())).ok_or_else(|| {
        let reason = format!("must be {PREFIX} and 24 to 64 bytes in base64");
        Error::invalid("secret", reason)
    })
}
