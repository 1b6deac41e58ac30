//! The act of the new terminal that reads everything.

use std::time::Instant;

use imd_proto::v1::{Entry, HistoryEnd, ListConversationsRequest, ListHistoryRequest, entry::Kind};

use super::{Story, talk::Said};
use crate::{
    commands::demo::{
        public::Cast,
        terminal::{NOW, Terminal},
    },
    error::Error,
};

/// Small, so that the conversation has several pages.
const PAGE_SIZE: i32 = 5;

impl Story<'_> {
    /// Reads the whole history on a terminal that was not there, page by page.
    pub(super) async fn a_new_pad(&mut self) -> Result<Terminal, Error> {
        let Cast { pad, .. } = self.cast;
        self.stage.act(&format!("Alice logs in on a {pad} that was never there before"))?;
        let (mut pad, _) =
            Terminal::login(self.public, self.alice, pad, &format!("alice's {pad}"), NOW).await?;
        let conversation_id = format!("user:{}", self.bob.user_id);
        self.the_conversation_is_listed(&mut pad, &conversation_id).await?;
        self.pages(&mut pad, &conversation_id).await?;
        self.stage.saw("that is all of it", "the conversation begins there")?;
        Ok(pad)
    }

    async fn pages(&mut self, pad: &mut Terminal, conversation_id: &str) -> Result<(), Error> {
        let mut unread = self.said.as_slice();
        let mut page_token = String::new();
        for page in 1..=self.said.len() {
            let started = Instant::now();
            let request = ListHistoryRequest {
                conversation_id: conversation_id.to_owned(),
                page_size: PAGE_SIZE,
                page_token,
            };
            let answer = pad.calls.list_history(request).await;
            let answer = answer.map_err(|status| self.public.failure(status))?.into_inner();
            unread = check_page(pad, &answer.entries, unread)?;
            let what = format!("page {page} has {} messages", answer.entries.len());
            let oldest = self.said.get(unread.len()).map_or("", |said| &said.text);
            self.stage.saw_after(started.elapsed(), &what, &format!("back to \"{oldest}\""))?;
            let end = answer.end();
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                if unread.is_empty() && end == HistoryEnd::Beginning {
                    return Ok(());
                }
                return Err(pad.fault(&format!(
                    "its history ends with {end:?} and lacks {} messages",
                    unread.len()
                )));
            }
        }
        Err(pad.fault("its history goes on after the first message"))
    }

    async fn the_conversation_is_listed(
        &mut self,
        pad: &mut Terminal,
        conversation_id: &str,
    ) -> Result<(), Error> {
        let request = ListConversationsRequest::default();
        let answer = pad.calls.list_conversations(request).await;
        let answer = answer.map_err(|status| self.public.failure(status))?.into_inner();
        let [conversation] = answer.conversations.as_slice() else {
            let many = answer.conversations.len();
            return Err(pad.fault(&format!("finds {many} conversations, not one")));
        };
        let newest = conversation.last_message.as_ref().and_then(message_id);
        let said = self.said.last().map(|said| said.message_id.as_str());
        if conversation.conversation_id != conversation_id || newest != said {
            return Err(pad.fault(&format!("finds a wrong conversation: {conversation:?}")));
        }
        self.stage.saw("it finds the conversation", conversation_id)
    }
}

/// The page must hold the newest of the unread messages, the newest first; the rest is returned.
fn check_page<'a>(pad: &Terminal, page: &[Entry], unread: &'a [Said]) -> Result<&'a [Said], Error> {
    let (rest, wanted) = unread.split_at(unread.len().saturating_sub(page.len()));
    let wanted = wanted.iter().rev().map(|said| Some(said.message_id.as_str()));
    if page.iter().map(message_id).eq(wanted) {
        return Ok(rest);
    }
    Err(pad.fault(&format!("this page is not what was said: {page:?}")))
}

fn message_id(entry: &Entry) -> Option<&str> {
    match &entry.kind {
        Some(Kind::Message(message)) => Some(&message.message_id),
        _ => None,
    }
}
