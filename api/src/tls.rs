//! What all that speaks TLS has in common: the one backend, and certificates from files.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    RootCertStore,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Why a file cannot be used. Messages name the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsFileError {
    /// It cannot be read, or is no PEM.
    #[error("read {path}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// It is PEM of something else.
    #[error("there is no certificate in {0}")]
    Empty(PathBuf),
    /// It has a certificate that is none of an authority.
    #[error("trust {path}")]
    Untrusted {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
}

/// The one backend.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    aws_lc_rs::default_provider().into()
}

/// The certificates in a file; at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
    let pem = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|source| unreadable(path, source))?;
    if found.is_empty() { Err(TlsFileError::Empty(path.to_owned())) } else { Ok(found) }
}

/// The private key in a file.
pub(crate) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsFileError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|source| unreadable(path, source))
}

/// The file, without the mark that some editors put at its start.
fn read(path: &Path) -> Result<Vec<u8>, TlsFileError> {
    let mut pem = fs::read(path).map_err(|error| unreadable(path, pem::Error::Io(error)))?;
    if pem.starts_with(BYTE_ORDER_MARK) {
        pem.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(pem)
}

/// The authorities in a file.
pub(crate) fn authorities(path: &Path) -> Result<RootCertStore, TlsFileError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        let untrusted = |source| TlsFileError::Untrusted { path: path.to_owned(), source };
        roots.add(certificate).map_err(untrusted)?;
    }
    Ok(roots)
}

fn unreadable(path: &Path, source: pem::Error) -> TlsFileError {
    TlsFileError::Unreadable { path: path.to_owned(), source }
}
