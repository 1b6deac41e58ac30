//! Whom imctl trusts, and what it shows of itself, where it speaks TLS.

use std::{fs, path::Path};

use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::{args::Connection, error::Error, profile::Profile};

/// Certificates from files; without any, the authorities of the system are trusted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trust {
    /// The authorities to trust instead, PEM.
    pub(crate) ca: Option<Vec<u8>>,
    /// Certificate and private key for the admin listener, PEM.
    client: Option<(Vec<u8>, Vec<u8>)>,
}

impl Trust {
    /// Reads the files that the arguments name, or else the profile.
    pub(crate) fn read(args: &Connection, profile: &Profile) -> Result<Self, Error> {
        let ca = args.ca.as_ref().or(profile.ca.as_ref());
        let certificate = args.client_cert.as_ref().or(profile.client_cert.as_ref());
        let key = args.client_key.as_ref().or(profile.client_key.as_ref());
        let client = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((read(certificate)?, read(key)?)),
            (None, None) => None,
            _ => {
                let wrong = "--client-cert and --client-key belong together";
                return Err(Error::Usage(wrong.to_owned()));
            }
        };
        Ok(Self { ca: ca.map(|path| read(path)).transpose()?, client })
    }

    /// For the admin listener.
    pub(crate) fn of_admin(&self) -> ClientTlsConfig {
        match &self.client {
            Some((certificate, key)) => {
                self.of_user().identity(Identity::from_pem(certificate, key))
            }
            None => self.of_user(),
        }
    }

    /// For the public listener.
    pub(crate) fn of_user(&self) -> ClientTlsConfig {
        match &self.ca {
            Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca)),
            None => ClientTlsConfig::new().with_native_roots(),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let unreadable = |cause| Error::Usage(format!("cannot read {}: {cause}", path.display()));
    fs::read(path).map_err(unreadable)
}
