//! A terminal that is logged in.

use std::sync::Arc;

use futures::future::join_all;
use serde_json::Value;

use super::{
    api::{
        Api, ContactCall, GroupCall, Outgoing, OutgoingSignal, ProfileCall, Result, ScheduleCall,
    },
    feed::Feed,
    types::{
        Content, Conversation, ConversationSettings, Edited, Entry, FoundPage, HistoryPage,
        LoggedIn, Reaction, SearchCall, Sent, Session, Stretch, UserPresence,
    },
};

#[derive(Clone)]
pub(crate) struct Terminal {
    pub(crate) api: Arc<dyn Api>,
    pub(crate) user_id: String,
    pub(crate) token: String,
    pub(crate) refresh_token: String,
    pub(crate) session: Session,
    /// The sessions that its login ended.
    pub(crate) replaced: Vec<Session>,
}

impl Terminal {
    pub(crate) fn new(api: Arc<dyn Api>, user_id: &str, logged_in: LoggedIn) -> Self {
        Self {
            api,
            user_id: user_id.to_owned(),
            token: logged_in.tokens.access_token,
            refresh_token: logged_in.tokens.refresh_token,
            session: logged_in.session,
            replaced: logged_in.replaced,
        }
    }

    /// The same terminal as it talks to another node.
    pub(crate) fn through(&self, api: Arc<dyn Api>) -> Self {
        Self { api, ..self.clone() }
    }

    pub(crate) fn session_id(&self) -> &str {
        &self.session.session_id
    }

    pub(crate) async fn send(&self, message: &Outgoing) -> Result<Sent> {
        self.api.send(&self.token, message).await
    }

    /// Sends a text that must arrive.
    pub(crate) async fn say(&self, to: &str, text: &str) -> Sent {
        self.send(&Outgoing::text(to, text)).await.unwrap_or_else(|e| panic!("{text}: {e:?}"))
    }

    /// Sends texts at once, all of which must arrive; they arrive in any order.
    pub(crate) async fn say_at_once(
        &self,
        to: &str,
        texts: impl Iterator<Item = String>,
    ) -> Vec<Sent> {
        join_all(texts.map(async |text| self.say(to, &text).await)).await
    }

    pub(crate) async fn signal(&self, signal: &OutgoingSignal) -> Result<()> {
        self.api.signal(&self.token, signal).await
    }

    /// Says that the user types, which must be taken.
    pub(crate) async fn types(&self, to: &str) {
        self.signal(&OutgoingSignal::typing(to, "STARTED")).await.expect("it is taken");
    }

    /// Opens a stream, which must succeed.
    pub(crate) async fn follow(&self, after: &str) -> Feed {
        Feed::open(self.api.subscribe(&self.token, after).await.expect("a stream")).await
    }

    /// Opens a stream of what comes that watches these users, which must succeed.
    pub(crate) async fn watch(&self, user_ids: &[&str]) -> Feed {
        let events = self.api.watch(&self.token, user_ids, false).await;
        Feed::open(events.expect("a stream")).await
    }

    /// How these users are.
    pub(crate) async fn presence(&self, user_ids: &[&str]) -> Result<Vec<UserPresence>> {
        self.api.presence(&self.token, user_ids).await
    }

    /// Opens a stream after a cursor of a client that says by itself how far it has got, which must succeed.
    pub(crate) async fn follow_acknowledging(&self, after: &str) -> Feed {
        let events = self.api.follow_acknowledging(&self.token, after).await;
        Feed::open(events.expect("a stream")).await
    }

    /// Says how far it has got.
    pub(crate) async fn acknowledge(&self, cursor: &str) -> Result<()> {
        self.api.acknowledge(&self.token, cursor).await
    }

    pub(crate) async fn set_idle(&self, idle: bool) {
        self.api.set_idle(&self.token, idle).await.expect("it is noted");
    }

    pub(crate) async fn pull(&self, after: &str) -> Result<Stretch> {
        self.api.pull(&self.token, after, 500).await
    }

    /// All that can be had of the timeline, which must be no more than a pull brings.
    pub(crate) async fn timeline(&self) -> Vec<Entry> {
        let stretch = self.pull("").await.expect("the timeline");
        assert!(stretch.entries.last().is_none_or(|last| last.seq == stretch.state.last_seq));
        stretch.entries
    }

    /// The texts of all messages in the timeline.
    pub(crate) async fn texts(&self) -> Vec<String> {
        let entries = self.timeline().await;
        let messages = entries.iter().filter(|entry| entry.as_message().is_some());
        messages.map(|entry| entry.text().to_owned()).collect()
    }

    /// Marks the conversation with `peer` as read up to `seq`; where the mark stands now.
    pub(crate) async fn mark_read(&self, peer: &str, seq: i64) -> Result<i64> {
        self.api.mark_read(&self.token, &conversation_id(peer), seq).await
    }

    pub(crate) async fn recall(&self, message_id: &str) -> Result<()> {
        self.api.recall(&self.token, message_id).await
    }

    /// Has a message say `text`.
    pub(crate) async fn edit(&self, message_id: &str, text: &str) -> Result<Edited> {
        self.edit_to(message_id, &Outgoing::text("", text)).await
    }

    /// Has a message say what another would; the `client_message_id` is that of the edit.
    pub(crate) async fn edit_to(&self, message_id: &str, edit: &Outgoing) -> Result<Edited> {
        self.api.edit(&self.token, message_id, edit).await
    }

    /// What a message said before its edits, newest first; no more than fit on a page.
    pub(crate) async fn edits(&self, message_id: &str) -> Result<Vec<(i32, Option<Content>)>> {
        Ok(self.api.edits(&self.token, message_id, 0, "").await?.edits)
    }

    /// Searches the user's messages.
    pub(crate) async fn search(&self, asked: &SearchCall) -> Result<FoundPage> {
        self.api.search(&self.token, asked).await
    }

    /// What is shown of the messages with these words, as many as fit on a page.
    pub(crate) async fn found(&self, q: &str) -> Vec<String> {
        let asked = SearchCall { q: q.to_owned(), page_size: 50, ..SearchCall::default() };
        let page = self.search(&asked).await.expect("a page");
        assert!(!page.incomplete, "{page:?}");
        page.results.into_iter().map(|(_, snippet)| snippet).collect()
    }

    pub(crate) async fn pin(&self, message_id: &str) -> Result<()> {
        self.api.pin(&self.token, message_id, true).await
    }

    pub(crate) async fn unpin(&self, message_id: &str) -> Result<()> {
        self.api.pin(&self.token, message_id, false).await
    }

    /// The pinned messages of the conversation with `peer`, each with who has pinned it.
    pub(crate) async fn pins(&self, peer: &str) -> Result<Vec<(Entry, String)>> {
        self.api.pins(&self.token, &conversation_id(peer)).await
    }

    /// Gives a reaction to a message: all there are then.
    pub(crate) async fn react(&self, message_id: &str, reaction: &str) -> Result<Vec<Reaction>> {
        self.api.react(&self.token, message_id, reaction, true).await
    }

    /// Takes a reaction back: all that are left.
    pub(crate) async fn unreact(&self, message_id: &str, reaction: &str) -> Result<Vec<Reaction>> {
        self.api.react(&self.token, message_id, reaction, false).await
    }

    /// Who reacts to a message with what: reactions with users; no more than fit on a page.
    pub(crate) async fn reactions(&self, message_id: &str) -> Result<Vec<(String, String)>> {
        Ok(self.api.reactions(&self.token, message_id, "", 1000, "").await?.reactions)
    }

    /// Deletes the own copy of a message in the conversation with `peer`.
    pub(crate) async fn delete(&self, peer: &str, seq: i64) -> Result<()> {
        self.api.delete_message(&self.token, &conversation_id(peer), seq).await
    }

    pub(crate) async fn block(&self, user_id: &str) -> Result<()> {
        self.api.block_user(&self.token, user_id).await
    }

    pub(crate) async fn unblock(&self, user_id: &str) -> Result<()> {
        self.api.unblock_user(&self.token, user_id).await
    }

    /// Whom the user blocks, the one blocked last first; no more than fit on a page.
    pub(crate) async fn blocked_users(&self) -> Vec<String> {
        let listed = self.api.blocked_users(&self.token, 1000, "").await.expect("a page");
        assert_eq!(listed.next_page_token, "");
        listed.blocked_users.into_iter().map(|user| user.user_id).collect()
    }

    /// The conversation with `peer`, which must be on the first page of the list.
    pub(crate) async fn conversation(&self, peer: &str) -> Conversation {
        let listed = self.api.conversations(&self.token, 0, "").await.expect("a page");
        let id = conversation_id(peer);
        let found = listed.conversations.into_iter().find(|c| c.conversation_id == id);
        found.unwrap_or_else(|| panic!("{} has no conversation with {peer}", self.user_id))
    }

    /// All pages of the conversations.
    pub(crate) async fn conversations(&self, page_size: i32) -> Vec<Conversation> {
        self.conversations_that(&[], page_size).await
    }

    /// All pages of those that are `unread`, `archived`, `pinned`, or are not.
    pub(crate) async fn conversations_that(
        &self,
        filter: &[(&str, bool)],
        page_size: i32,
    ) -> Vec<Conversation> {
        let (mut all, mut token) = (Vec::new(), String::new());
        loop {
            let listed = self.api.conversations_that(&self.token, filter, page_size, &token).await;
            let listed = listed.expect("a page");
            all.extend(listed.conversations);
            if listed.next_page_token.is_empty() {
                return all;
            }
            token = listed.next_page_token;
        }
    }

    /// Changes what is set for the conversation with `peer`: the body of the request over REST.
    pub(crate) async fn set(&self, peer: &str, change: Value) -> Result<ConversationSettings> {
        self.api.update_conversation(&self.token, &conversation_id(peer), &change).await
    }

    /// Sets the draft of the conversation with `peer`.
    pub(crate) async fn draft(&self, peer: &str, text: &str) -> Result<()> {
        self.api.set_draft(&self.token, &conversation_id(peer), text).await
    }

    /// A call about groups.
    pub(crate) async fn group(&self, call: GroupCall) -> Result<Value> {
        self.api.group(&self.token, &call).await
    }

    /// A call about scheduled messages.
    pub(crate) async fn schedule(&self, call: ScheduleCall) -> Result<Value> {
        self.api.schedule(&self.token, &call).await
    }

    /// A call about profiles.
    pub(crate) async fn profile(&self, call: ProfileCall) -> Result<Value> {
        self.api.profile(&self.token, &call).await
    }

    /// A call about contacts.
    pub(crate) async fn contact(&self, call: ContactCall) -> Result<Value> {
        self.api.contact(&self.token, &call).await
    }

    pub(crate) async fn sessions(&self) -> Result<Vec<Session>> {
        self.api.sessions(&self.token).await
    }

    pub(crate) async fn end_session(&self, session_id: &str) -> Result<()> {
        self.api.end_session(&self.token, session_id).await
    }

    pub(crate) async fn logout(&self) -> Result<()> {
        self.api.logout(&self.token).await
    }

    /// A page of the history with `peer`.
    pub(crate) async fn history(
        &self,
        peer: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<HistoryPage> {
        self.api.history(&self.token, &conversation_id(peer), page_size, page_token).await
    }
}

/// The conversation with a peer, or that of a group, which is named in full.
fn conversation_id(peer: &str) -> String {
    if peer.starts_with("group:") { peer.to_owned() } else { format!("user:{peer}") }
}
