//! An authority of the tests, and certificates that it signs.

use std::{path::PathBuf, sync::Arc};

use imd::config;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SigningKey as _,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio_rustls::TlsAcceptor;
use uuid::Uuid;

/// A certificate and its private key, in files.
#[derive(Clone)]
pub(crate) struct Certified {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certified {
    /// Has a server of the tests' own show it, and speak one of these protocols where a client asks for one.
    pub(crate) fn acceptor(&self, protocols: &[&[u8]]) -> TlsAcceptor {
        let chain = CertificateDer::pem_file_iter(&self.cert).expect("a file");
        let chain = chain.collect::<Result<Vec<_>, _>>().expect("certificates");
        let key = PrivateKeyDer::from_pem_file(&self.key).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a certificate");
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
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

    /// The certificate that `openssl req -x509` makes for a server at 127.0.0.1: signed by itself, and that
    /// of an authority.
    pub(crate) fn certify_itself(&self) -> Certified {
        let names = ["127.0.0.1", "localhost"].map(str::to_owned);
        let mut params = CertificateParams::new(names).expect("names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let cert = params.self_signed(&key).expect("a certificate");
        Certified { cert: self.write(&cert.pem()), key: self.write(&key.serialize_pem()) }
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

    /// A certificate of a server at 127.0.0.1 that is good until then.
    pub(crate) fn certify_until(&self, end: OffsetDateTime) -> Certified {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("names");
        params.not_after = end;
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        Certified { cert: self.write(&cert.pem()), key: self.write(&key.serialize_pem()) }
    }

    /// A certificate of X.509 version 1, as many servers make for themselves: without the version, and
    /// without extensions.
    pub(crate) fn certify_in_version_1(&self) -> Certified {
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("names");
        let key = KeyPair::generate().expect("a key");
        let cert = params.self_signed(&key).expect("a certificate");
        let (tbs, _, behind) = element(element(cert.der()).1);
        let algorithm = element(behind).0;
        let mut fields = element(tbs).1;
        let mut kept = Vec::new();
        while !fields.is_empty() {
            let (field, _, rest) = element(fields);
            if !matches!(field[0], VERSION | EXTENSIONS) {
                kept.extend_from_slice(field);
            }
            fields = rest;
        }
        let tbs = tagged(SEQUENCE, &kept);
        let signature = key.sign(&tbs).expect("a signature");
        let signature = tagged(BIT_STRING, &[&[0], &signature[..]].concat());
        let cert = tagged(SEQUENCE, &[&tbs[..], algorithm, &signature].concat());
        let cert = pem::encode(&pem::Pem::new("CERTIFICATE", cert));
        Certified { cert: self.write(&cert), key: self.write(&key.serialize_pem()) }
    }

    fn write(&self, pem: &str) -> PathBuf {
        let path = self.folder.path().join(Uuid::new_v4().to_string());
        std::fs::write(&path, pem).expect("a file");
        path
    }
}

/// Tags of DER.
const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;

/// The first element, its content, and what follows it.
fn element(der: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let (header, length) = match der[1] {
        short @ 0..=0x7f => (2, usize::from(short)),
        long => {
            let bytes = &der[2..][..usize::from(long - 0x80)];
            let length = bytes.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte));
            (2 + bytes.len(), length)
        }
    };
    (&der[..header + length], &der[header..][..length], &der[header + length..])
}

/// An element of up to 64 KiB.
fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("a small element").to_be_bytes();
    let length = match length {
        [0, short @ 0..0x80] => vec![short],
        [0, short] => vec![0x81, short],
        [high, low] => vec![0x82, high, low],
    };
    [&[tag], &length[..], content].concat()
}

impl Certified {
    /// How a listener is told to show it.
    pub(crate) fn settings(&self) -> config::Tls {
        config::Tls { cert: Some(self.cert.clone()), key: Some(self.key.clone()), client_ca: None }
    }
}
