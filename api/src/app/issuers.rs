//! The issuers of the settings, with their keys.

use std::fs;

use anyhow::Context;

use crate::{config, service::TrustedIssuer};

/// Reads the files of keys. An issuer with a key that cannot be used is an error.
pub(super) fn read(issuers: &[config::Issuer]) -> anyhow::Result<Vec<TrustedIssuer>> {
    issuers.iter().map(read_one).collect()
}

fn read_one(issuer: &config::Issuer) -> anyhow::Result<TrustedIssuer> {
    let mut trusted = TrustedIssuer::new(
        issuer.issuer.clone(),
        issuer.audience.clone(),
        issuer.max_age,
        issuer.provision,
    );
    for path in &issuer.keys {
        let usable = || format!("login.issuers: keys of {}: {}", issuer.issuer, path.display());
        let text = fs::read_to_string(path).with_context(usable)?;
        trusted.add_keys(&text, &issuer.algorithms).with_context(usable)?;
    }
    Ok(trusted)
}
