//! TLS of a listener: certificates from files, which can be read again while connections live.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use parking_lot::RwLock;
use rustls::{ServerConfig, server::WebPkiClientVerifier};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{config, tls};

/// How long a client may take to shake hands.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What a listener shows its clients, and whom it asks to show something. Cheap to clone.
#[derive(Clone)]
pub struct Tls(Arc<RwLock<Arc<ServerConfig>>>);

impl Tls {
    /// Reads the files; `None` when the settings name none.
    ///
    /// # Errors
    /// When a file cannot be read, or key and certificate do not belong together.
    pub fn load(settings: &config::Tls) -> anyhow::Result<Option<Self>> {
        let loaded = server_config(settings)?;
        Ok(loaded.map(|config| Self(Arc::new(RwLock::new(Arc::new(config))))))
    }

    /// Reads the files again, for the connections to come.
    ///
    /// # Errors
    /// As [`Tls::load`]; then everything stays as it was.
    pub fn reload(&self, settings: &config::Tls) -> anyhow::Result<()> {
        if let Some(config) = server_config(settings)? {
            *self.0.write() = Arc::new(config);
        }
        Ok(())
    }

    /// Shakes hands; `None` when the client does not, or not in time.
    pub(super) async fn accept(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let config = self.0.read().clone();
        let shaken = timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)).await;
        match shaken {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(%error, "no TLS");
                None
            }
            Err(_) => None,
        }
    }
}

fn server_config(settings: &config::Tls) -> anyhow::Result<Option<ServerConfig>> {
    let (Some(cert), Some(key)) = (&settings.cert, &settings.key) else { return Ok(None) };
    let certificates = tls::certificates(cert)?;
    let private_key = tls::private_key(key)?;
    let provider = tls::provider();
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    let builder = match &settings.client_ca {
        None => builder.with_no_client_auth(),
        Some(client_ca) => {
            let roots = Arc::new(tls::authorities(client_ca)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build()?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(certificates, private_key)
        .with_context(|| format!("use {} with {}", cert.display(), key.display()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(config))
}
