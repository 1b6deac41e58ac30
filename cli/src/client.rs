//! Connections: to the admin listener with the admin key, to the public one with a user's token.

use std::{error::Error as _, net::IpAddr, time::Duration};

use http_body_util::BodyExt as _;
use imd_proto::v1::admin_service_client::AdminServiceClient;
use tonic::{
    Code, Request, Status, TimeoutExpired,
    body::Body,
    metadata::{Ascii, Binary, MetadataValue, errors::InvalidMetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, ClientTlsConfig, Endpoint, Uri},
};
use tonic_types::StatusExt as _;
use tower::ServiceExt as _;

use crate::{
    admin_key::AdminKey,
    args::Connection,
    error::{Error, describe},
    profile::Profile,
    trust::Trust,
};

/// Where imd serves its operators when it is told nothing.
pub(crate) const DEFAULT_SERVER: &str = "http://127.0.0.1:8081";

/// A channel whose calls carry a bearer token.
pub(crate) type AuthorizedChannel = InterceptedService<Channel, Bearer>;

/// Puts `authorization: Bearer …` on each call.
#[derive(Debug, Clone)]
pub(crate) struct Bearer(pub(crate) MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// The value of `authorization` for a key or token. It is kept out of debug output.
pub(crate) fn bearer(token: &str) -> Result<MetadataValue<Ascii>, InvalidMetadataValue> {
    let mut value: MetadataValue<Ascii> = format!("Bearer {token}").parse()?;
    value.set_sensitive(true);
    Ok(value)
}

/// Puts the admin key on each call, and why it is made.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    key: Bearer,
    reason: MetadataValue<Binary>,
}

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert_bin("imd-reason-bin", self.reason.clone());
        self.key.call(request)
    }
}

/// The admin listener, connected.
pub(crate) struct Admin {
    /// The calls; their errors go through [`Admin::failure`].
    pub(crate) calls: AdminServiceClient<InterceptedService<Channel, Credentials>>,
    channel: Channel,
    /// Why they are made.
    pub(crate) reason: String,
    /// Whom to trust.
    pub(crate) trust: Trust,
    server: Uri,
    key_origin: String,
}

impl Admin {
    /// Finds server and key, and connects.
    pub(crate) async fn connect(args: &Connection, profile: &Profile) -> Result<Self, Error> {
        let server = match (&args.server, &profile.server) {
            (Some(server), _) => server.clone(),
            (None, Some(server)) => profile_url(server)?,
            (None, None) => Uri::from_static(DEFAULT_SERVER),
        };
        let key = AdminKey::find(args.admin_key_file.as_deref(), profile, &server)?;
        let trust = Trust::read(args, profile)?;
        let channel = connect(&server, trust.of_admin(), args.timeout).await?;
        let reason = MetadataValue::from_bytes(args.reason.as_bytes());
        let credentials = Credentials { key: Bearer(key.bearer), reason };
        Ok(Self {
            calls: AdminServiceClient::with_interceptor(channel.clone(), credentials),
            channel,
            reason: args.reason.clone(),
            trust,
            server,
            key_origin: key.origin,
        })
    }

    /// The metrics of the node, in Prometheus' text format.
    pub(crate) async fn metrics(&self) -> Result<String, Error> {
        let unreachable = |cause| Error::Unreachable { server: display(&self.server), cause };
        let request = http::Request::get("/metrics").body(Body::empty()).expect("a path is a URL");
        let answer = self.channel.clone().oneshot(request).await;
        let answer = answer.map_err(|error| unreachable(root_cause(&error)))?;
        if !answer.status().is_success() {
            return Err(unreachable(format!("{} where metrics should be", answer.status())));
        }
        let body = answer.into_body().collect().await;
        let body = body.map_err(|status| unreachable(root_cause(&status)))?.to_bytes();
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// What the failure of a call means: unreachable, refused, or an answer of the server.
    pub(crate) fn failure(&self, status: Status) -> Error {
        match status.code() {
            Code::Unauthenticated => Error::Refused {
                server: display(&self.server),
                key: self.key_origin.clone(),
                status: Box::new(status),
            },
            _ => failure(&self.server, status),
        }
    }
}

/// What the failure of a call means: unreachable, or an answer of the server. Every error of imd has
/// an `ErrorInfo`; what has none comes from the way there, or from another server.
pub(crate) fn failure(server: &Uri, status: Status) -> Error {
    if status.get_details_error_info().is_some() {
        return Error::Server(Box::new(status));
    }
    let lost =
        matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled);
    let cause = if lost || status.source().is_some() {
        explained(server, root_cause(&status))
    } else {
        let message = describe(&status);
        format!("what answers there is not this API of imd ({message})")
    };
    Error::Unreachable { server: display(server), cause }
}

/// Opens a connection, with TLS where the URL says so. `timeout` bounds the connecting and then the answer to each call.
pub(crate) async fn connect(
    server: &Uri,
    tls: ClientTlsConfig,
    timeout: Duration,
) -> Result<Channel, Error> {
    let unreachable = |cause: tonic::transport::Error| Error::Unreachable {
        server: display(server),
        cause: no_connection(server, &cause),
    };
    let mut endpoint =
        Endpoint::from(server.clone()).connect_timeout(timeout).timeout(timeout).tcp_nodelay(true);
    if server.scheme_str() == Some("https") {
        endpoint = endpoint.tls_config(tls).map_err(unreachable)?;
    }
    endpoint.connect().await.map_err(unreachable)
}

/// Why there is no connection, in a sentence.
fn no_connection(server: &Uri, cause: &tonic::transport::Error) -> String {
    explained(server, root_cause(cause))
}

/// What libraries say of a failed connection, as a sentence that says what to do about it.
pub(crate) fn explained(server: &Uri, cause: String) -> String {
    let tls = server.scheme_str() == Some("https");
    let is = |words: &[&str]| words.iter().any(|words| cause.contains(words));
    let advice = if !tls && is(&["frame with invalid size", "invalid HTTP version"]) {
        "what answers there speaks TLS: write https:// in the URL"
    } else if !tls && is(&["broken pipe", "connection reset", "Connection reset"]) {
        "what answers there closes the connection; where it speaks TLS, write https:// in the URL"
    } else if tls && is(&["InvalidContentType", "InvalidMessage", "corrupt message"]) {
        "what answers there does not speak TLS: write http:// in the URL"
    } else if is(&["CaUsedAsEndEntity"]) {
        "the certificate of the server is one of an authority (CA:TRUE), as openssl req -x509 makes \
         them by default, and cannot be a server's; make one with imd dev-cert, or with openssl and \
         -addext basicConstraints=critical,CA:FALSE"
    } else if is(&["UnknownIssuer"]) {
        "the certificate of the server comes from an authority that is not trusted here: name the \
         file of the authority, or of a self-signed certificate, with --ca"
    } else if is(&["NotValidForName", "not valid for name"]) {
        "the certificate of the server is for another name than the one in the URL: use a name that \
         it has, or make a certificate for this one, such as with imd dev-cert --name"
    } else if is(&["Expired", "certificate expired"]) {
        "the certificate of the server has expired: it must be renewed"
    } else if is(&["NotValidYet"]) {
        "the certificate of the server is not valid yet: see whether the clocks are right"
    } else if is(&["CertificateRequired", "certificate required"]) {
        "the server asks for a certificate: give --client-cert and --client-key"
    } else {
        return cause;
    };
    format!("{advice} ({cause})")
}

/// The innermost cause: the outer ones say "transport error".
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    if innermost.is::<TimeoutExpired>() {
        return "it did not answer in time (--timeout)".to_owned();
    }
    match innermost.downcast_ref::<Status>() {
        Some(status) => status.message().to_owned(),
        None => innermost.to_string(),
    }
}

/// The URL as it was given, without the path that it did not have.
pub(crate) fn display(server: &Uri) -> String {
    server.to_string().trim_end_matches('/').to_owned()
}

/// Parses the URL of a listener.
pub(crate) fn server_url(text: &str) -> Result<Uri, String> {
    let url: Uri = text.parse().map_err(|wrong| format!("{wrong}"))?;
    match url.scheme_str() {
        Some("http" | "https") if url.host().is_some_and(|host| !host.is_empty()) => Ok(url),
        _ => Err("a URL is wanted, such as http://127.0.0.1:8081".to_owned()),
    }
}

/// [`server_url`] for a URL from a profile.
pub(crate) fn profile_url(text: &str) -> Result<Uri, Error> {
    server_url(text).map_err(|wrong| Error::Usage(format!("profile: \"{text}\": {wrong}")))
}

/// Whether the server is on this machine.
pub(crate) fn is_local(server: &Uri) -> bool {
    let host = server.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_need_scheme_and_host() {
        assert!(server_url("https://imd.example.com").is_ok());
        for text in ["127.0.0.1:8081", "imd", "ftp://imd", "http://", ""] {
            assert!(server_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_tls_is_a_sentence() {
        for (url, cause, told) in [
            (
                "https://imd",
                "invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))",
                "imd dev-cert",
            ),
            ("https://imd", "invalid peer certificate: UnknownIssuer", "with --ca"),
            ("https://imd", "received corrupt message of type InvalidContentType", "write http://"),
            ("http://imd", "frame with invalid size", "write https://"),
            ("http://imd", "stream closed because of a broken pipe", "write https://"),
        ] {
            let explained = explained(&Uri::from_static(url), cause.to_owned());
            assert!(explained.contains(told) && explained.contains(cause), "{explained}");
        }
        let other = explained(&Uri::from_static("http://imd"), "connection refused".to_owned());
        assert_eq!(other, "connection refused");
    }

    #[test]
    fn loopback_is_local() {
        for (text, local) in [
            ("http://127.0.0.1:8081", true),
            ("http://localhost:8081", true),
            ("http://[::1]:8081", true),
            ("http://10.0.0.1:8081", false),
            ("https://localhost.example.com", false),
        ] {
            assert_eq!(is_local(&text.parse().expect("a URL")), local, "{text}");
        }
    }

    #[test]
    fn tokens_stay_out_of_debug_output() {
        let value = bearer("secret").expect("a token");
        assert!(!format!("{:?}", Bearer(value)).contains("secret"));
    }
}
