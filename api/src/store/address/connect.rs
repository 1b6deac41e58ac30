//! rustls for tokio-postgres. The crates that do this bring a second cryptographic backend along.

use std::{
    io,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::future::{BoxFuture, FutureExt};
use rustls::{
    ClientConfig, RootCertStore,
    client::WebPkiServerVerifier,
    pki_types::{InvalidDnsNameError, ServerName},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::{TlsConnector, client};

use super::{Check, verifier::AnyHost};
use crate::tls;

/// What connections to the database are encrypted with. Cheap to clone.
#[derive(Clone)]
pub(in crate::store) struct Tls(Arc<ClientConfig>);

type Source = Box<dyn std::error::Error + Send + Sync>;

impl Tls {
    pub(super) fn new(check: Check, ca: Option<&Path>) -> Result<Self, Source> {
        let provider = tls::provider();
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?;
        let builder = match (check, ca) {
            (Check::Name, Some(ca)) => builder.with_root_certificates(tls::authorities(ca)?),
            (Check::Name, None) => builder.with_root_certificates(authorities_of_the_system()?),
            (Check::Authority, ca) => {
                let verifier = |ca| -> Result<_, Source> {
                    let roots = Arc::new(tls::authorities(ca)?);
                    let builder =
                        WebPkiServerVerifier::builder_with_provider(roots, provider.clone());
                    Ok(builder.build()?)
                };
                let authorities = ca.map(verifier).transpose()?;
                let verifier = AnyHost { authorities, provider };
                builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
            }
        };
        let mut config = builder.with_no_client_auth();
        // For `sslnegotiation=direct`.
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

fn authorities_of_the_system() -> Result<RootCertStore, Source> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err("the system has no authorities to trust: name a file with database.ca".into());
    }
    Ok(roots)
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for Tls {
    type Stream = Encrypted<S>;
    type TlsConnect = Handshake;
    type Error = Source;

    fn make_tls_connect(&mut self, host: &str) -> Result<Handshake, Source> {
        let host = ServerName::try_from(host.to_owned());
        Ok(Handshake { connector: self.0.clone().into(), host })
    }
}

/// A handshake to come, with a host whose name may turn out to be none when it is needed.
pub(in crate::store) struct Handshake {
    connector: TlsConnector,
    host: Result<ServerName<'static>, InvalidDnsNameError>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for Handshake {
    type Stream = Encrypted<S>;
    type Error = Source;
    type Future = BoxFuture<'static, Result<Encrypted<S>, Source>>;

    fn connect(self, stream: S) -> Self::Future {
        async move { Ok(Encrypted(self.connector.connect(self.host?, stream).await?)) }.boxed()
    }
}

/// An encrypted connection.
pub(in crate::store) struct Encrypted<S>(client::TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Encrypted<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
