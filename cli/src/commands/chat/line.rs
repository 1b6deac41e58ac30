//! The line to the server: what comes, what goes, and pages of what was.

use std::time::Duration;

use imd_client::{
    AuthorizedChannel, Error as ClientError, Event, NOW, SendError, Terminal, Timeline,
};
use imd_proto::v1::{
    ListHistoryRequest, ListHistoryResponse, SendRequest,
    message_service_client::MessageServiceClient,
    send_request::{Content, To},
};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use uuid::Uuid;

/// For how long a message that does not get through is sent again.
const PATIENCE: Duration = Duration::from_hours(1);

/// How many messages a page of history has.
const PAGE: i32 = 50;

/// What happens on the line.
pub(super) enum News {
    /// The timeline goes on.
    Event(Event),
    /// A message is stored, or will not be.
    Sent { client_message_id: String, outcome: Result<(), SendError> },
    /// An older page of the history, or why there is none.
    Page(Result<ListHistoryResponse, String>),
}

pub(super) struct Line {
    terminal: Terminal,
    timeline: Timeline,
    peer: String,
    outgoing: UnboundedSender<SendRequest>,
    /// From the tasks.
    news: UnboundedReceiver<News>,
    tell: UnboundedSender<News>,
    /// Whether the newest page has been asked for.
    asked: bool,
}

impl Line {
    /// Follows from now on. What was before comes page by page, the newest unasked: after the stream has
    /// opened, so that nothing is missed between the two.
    pub(super) fn open(terminal: Terminal, peer: &str) -> Self {
        let (tell, news) = mpsc::unbounded_channel();
        let (outgoing, queue) = mpsc::unbounded_channel();
        tokio::spawn(send_in_order(terminal.clone(), queue, tell.clone()));
        Self {
            timeline: terminal.follow(NOW),
            terminal,
            peer: peer.to_owned(),
            outgoing,
            news,
            tell,
            asked: false,
        }
    }

    /// What happens next. Safe to cancel. An error is the end: of the session, mostly.
    pub(super) async fn next(&mut self) -> Result<News, ClientError> {
        tokio::select! {
            event = self.timeline.next() => {
                let event = event?;
                if !self.asked {
                    self.asked = true;
                    self.ask_for_page(String::new());
                }
                Ok(News::Event(event))
            }
            Some(news) = self.news.recv() => Ok(news),
        }
    }

    /// Sends a text, behind those before it; its `client_message_id`.
    pub(super) fn send(&self, text: &str) -> String {
        let client_message_id = Uuid::new_v4().to_string();
        let request = SendRequest {
            to: Some(To::UserId(self.peer.clone())),
            client_message_id: client_message_id.clone(),
            content: Some(Content::Text(text.to_owned())),
            ..SendRequest::default()
        };
        // The task lives as long as this does.
        let _ = self.outgoing.send(request);
        client_message_id
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
    peer: &str,
    page_token: String,
) -> Result<ListHistoryResponse, String> {
    let request =
        ListHistoryRequest { conversation_id: format!("user:{peer}"), page_size: PAGE, page_token };
    let answer = MessageServiceClient::new(channel).list_history(request).await;
    answer.map(tonic::Response::into_inner).map_err(|status| status.message().to_owned())
}

/// One after the other, so that messages stand in the order in which they were written.
async fn send_in_order(
    terminal: Terminal,
    mut queue: UnboundedReceiver<SendRequest>,
    tell: UnboundedSender<News>,
) {
    while let Some(request) = queue.recv().await {
        let client_message_id = request.client_message_id.clone();
        let outcome = terminal.send(request, PATIENCE).await.map(drop);
        let _ = tell.send(News::Sent { client_message_id, outcome });
    }
}
