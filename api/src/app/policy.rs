//! The policy hook, as the settings have it.

use anyhow::anyhow;

use super::push::{client, secret};
use crate::{config, model::PolicyKind, service::PolicySettings};

/// Reads the key. No proxy that the environment names is used: a sender waits for the answer.
///
/// Errors: a file that cannot be used.
pub(super) fn read(settings: &config::Policy) -> anyhow::Result<PolicySettings> {
    let key = settings.key.as_ref().map(|file| secret("policy.key", file)).transpose()?;
    let kinds = PolicyKind::parse_list(&settings.kinds);
    Ok(PolicySettings {
        url: settings.url.clone(),
        key,
        timeout: settings.timeout,
        on_failure: settings.on_failure,
        kinds: kinds.map_err(|wrong| anyhow!("policy.kinds: {wrong}"))?,
        http: client(&[])?.no_proxy().build()?,
    })
}
