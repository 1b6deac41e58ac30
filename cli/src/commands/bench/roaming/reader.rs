//! One terminal that reads, call by call over one connection.

use std::time::{Duration, Instant};

use imd_client::{AuthorizedChannel, Terminal};
use imd_proto::v1::{
    ListConversationsRequest, ListHistoryRequest, PullTimelineRequest, SubscribeRequest,
    message_service_client::MessageServiceClient, subscribe_response::Event,
};
use tonic::Status;

use crate::error::Error;

/// The largest page of a history.
const MOST_MESSAGES: i32 = 200;

/// The largest page of the conversations.
const MOST_CONVERSATIONS: i32 = 1_000;

pub(super) struct Reader(MessageServiceClient<AuthorizedChannel>);

impl Reader {
    pub(super) async fn new(terminal: &Terminal) -> Result<Self, Error> {
        let channel = terminal.channel().await;
        Ok(Self(MessageServiceClient::new(channel.map_err(|e| Error::Bench(e.to_string()))?)))
    }

    /// Reads `pages` pages of the history with the first peer, newest first, from `token` on; how long
    /// each took, and the token of the next.
    pub(super) async fn history(
        &mut self,
        pages: usize,
        page_size: i32,
        mut token: String,
    ) -> Result<(Vec<Duration>, String), Error> {
        let mut times = Vec::with_capacity(pages);
        for _ in 0..pages {
            let request = ListHistoryRequest {
                conversation_id: "user:bench-peer-00001".to_owned(),
                page_size,
                page_token: token,
            };
            let begun = Instant::now();
            let page = self.0.list_history(request).await.map_err(failed)?.into_inner();
            times.push(begun.elapsed());
            token = page.next_page_token;
        }
        Ok((times, token))
    }

    /// The token of the page behind the newest `messages`.
    pub(super) async fn descend(&mut self, messages: usize) -> Result<String, Error> {
        let pages = messages / MOST_MESSAGES.unsigned_abs() as usize;
        Ok(self.history(pages, MOST_MESSAGES, String::new()).await?.1)
    }

    /// Lists all conversations; how many there are, and how long it took.
    pub(super) async fn conversations(&mut self) -> Result<(usize, Duration), Error> {
        let (mut count, mut page_token) = (0, String::new());
        let begun = Instant::now();
        loop {
            let request = ListConversationsRequest {
                page_size: MOST_CONVERSATIONS,
                page_token,
                ..Default::default()
            };
            let page = self.0.list_conversations(request).await.map_err(failed)?.into_inner();
            count += page.conversations.len();
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok((count, begun.elapsed()));
            }
        }
    }

    /// Follows the timeline from its start for `entries` entries, as a new terminal does.
    pub(super) async fn catch_up(&mut self, entries: usize) -> Result<Duration, Error> {
        let begun = Instant::now();
        let mut stream =
            self.0.subscribe(SubscribeRequest::default()).await.map_err(failed)?.into_inner();
        let mut count = 0;
        while count < entries {
            let event = stream.message().await.map_err(failed)?;
            count += usize::from(matches!(
                event.and_then(|response| response.event),
                Some(Event::Entry(_))
            ));
        }
        Ok(begun.elapsed())
    }

    /// Reads what may be seen, one entry at most; how long it took.
    pub(super) async fn look(&mut self) -> Result<Duration, Error> {
        let begun = Instant::now();
        let request = PullTimelineRequest { limit: 1, ..Default::default() };
        self.0.pull_timeline(request).await.map_err(failed)?;
        Ok(begun.elapsed())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failed(status: Status) -> Error {
    Error::Bench(format!("a read failed: {}", crate::error::describe(&status)))
}
