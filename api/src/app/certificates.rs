//! How long the certificates hold that the listeners show.

use std::path::Path;

use anyhow::{Context, anyhow};
use time::OffsetDateTime;

use crate::tls;

/// When the certificate ends that stands first in a file.
///
/// # Errors
/// When the file cannot be read, or has none.
pub(super) fn expiry(file: &Path) -> anyhow::Result<OffsetDateTime> {
    let certificates = tls::certificates(file)?;
    let first = certificates.first().ok_or_else(|| anyhow!("there is none"))?;
    let (_, certificate) = x509_parser::parse_x509_certificate(first)
        .with_context(|| format!("read {}", file.display()))?;
    Ok(certificate.validity().not_after.to_datetime())
}
