//! Push, as the settings have it.

use std::{fs, path::Path, time::Duration};

use anyhow::Context;
use rustls::{ClientConfig, RootCertStore};
use secrecy::SecretString;

use crate::{
    config,
    service::{ApnsSettings, FcmSettings, PushSettings},
    tls,
};

/// How long a provider may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads the key of the webhook. Errors: a file that cannot be used.
pub(super) fn read(settings: &config::Push) -> anyhow::Result<PushSettings> {
    let webhook = match (&settings.webhook_url, &settings.webhook_key) {
        (Some(url), Some(file)) => Some((url.clone(), secret("push.webhook_key", file)?)),
        _ => None,
    };
    let apns = match (&settings.apns_key, &settings.apns_key_id) {
        (Some(file), Some(key_id)) => Some(ApnsSettings {
            url: settings.apns_url.trim_end_matches('/').to_owned(),
            key: secret("push.apns_key", file)?,
            key_id: key_id.clone(),
            team_id: settings.apns_team_id.clone().unwrap_or_default(),
            topic: settings.apns_topic.clone().unwrap_or_default(),
        }),
        _ => None,
    };
    let fcm = settings.fcm_credentials.as_ref().map(|file| {
        let credentials = secret("push.fcm_credentials", file)?;
        let url = settings.fcm_url.trim_end_matches('/').to_owned();
        anyhow::Ok(FcmSettings { url, credentials })
    });
    let services = settings.web_push_services.split(',').map(|service| service.trim().to_owned());
    Ok(PushSettings {
        delay: settings.delay,
        subject: settings.web_push_subject.clone(),
        services: services.filter(|service| !service.is_empty()).collect(),
        webhook,
        apns,
        fcm: fcm.transpose()?,
        http: client(&[])?.build()?,
        http2: client(&[b"h2"])?
            .http2_prior_knowledge()
            .http2_keep_alive_interval(KEEP_ALIVE)
            .http2_keep_alive_while_idle(true)
            .build()?,
    })
}

pub(super) fn secret(setting: &'static str, file: &Path) -> anyhow::Result<SecretString> {
    let read = fs::read_to_string(file);
    let read = read.with_context(|| format!("{setting}: read {}", file.display()))?;
    Ok(read.trim().to_owned().into())
}

/// How often a connection that is kept open shows that it is there still.
const KEEP_ALIVE: Duration = Duration::from_mins(1);

/// What makes a client that follows nobody elsewhere, and trusts the authorities of the system.
pub(super) fn client(protocols: &[&[u8]]) -> anyhow::Result<reqwest::ClientBuilder> {
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(client_tls(protocols)?)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(PATIENCE)
        .timeout(PATIENCE))
}

/// TLS that trusts the authorities of the system, for servers that speak these protocols.
pub(super) fn client_tls(protocols: &[&[u8]]) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    // Where there are none, nothing that asks for TLS is trusted.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let mut tls = ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(tls)
}
