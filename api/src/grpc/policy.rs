//! The policy hook over gRPC: here imd is the client.

use std::{io, sync::Arc, time::Duration};

use async_trait::async_trait;
use hyper_util::rt::TokioIo;
use imd_proto::v1::{
    self, CheckPolicyRequest, PolicyData, check_policy_request, check_policy_response,
    policy_rewrite, policy_service_client::PolicyServiceClient,
};
use rustls::{ClientConfig, pki_types::ServerName};
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::{
    Request,
    metadata::{Ascii, MetadataKey, MetadataValue},
    transport::{Channel, Endpoint, Uri},
};
use tower::service_fn;
use tracing::Span;

use super::attachment;
use crate::{
    service::{PolicyContent, PolicyHook, PolicyQuestion, PolicyVerdict, SendContent, Written},
    telemetry::trace,
};

/// How often a connection that is kept open shows that it is there still.
const KEEP_ALIVE: Duration = Duration::from_mins(1);

/// A hook at the other end of a connection, which is opened at first use and whenever it is lost.
#[derive(Debug)]
pub struct GrpcPolicy {
    client: PolicyServiceClient<Channel>,
    authorization: Option<MetadataValue<Ascii>>,
}

impl GrpcPolicy {
    /// The hook at `url`, `grpc://host:port` or, over TLS with what `tls` trusts, `grpcs://host:port`. Each call shows
    /// the key, if there is one.
    ///
    /// Errors: a URL without a host, or a key that no header can carry.
    pub fn new(
        url: &str,
        key: Option<&SecretString>,
        tls: ClientConfig,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let url: Uri = url.parse()?;
        let is_secure = url.scheme_str() == Some("grpcs");
        let authority = url.authority().ok_or("there is no host")?.clone();
        let origin = format!("{}://{authority}", if is_secure { "https" } else { "http" });
        let endpoint = Endpoint::from_shared(origin)?
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_while_idle(true);
        let channel = if is_secure {
            let port = authority.port_u16().unwrap_or(443);
            let host = authority.host().trim_matches(['[', ']']).to_owned();
            let tls = TlsConnector::from(Arc::new(tls));
            endpoint.connect_with_connector_lazy(service_fn(move |_| {
                connect(tls.clone(), host.clone(), port)
            }))
        } else {
            endpoint.connect_lazy()
        };
        let show = |key: &SecretString| {
            let mut value: MetadataValue<Ascii> =
                format!("Bearer {}", key.expose_secret()).parse()?;
            value.set_sensitive(true);
            Ok::<_, tonic::metadata::errors::InvalidMetadataValue>(value)
        };
        let authorization = key.map(show).transpose()?;
        Ok(Self { client: PolicyServiceClient::new(channel), authorization })
    }
}

/// Connects to a server that shows who it is.
async fn connect(
    tls: TlsConnector,
    host: String,
    port: u16,
) -> io::Result<TokioIo<tokio_rustls::client::TlsStream<TcpStream>>> {
    let stream = TcpStream::connect((host.as_str(), port)).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(host).map_err(io::Error::other)?;
    Ok(TokioIo::new(tls.connect(name, stream).await?))
}

#[async_trait]
impl PolicyHook for GrpcPolicy {
    async fn ask(
        &self,
        question: &PolicyQuestion,
        largest: usize,
    ) -> Result<PolicyVerdict, String> {
        let mut request = Request::new(encode(question));
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        for (name, value) in trace::headers_of(&Span::current()) {
            let name = name.map(|name| MetadataKey::<Ascii>::from_bytes(name.as_str().as_bytes()));
            if let (Some(Ok(name)), Ok(value)) = (name, MetadataValue::try_from(value.as_bytes())) {
                request.metadata_mut().insert(name, value);
            }
        }
        let mut client = self.client.clone().max_decoding_message_size(largest);
        let answer = client
            .check_policy(request)
            .await
            .map_err(|status| format!("answered {:?}: {}", status.code(), status.message()))?;
        decode(answer.into_inner())
    }
}

fn encode(question: &PolicyQuestion) -> CheckPolicyRequest {
    let kind = match question.kind {
        Written::Message => v1::PolicyKind::Message,
        Written::Edit => v1::PolicyKind::Edit,
    };
    let recipient = question.recipient_id.as_ref().map(ToString::to_string);
    let group = question.group_id.as_ref().map(ToString::to_string);
    let to = recipient
        .map(check_policy_request::To::RecipientId)
        .or(group.map(check_policy_request::To::GroupId));
    let content = match &question.content {
        PolicyContent::Text { text } => check_policy_request::Content::Text(text.clone()),
        PolicyContent::Data { content_type, data } => {
            let (content_type, data) = (content_type.clone(), data.clone());
            check_policy_request::Content::Data(PolicyData { content_type, data })
        }
    };
    let text = |value: Option<String>| value.unwrap_or_default();
    CheckPolicyRequest {
        kind: kind.into(),
        sender_id: question.sender_id.to_string(),
        session_id: question.session_id.to_string(),
        terminal: question.terminal.clone().map(|terminal| v1::Terminal {
            r#type: terminal.terminal_type,
            device_id: terminal.device_id.as_str().to_owned(),
            device_name: terminal.device_name,
        }),
        address: text(question.address.map(|address| address.to_string())),
        to,
        client_message_id: text(question.client_message_id.map(|id| id.to_string())),
        message_id: text(question.message_id.as_ref().map(ToString::to_string)),
        content: Some(content),
        mentions: question.mentions.iter().map(ToString::to_string).collect(),
        mention_all: question.mention_all,
        attachments: attachment::list(&question.attachments),
        reply_to: question.reply_to.as_ref().map(|quote| v1::PolicyQuote {
            message_id: quote.message_id.to_string(),
            sender_id: quote.sender_id.to_string(),
        }),
    }
}

fn decode(answer: v1::CheckPolicyResponse) -> Result<PolicyVerdict, String> {
    match answer.action {
        Some(check_policy_response::Action::Allow(_)) => Ok(PolicyVerdict::Allow),
        Some(check_policy_response::Action::Refuse(refuse)) => {
            Ok(PolicyVerdict::Refuse { code: refuse.code, text: refuse.text })
        }
        Some(check_policy_response::Action::Rewrite(rewrite)) => match rewrite.content {
            Some(policy_rewrite::Content::Text(text)) => {
                Ok(PolicyVerdict::Rewrite(SendContent::Text(text)))
            }
            Some(policy_rewrite::Content::Data(PolicyData { content_type, data })) => {
                Ok(PolicyVerdict::Rewrite(SendContent::Data { content_type, data }))
            }
            None => Err("a rewrite has either text or data".to_owned()),
        },
        None => Err("an answer has an action".to_owned()),
    }
}
