//! The line to the server: what comes, what goes, and pages of what was.

use std::time::Duration;

use imd_client::{
    AuthorizedChannel, Error as ClientError, Event, NOW, SendError, Terminal, Timeline,
};
use imd_proto::v1::{
    ListGroupMembersRequest, ListHistoryRequest, ListHistoryResponse, SendRequest, SignalRequest,
    Typing, group_service_client::GroupServiceClient, message_service_client::MessageServiceClient,
    send_request::Content, signal_request::Signal,
};
use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    time::{Instant, timeout_at},
};
use uuid::Uuid;

use super::peer::Peer;

/// For how long a message that does not get through is sent again.
const PATIENCE: Duration = Duration::from_hours(1);

/// How often it is said that the user types: the server passes on no more.
const TYPING_EVERY: Duration = Duration::from_secs(3);

/// How many messages a page of history has.
const PAGE: i32 = 50;

/// What happens on the line.
#[expect(clippy::large_enum_variant, reason = "most of what happens is an event")]
pub(super) enum News {
    /// The timeline goes on.
    Event(Event),
    /// A message is stored, or will not be.
    Sent { client_message_id: String, outcome: Result<(), SendError> },
    /// An older page of the history, or why there is none.
    Page(Result<ListHistoryResponse, String>),
    /// Who is in the group.
    Members(Result<Vec<String>, String>),
}

/// What is to be sent, one after the other.
enum Outgoing {
    Message(SendRequest),
    /// What is of no use when it goes late, and since when it waits.
    Signal(SignalRequest, Instant),
}

pub(super) struct Line {
    terminal: Terminal,
    timeline: Timeline,
    peer: Peer,
    outgoing: UnboundedSender<Outgoing>,
    /// From the tasks.
    news: UnboundedReceiver<News>,
    tell: UnboundedSender<News>,
    /// Whether the newest page has been asked for.
    asked: bool,
    /// When it was said last that the user types; `None` when it does not.
    typed: Option<Instant>,
}

impl Line {
    /// Follows from now on. What was before comes page by page, the newest unasked: after the stream has
    /// opened, so that nothing is missed between the two.
    pub(super) fn open(terminal: Terminal, peer: &Peer) -> Self {
        let (tell, news) = mpsc::unbounded_channel();
        let (outgoing, queue) = mpsc::unbounded_channel();
        tokio::spawn(send_in_order(terminal.clone(), queue, tell.clone()));
        Self {
            timeline: match peer {
                Peer::User(user_id) => terminal.follow(NOW).watching(vec![user_id.clone()]),
                Peer::Group(_) => terminal.follow(NOW),
            },
            terminal,
            peer: peer.clone(),
            outgoing,
            news,
            tell,
            asked: false,
            typed: None,
        }
    }

    /// What happens next. Safe to cancel. An error is the end: of the session, mostly.
    pub(super) async fn next(&mut self) -> Result<News, ClientError> {
        tokio::select! {
            event = self.timeline.next() => {
                let event = event?;
                if !self.asked {
                    self.asked = true;
                    self.ask_for_members();
                    self.ask_for_page(String::new());
                }
                Ok(News::Event(event))
            }
            Some(news) = self.news.recv() => Ok(news),
        }
    }

    /// Sends a text, behind those before it; its `client_message_id`.
    pub(super) fn send(&mut self, text: &str, mentions: Vec<String>) -> String {
        // The message says by itself that the typing is over.
        self.typed = None;
        let client_message_id = Uuid::new_v4().to_string();
        let request = SendRequest {
            to: Some(self.peer.to()),
            client_message_id: client_message_id.clone(),
            content: Some(Content::Text(text.to_owned())),
            mentions,
            ..SendRequest::default()
        };
        // The task lives as long as this does.
        let _ = self.outgoing.send(Outgoing::Message(request));
        client_message_id
    }

    /// Says that the user types, or has given up what it had typed.
    pub(super) fn draft(&mut self, draft: &str) {
        let typing = match self.typed {
            Some(_) if draft.is_empty() => Typing::Stopped,
            Some(said) if said.elapsed() < TYPING_EVERY => return,
            None if draft.is_empty() => return,
            _ => Typing::Started,
        };
        self.typed = (typing == Typing::Started).then(Instant::now);
        let signal = Some(Signal::Typing(typing.into()));
        let request = SignalRequest { to: Some(self.peer.signal_to()), signal };
        // In line with the messages, so that it does not come behind the one that ends the typing.
        let _ = self.outgoing.send(Outgoing::Signal(request, Instant::now()));
    }

    /// Asks who is in the group, if it is one.
    fn ask_for_members(&self) {
        let Peer::Group(group_id) = self.peer.clone() else { return };
        let (terminal, tell) = (self.terminal.clone(), self.tell.clone());
        tokio::spawn(async move {
            let members = match terminal.channel().await {
                Ok(channel) => members(channel, &group_id).await,
                Err(error) => Err(error.to_string()),
            };
            let _ = tell.send(News::Members(members));
        });
    }

    /// Asks for a page of history: that of a page token.
    pub(super) fn ask_for_page(&self, page_token: String) {
        let (terminal, peer, tell) = (self.terminal.clone(), self.peer.clone(), self.tell.clone());
        tokio::spawn(async move {
            let page = match terminal.channel().await {
                Ok(channel) => page(channel, &peer, page_token).await,
                Err(error) => Err(error.to_string()),
            };
            let _ = tell.send(News::Page(page));
        });
    }
}

async fn page(
    channel: AuthorizedChannel,
    peer: &Peer,
    page_token: String,
) -> Result<ListHistoryResponse, String> {
    let conversation_id = peer.conversation_id();
    let request = ListHistoryRequest { conversation_id, page_size: PAGE, page_token };
    let answer = MessageServiceClient::new(channel).list_history(request).await;
    answer.map(tonic::Response::into_inner).map_err(|status| status.message().to_owned())
}

/// The user ids of a group's members.
async fn members(channel: AuthorizedChannel, group_id: &str) -> Result<Vec<String>, String> {
    let mut calls = GroupServiceClient::new(channel);
    let (mut members, mut page_token) = (Vec::new(), String::new());
    loop {
        let group_id = group_id.to_owned();
        let request = ListGroupMembersRequest { group_id, page_size: 1000, page_token };
        let answer = calls.list_group_members(request).await;
        let page = answer.map_err(|status| status.message().to_owned())?.into_inner();
        members.extend(page.members.into_iter().map(|member| member.user_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(members);
        }
    }
}

async fn signal(terminal: &Terminal, request: SignalRequest) {
    if let Ok(channel) = terminal.channel().await {
        let _ = MessageServiceClient::new(channel).signal(request).await;
    }
}

/// One after the other, so that messages stand in the order in which they were written.
async fn send_in_order(
    terminal: Terminal,
    mut queue: UnboundedReceiver<Outgoing>,
    tell: UnboundedSender<News>,
) {
    while let Some(outgoing) = queue.recv().await {
        let request = match outgoing {
            Outgoing::Message(request) => request,
            Outgoing::Signal(request, since) => {
                // Who does not get it misses nothing that is said.
                let _ = timeout_at(since + TYPING_EVERY, signal(&terminal, request)).await;
                continue;
            }
        };
        let client_message_id = request.client_message_id.clone();
        let outcome = terminal.send(request, PATIENCE).await.map(drop);
        let _ = tell.send(News::Sent { client_message_id, outcome });
    }
}
