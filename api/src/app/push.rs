//! Push, as the settings have it.

use std::{fs, time::Duration};

use anyhow::Context;
use rustls::{ClientConfig, RootCertStore};

use crate::{config, service::PushSettings, tls};

/// How long a provider may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads the key of the webhook. Errors: a file that cannot be used.
pub(super) fn read(settings: &config::Push) -> anyhow::Result<PushSettings> {
    let webhook = match (&settings.webhook_url, &settings.webhook_key) {
        (Some(url), Some(file)) => {
            let key = fs::read_to_string(file);
            let key = key.with_context(|| format!("push.webhook_key: read {}", file.display()))?;
            Some((url.clone(), key.trim().to_owned().into()))
        }
        _ => None,
    };
    let services = settings.web_push_services.split(',').map(|service| service.trim().to_owned());
    Ok(PushSettings {
        delay: settings.delay,
        subject: settings.web_push_subject.clone(),
        services: services.filter(|service| !service.is_empty()).collect(),
        webhook,
        http: client()?,
    })
}

/// One that follows nobody elsewhere, and trusts the authorities of the system.
fn client() -> anyhow::Result<reqwest::Client> {
    let mut roots = RootCertStore::empty();
    // Where there are none, nothing that asks for TLS is trusted.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let tls = ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let http = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(PATIENCE)
        .timeout(PATIENCE);
    Ok(http.build()?)
}
