//! Webhooks, as the settings have them.

use std::sync::Arc;

use super::push::client;
use crate::{
    config,
    service::{WebhookResolver, WebhookSettings},
};

/// Makes what the requests are made with. No proxy that the environment names is used: who looks names up there is not
/// known.
pub(super) fn read(settings: &config::Webhooks) -> anyhow::Result<WebhookSettings> {
    let allow_private = settings.allow_private;
    let resolver = WebhookResolver { allow_private };
    let http = client(&[])?.no_proxy().dns_resolver(Arc::new(resolver)).build()?;
    let (keep, timeout) = (settings.keep, settings.timeout);
    let undelivered_after = settings.undelivered_after;
    Ok(WebhookSettings { keep, timeout, undelivered_after, allow_private, http })
}
