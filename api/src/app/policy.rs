//! The policy hook, as the settings have it.

use std::sync::Arc;

use anyhow::anyhow;

use super::push::{client, client_tls, secret};
use crate::{
    config,
    grpc::GrpcPolicy,
    model::PolicyKind,
    service::{HttpPolicy, PolicyHook, PolicySettings},
};

/// Reads the key. No proxy that the environment names is used: a sender waits for the answer.
///
/// Errors: a file that cannot be used.
pub(super) fn read(settings: &config::Policy) -> anyhow::Result<PolicySettings> {
    let kinds = PolicyKind::parse_list(&settings.kinds);
    Ok(PolicySettings {
        hook: settings.url.as_deref().map(|url| hook(url, settings)).transpose()?,
        timeout: settings.timeout,
        on_failure: settings.on_failure,
        kinds: kinds.map_err(|wrong| anyhow!("policy.kinds: {wrong}"))?,
    })
}

fn hook(url: &str, settings: &config::Policy) -> anyhow::Result<Arc<dyn PolicyHook>> {
    let key = settings.key.as_ref().map(|file| secret("policy.key", file)).transpose()?;
    if url.starts_with("http") {
        let http = client(&[])?.no_proxy().build()?;
        return Ok(Arc::new(HttpPolicy::new(url.to_owned(), key.as_ref(), http)));
    }
    let hook = GrpcPolicy::new(url, key.as_ref(), client_tls(&[b"h2"])?);
    Ok(Arc::new(hook.map_err(|wrong| anyhow!("policy.url: {wrong}"))?))
}
