//! An authority of the tests, and certificates that it signs.

use std::path::PathBuf;

use imd::config;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;
use uuid::Uuid;

/// A certificate and its private key, in files.
#[derive(Clone)]
pub(crate) struct Certified {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// An authority whose files go with it.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        // Not that of the certificates it signs: OpenSSL would take them for self-signed.
        params.distinguished_name.push(DnType::CommonName, "the authority of the tests");
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        Self { issuer, folder: TempDir::new().expect("a folder") }
    }

    /// Its own certificate, which is what clients trust.
    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A file of [`Authority::pem`].
    pub(crate) fn file(&self) -> PathBuf {
        self.write(&self.pem())
    }

    /// A certificate of a server at 127.0.0.1, or of a client.
    pub(crate) fn certify(&self) -> Certified {
        self.certify_for(["127.0.0.1", "localhost"])
    }

    /// A certificate of a server of these names.
    pub(crate) fn certify_for<const N: usize>(&self, names: [&str; N]) -> Certified {
        let mut params = CertificateParams::new(names.map(str::to_owned)).expect("names");
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        Certified { cert: self.write(&cert.pem()), key: self.write(&key.serialize_pem()) }
    }

    fn write(&self, pem: &str) -> PathBuf {
        let path = self.folder.path().join(Uuid::new_v4().to_string());
        std::fs::write(&path, pem).expect("a file");
        path
    }
}

impl Certified {
    /// How a listener is told to show it.
    pub(crate) fn settings(&self) -> config::Tls {
        config::Tls { cert: Some(self.cert.clone()), key: Some(self.key.clone()), client_ca: None }
    }
}
