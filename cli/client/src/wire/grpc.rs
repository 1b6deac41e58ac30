//! gRPC.

use imd_proto::v1::{
    AcknowledgeRequest, GetInfoRequest, LoginRequest, LoginResponse, LogoutRequest, RefreshRequest,
    SendRequest, SendResponse, SubscribeRequest, SubscribeResponse, Tokens,
    auth_service_client::AuthServiceClient, info_service_client::InfoServiceClient,
    message_service_client::MessageServiceClient,
};
use tonic::{
    Request, Streaming,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Uri},
};

use super::{Asked, KEEP_ALIVE, PATIENCE};
use crate::{error::Error, session::AccessToken};

/// Trusts the authorities in `ca`, PEM, or else those of the system.
pub(super) fn endpoint(server: &Uri, ca: Option<&[u8]>) -> Result<Endpoint, Error> {
    let endpoint = Endpoint::from(server.clone())
        .connect_timeout(PATIENCE)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(PATIENCE)
        .keep_alive_while_idle(true);
    if server.scheme_str() != Some("https") {
        return Ok(endpoint);
    }
    let tls = match ca {
        Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    let secured = endpoint.tls_config(tls);
    secured.map_err(|wrong| Error::Servers(format!("{server}: {wrong}")))
}

pub(super) async fn login(
    channel: &Channel,
    request: LoginRequest,
) -> Result<(LoginResponse, i32), Error> {
    let mut auth = AuthServiceClient::new(channel.clone());
    let mut info = InfoServiceClient::new(channel.clone());
    let (login, info) = tokio::try_join!(auth.login(request), info.get_info(GetInfoRequest {}))?;
    Ok((login.into_inner(), info.get_ref().heartbeat_interval))
}

pub(super) async fn refresh(channel: &Channel, refresh_token: String) -> Result<Tokens, Error> {
    let mut auth = AuthServiceClient::new(channel.clone());
    let answer = auth.refresh(RefreshRequest { refresh_token }).await?;
    answer.into_inner().tokens.ok_or(Error::Contract("no tokens"))
}

pub(super) async fn logout(channel: &Channel, token: &AccessToken) -> Result<(), Error> {
    let mut auth = AuthServiceClient::new(channel.clone());
    auth.logout(authorized(LogoutRequest {}, token)).await?;
    Ok(())
}

pub(super) async fn send(
    channel: &Channel,
    token: &AccessToken,
    request: SendRequest,
) -> Result<SendResponse, Error> {
    let mut messages = MessageServiceClient::new(channel.clone());
    Ok(messages.send(authorized(request, token)).await?.into_inner())
}

pub(super) async fn subscribe(
    channel: &Channel,
    token: &AccessToken,
    after: &str,
    asked: &Asked,
) -> Result<Streaming<SubscribeResponse>, Error> {
    let mut messages = MessageServiceClient::new(channel.clone());
    let request = SubscribeRequest {
        after: after.to_owned(),
        watch: asked.watched.clone(),
        acknowledging: asked.acknowledging,
        ..SubscribeRequest::default()
    };
    Ok(messages.subscribe(authorized(request, token)).await?.into_inner())
}

pub(super) async fn acknowledge(
    channel: &Channel,
    token: &AccessToken,
    cursor: &str,
) -> Result<(), Error> {
    let mut messages = MessageServiceClient::new(channel.clone());
    let request = AcknowledgeRequest { cursor: cursor.to_owned() };
    messages.acknowledge(authorized(request, token)).await?;
    Ok(())
}

fn authorized<T>(message: T, token: &AccessToken) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", token.bearer.clone());
    request
}
