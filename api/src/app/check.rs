//! Whether a node could start with its settings: what `imd check-config` looks at.

use anyhow::Context;
use secrecy::ExposeSecret;
use time::format_description::well_known::Rfc3339;

use super::{attachments, certificates, issuers, policy, push, webhooks};
use crate::{
    config::{self, Settings},
    serve::Tls,
    store::Store,
};

/// What was looked at, and what was found.
pub type Finding = (&'static str, anyhow::Result<String>);

/// Looks at what the settings name: certificates, keys and other files, and the database, which is read and not
/// changed. Nothing is left out because something else is wrong.
pub async fn check(settings: &Settings) -> Vec<Finding> {
    vec![
        // Who has them has read them.
        ("settings", usable(Ok(settings))),
        ("tls", listener(&settings.tls)),
        ("admin.tls", listener(&settings.admin.tls)),
        ("login.issuers", usable(issuers::read(&settings.login.issuers))),
        ("push", usable(push::read(&settings.push))),
        ("webhooks", usable(webhooks::read(&settings.webhooks))),
        ("policy", usable(policy::read(&settings.policy))),
        ("attachments", usable(attachments::read(settings))),
        ("database", database(settings).await),
    ]
}

fn usable<T>(read: anyhow::Result<T>) -> anyhow::Result<String> {
    read.map(|_| "can be used".to_owned())
}

fn listener(tls: &config::Tls) -> anyhow::Result<String> {
    let Some(cert) = &tls.cert else { return Ok("without TLS".to_owned()) };
    Tls::load(tls)?;
    let end = certificates::expiry(cert)?.format(&Rfc3339)?;
    Ok(format!("certificate until {end}"))
}

async fn database(settings: &Settings) -> anyhow::Result<String> {
    let Some(url) = &settings.database.url else {
        return Ok("a private one, which was not started".to_owned());
    };
    let (ca, one_connection) = (settings.database.ca.as_deref(), 1);
    let store = Store::trusting(ca, url.expose_secret(), one_connection)?;
    store.check_server().await?;
    let missing = if settings.database.migrate {
        store.missing_migrations().await?
    } else {
        store.require_migrated().await?;
        Vec::new()
    };
    if let Some(read_url) = &settings.database.read_url {
        let reading = store.reading_from(ca, read_url.expose_secret(), one_connection);
        reading.context("database.read_url")?;
    }
    Ok(match missing.first() {
        None => "has all migrations".to_owned(),
        Some(first) => format!(
            "lacks the migrations from {first} on, which the first node applies at its start"
        ),
    })
}
