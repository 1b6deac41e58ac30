//! The server.

use std::{future::Future, net::SocketAddr, time::Duration};

use imd_client::{Connection, Terminal, proto};
use proto::{
    auth_service_server::{AuthService, AuthServiceServer},
    info_service_server::{InfoService, InfoServiceServer},
    message_service_server::{MessageService, MessageServiceServer},
    subscribe_response::Event,
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tonic::{Code, Request, Response, Status, async_trait, metadata::MetadataMap};
use tonic_types::{ErrorDetails, StatusExt as _};

type Answer<T> = Result<Response<T>, Status>;

/// How long a test waits for anything.
const DEADLINE: Duration = Duration::from_secs(10);

/// Awaits what must come.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(DEADLINE, what).await.expect("what the test waits for comes in time")
}

/// A call that waits for the test's answer.
pub(crate) struct Call<Q, A> {
    pub(crate) request: Q,
    /// The access token that it carries.
    pub(crate) token: String,
    reply: oneshot::Sender<Result<A, Status>>,
}

impl<Q, A> Call<Q, A> {
    pub(crate) fn answer(self, answer: A) {
        assert!(self.reply.send(Ok(answer)).is_ok(), "the client waits for the answer");
    }

    pub(crate) fn fail(self, status: Status) {
        assert!(self.reply.send(Err(status)).is_ok(), "the client waits for the answer");
    }
}

/// The events of an open stream, as the test sends them.
pub(crate) type Events = mpsc::UnboundedSender<Result<proto::SubscribeResponse, Status>>;
pub(crate) type SubscribeCall = Call<proto::SubscribeRequest, UnboundedReceiverStream<Streamed>>;
pub(crate) type Streamed = Result<proto::SubscribeResponse, Status>;

impl SubscribeCall {
    /// Opens the stream of a timeline that reaches `last_seq`.
    pub(crate) fn open(self, last_seq: i64) -> Events {
        let (events, stream) = mpsc::unbounded_channel();
        let state = proto::TimelineState { epoch: 1, last_seq, floor: 1, retention: None };
        tell(&events, Event::Opened(state));
        self.answer(UnboundedReceiverStream::new(stream));
        events
    }
}

pub(crate) fn tell(events: &Events, event: Event) {
    let event = proto::SubscribeResponse { event: Some(event) };
    events.send(Ok(event)).expect("the stream is open");
}

/// Tells an entry without content.
pub(crate) fn tell_entry(events: &Events, seq: i64) {
    let entry = proto::Entry { seq, cursor: format!("1.{seq}"), ..Default::default() };
    tell(events, Event::Entry(entry));
}

/// An error as imd gives it.
pub(crate) fn error(code: Code, reason: &str, metadata: &[(&str, &str)]) -> Status {
    let metadata: std::collections::HashMap<String, String> =
        metadata.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Status::with_error_details(code, "no", ErrorDetails::with_error_info(reason, "imd", metadata))
}

/// One server. Its address and the calls that it gets.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) subscribes: mpsc::UnboundedReceiver<SubscribeCall>,
    pub(crate) sends: mpsc::UnboundedReceiver<Call<proto::SendRequest, proto::SendResponse>>,
    pub(crate) refreshes: mpsc::UnboundedReceiver<Call<proto::RefreshRequest, proto::Tokens>>,
}

impl Server {
    /// A server whose access tokens last for `expires_in` seconds.
    pub(crate) async fn start(expires_in: i32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let (subscribe, subscribes) = mpsc::unbounded_channel();
        let (send, sends) = mpsc::unbounded_channel();
        let (refresh, refreshes) = mpsc::unbounded_channel();
        let router = tonic::transport::Server::builder()
            .add_service(AuthServiceServer::new(Auth { expires_in, refresh }))
            .add_service(MessageServiceServer::new(Messages { subscribe, send }))
            .add_service(InfoServiceServer::new(Info));
        tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { address, subscribes, sends, refreshes }
    }
}

/// Logs in to the first of the servers, knowing them all.
pub(crate) async fn login(servers: &[&Server]) -> Terminal {
    let url = |server: &&Server| format!("http://{}", server.address).parse().expect("a URL");
    let urls: Vec<_> = servers.iter().map(url).collect();
    let connection = Connection::new(&urls).expect("the URLs are good");
    let request = proto::LoginRequest { user_id: "ann".to_owned(), ..Default::default() };
    soon(Terminal::login(connection, request)).await.expect("the login succeeds")
}

/// The tokens of the `number`th exchange.
pub(crate) fn tokens(number: u32, expires_in: i32) -> proto::Tokens {
    proto::Tokens {
        access_token: format!("access-{number}"),
        expires_in,
        refresh_token: format!("refresh-{number}"),
    }
}

/// Hands a call to the test and waits for its answer.
async fn ask<Q, A>(
    test: &mpsc::UnboundedSender<Call<Q, A>>,
    metadata: &MetadataMap,
    request: Q,
) -> Result<A, Status> {
    let token = metadata.get("authorization").and_then(|value| value.to_str().ok());
    let token = token.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let (reply, answer) = oneshot::channel();
    let call = Call { request, token: token.to_owned(), reply };
    let gone = || Status::unavailable("the test is over");
    test.send(call).map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?
}

struct Auth {
    expires_in: i32,
    refresh: mpsc::UnboundedSender<Call<proto::RefreshRequest, proto::Tokens>>,
}

#[async_trait]
impl AuthService for Auth {
    async fn login(&self, _: Request<proto::LoginRequest>) -> Answer<proto::LoginResponse> {
        let tokens = Some(tokens(0, self.expires_in));
        Ok(Response::new(proto::LoginResponse { tokens, ..Default::default() }))
    }

    async fn refresh(
        &self,
        request: Request<proto::RefreshRequest>,
    ) -> Answer<proto::RefreshResponse> {
        let (metadata, _, request) = request.into_parts();
        let tokens = Some(ask(&self.refresh, &metadata, request).await?);
        Ok(Response::new(proto::RefreshResponse { tokens }))
    }

    async fn logout(&self, _: Request<proto::LogoutRequest>) -> Answer<proto::LogoutResponse> {
        Ok(Response::new(proto::LogoutResponse {}))
    }

    async fn list_my_sessions(
        &self,
        _: Request<proto::ListMySessionsRequest>,
    ) -> Answer<proto::ListMySessionsResponse> {
        Err(Status::unimplemented("no test calls it"))
    }

    async fn end_my_session(
        &self,
        _: Request<proto::EndMySessionRequest>,
    ) -> Answer<proto::EndMySessionResponse> {
        Err(Status::unimplemented("no test calls it"))
    }
}

struct Messages {
    subscribe: mpsc::UnboundedSender<SubscribeCall>,
    send: mpsc::UnboundedSender<Call<proto::SendRequest, proto::SendResponse>>,
}

#[async_trait]
impl MessageService for Messages {
    type SubscribeStream = UnboundedReceiverStream<Streamed>;

    async fn send(&self, request: Request<proto::SendRequest>) -> Answer<proto::SendResponse> {
        let (metadata, _, request) = request.into_parts();
        Ok(Response::new(ask(&self.send, &metadata, request).await?))
    }

    type SendStreamStream = UnboundedReceiverStream<Result<proto::SendStreamResponse, Status>>;

    async fn send_stream(
        &self,
        _: Request<tonic::Streaming<proto::SendStreamRequest>>,
    ) -> Answer<Self::SendStreamStream> {
        Err(Status::unimplemented("no test calls it"))
    }

    async fn subscribe(
        &self,
        request: Request<proto::SubscribeRequest>,
    ) -> Answer<Self::SubscribeStream> {
        let (metadata, _, request) = request.into_parts();
        Ok(Response::new(ask(&self.subscribe, &metadata, request).await?))
    }

    async fn acknowledge(
        &self,
        _: Request<proto::AcknowledgeRequest>,
    ) -> Answer<proto::AcknowledgeResponse> {
        Err(Status::unimplemented("no test calls it"))
    }

    async fn pull_timeline(
        &self,
        _: Request<proto::PullTimelineRequest>,
    ) -> Answer<proto::PullTimelineResponse> {
        Err(Status::unimplemented("no test calls it"))
    }

    async fn list_conversations(
        &self,
        _: Request<proto::ListConversationsRequest>,
    ) -> Answer<proto::ListConversationsResponse> {
        Err(Status::unimplemented("no test calls it"))
    }

    async fn update_conversation(
        &self,
        _: Request<proto::UpdateConversationRequest>,
    ) -> Answer<proto::UpdateConversationResponse> {
        Err(Status::unimplemented("no test calls it"))
    }

    async fn set_draft(
        &self,
        _: Request<proto::SetDraftRequest>,
    ) -> Answer<proto::SetDraftResponse> {
        Err(Status::unimplemented("no test calls it"))
    }

    async fn list_history(
        &self,
        _: Request<proto::ListHistoryRequest>,
    ) -> Answer<proto::ListHistoryResponse> {
        Err(Status::unimplemented("no test calls it"))
    }

    async fn edit_message(
        &self,
        _: Request<proto::EditMessageRequest>,
    ) -> Answer<proto::EditMessageResponse> {
        Err(Status::unimplemented("no test calls it"))
    }

    async fn list_edits(
        &self,
        _: Request<proto::ListEditsRequest>,
    ) -> Answer<proto::ListEditsResponse> {
        Err(Status::unimplemented("no test calls it"))
    }

    async fn add_reaction(
        &self,
        _: Request<proto::AddReactionRequest>,
    ) -> Answer<proto::AddReactionResponse> {
        Err(Status::unimplemented("no test calls it"))
    }

    async fn remove_reaction(
        &self,
        _: Request<proto::RemoveReactionRequest>,
    ) -> Answer<proto::RemoveReactionResponse> {
        Err(Status::unimplemented("no test calls it"))
    }

    async fn list_reactions(
        &self,
        _: Request<proto::ListReactionsRequest>,
    ) -> Answer<proto::ListReactionsResponse> {
        Err(Status::unimplemented("no test calls it"))
    }

    async fn search_messages(
        &self,
        _: Request<proto::SearchMessagesRequest>,
    ) -> Answer<proto::SearchMessagesResponse> {
        Err(Status::unimplemented("no test calls it"))
    }

    async fn pin_message(
        &self,
        _: Request<proto::PinMessageRequest>,
    ) -> Answer<proto::PinMessageResponse> {
        Err(Status::unimplemented("no test calls it"))
    }

    async fn unpin_message(
        &self,
        _: Request<proto::UnpinMessageRequest>,
    ) -> Answer<proto::UnpinMessageResponse> {
        Err(Status::unimplemented("no test calls it"))
    }

    async fn list_pinned_messages(
        &self,
        _: Request<proto::ListPinnedMessagesRequest>,
    ) -> Answer<proto::ListPinnedMessagesResponse> {
        Err(Status::unimplemented("no test calls it"))
    }

    async fn delete_message(
        &self,
        _: Request<proto::DeleteMessageRequest>,
    ) -> Answer<proto::DeleteMessageResponse> {
        Err(Status::unimplemented("no test calls it"))
    }

    async fn signal(&self, _: Request<proto::SignalRequest>) -> Answer<proto::SignalResponse> {
        Err(Status::unimplemented("no test calls it"))
    }

    async fn recall(&self, _: Request<proto::RecallRequest>) -> Answer<proto::RecallResponse> {
        Err(Status::unimplemented("no test calls it"))
    }

    async fn mark_read(
        &self,
        _: Request<proto::MarkReadRequest>,
    ) -> Answer<proto::MarkReadResponse> {
        Err(Status::unimplemented("no test calls it"))
    }
}

struct Info;

#[async_trait]
impl InfoService for Info {
    async fn get_info(&self, _: Request<proto::GetInfoRequest>) -> Answer<proto::GetInfoResponse> {
        Ok(Response::new(proto::GetInfoResponse { heartbeat_interval: 30, ..Default::default() }))
    }
}
