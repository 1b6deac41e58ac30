//! Roaming: the conversations, and the history of each.

use time::{OffsetDateTime, UtcOffset};

use super::Service;
use crate::{
    model::{
        ChangeConversation, Conversation, ConversationFilter, ConversationId, ConversationNo,
        ConversationSettings, Entry, Error, HistoryEnd, ListPlace, Page, PageSize, Result,
        TimelineState, UserNo,
    },
    store::{ChangeConversationOf, ConversationPage, HistoryPage},
};

/// A page of a conversation's messages.
#[derive(Debug)]
pub struct History {
    /// The messages, newest first.
    pub page: Page<Entry>,
    /// Why there is no older page, when there is none.
    pub end: Option<HistoryEnd>,
    /// How far the timeline reaches.
    pub state: TimelineState,
}

impl Service {
    /// The caller's conversations, the one with the newest message first, and behind the last one those
    /// that have moved since the listing began: so each is met at least once. A page may hold fewer than
    /// asked, or none, and not be the last. Hidden ones are not listed.
    #[tracing::instrument(target = "imd::trace", level = "info", skip_all)]
    pub async fn list_conversations(
        &self,
        token: Option<&str>,
        filter: ConversationFilter,
        page_size: i32,
        page_token: &str,
    ) -> Result<Page<Conversation>> {
        let caller = self.reader(token).await?;
        let size = PageSize::parse("page_size", page_size, 50, 1000)?;
        let scope = format!("conversations/{}{}", caller.user_no.0, filter.scope());
        let parse = |carried: Vec<u8>| ListPlace::from_bytes(&carried);
        let place = self.read_page_token(&scope, page_token, parse)?.unwrap_or(ListPlace::Start);
        let read = async {
            let _turn = self.page_turn().await?;
            // Boxed: it is large.
            Box::pin(self.store.conversations(caller.user_no, place, filter, size.get())).await
        };
        let ConversationPage { mut items, next } =
            self.begin_read(caller.user_no).await?.run(read).await?;
        let next = next.map(|place| self.opaque_tokens.seal(&scope, &place.to_bytes()));
        if !self.limits.read_receipts {
            // What receipts said while there were any.
            for conversation in &mut items {
                conversation.peer_read_seq = 0;
            }
        }
        Ok(Page { items, next_page_token: next })
    }

    /// Changes what the caller has set for a conversation, and tells its terminals. Returns what holds.
    ///
    /// Errors: [`Error::UserNotFound`] when the peer does not exist; [`Error::GroupNotFound`];
    /// [`Error::RateLimited`].
    pub async fn change_conversation(
        &self,
        token: Option<&str>,
        conversation_id: &str,
        change: ChangeConversation,
    ) -> Result<ConversationSettings> {
        // The session is checked in the transaction, behind the lock.
        let caller = self.changer(token).await?;
        let read = async {
            let muted_until =
                change.muted_until.map(|at| at.map(storable).transpose()).transpose()?;
            let conversation_id = ConversationId::parse(conversation_id)?;
            let conversation = self.store.conversation_no(&conversation_id).await?;
            Ok((conversation, conversation_id, ChangeConversation { muted_until, ..change }))
        };
        let (conversation, conversation_id, change) = match read.await {
            Ok(read) => read,
            Err(refusal) => return Err(self.refuse(&caller, refusal).await),
        };
        let asked = ChangeConversationOf {
            owner: caller.user_no,
            session_id: caller.session_id,
            conversation,
            conversation_id,
            change,
        };
        let (settings, entry) = self.store.change_conversation(&asked).await?;
        self.announce(entry.map(|entry| (caller.user_no, entry)));
        Ok(settings)
    }

    /// The messages of one of the caller's conversations, newest first. Keyed by seq: what arrives
    /// meanwhile neither repeats nor hides a message on the pages after.
    ///
    /// Errors: [`Error::UserNotFound`] when the peer does not exist; [`Error::GroupNotFound`].
    #[tracing::instrument(target = "imd::trace", level = "info", skip_all)]
    pub async fn list_history(
        &self,
        token: Option<&str>,
        conversation_id: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<History> {
        let caller = self.reader(token).await?;
        let size = PageSize::parse("page_size", page_size, 50, 200)?;
        let conversation = ConversationId::parse(conversation_id)?;
        let conversation = self.store.conversation_no(&conversation).await?;
        let scope = format!("history/{}/{}", caller.user_no.0, conversation.0);
        let before = self.read_place(&scope, page_token)?;
        let read = async {
            let _turn = self.page_turn().await?;
            self.store.history(caller.user_no, conversation, before, size.get() + 1).await
        };
        let HistoryPage { state, mut entries, cut } =
            self.begin_read(caller.user_no).await?.run(read).await?;
        let more = size.cut(&mut entries) || cut;
        let next =
            entries.last().filter(|_| more).map(|entry| self.place_token(&scope, entry.seq()));
        let end = match next {
            Some(_) => None,
            None => Some(self.history_end(caller.user_no, conversation, state.floor).await?),
        };
        Ok(History { page: Page { items: entries, next_page_token: next }, end, state })
    }

    /// Why there is nothing older in the conversation than what stands from `floor` on.
    async fn history_end(
        &self,
        owner: UserNo,
        conversation: ConversationNo,
        floor: i64,
    ) -> Result<HistoryEnd> {
        if floor <= 1 {
            return Ok(HistoryEnd::Beginning);
        }
        let read = self.store.has_hidden_history(owner, conversation, floor);
        let hidden = self.begin_read(owner).await?.run(read).await?;
        Ok(if hidden { HistoryEnd::RetentionLimit } else { HistoryEnd::Beginning })
    }

    /// The token of the page behind the place `seq`.
    pub(super) fn place_token(&self, scope: &str, seq: i64) -> String {
        self.opaque_tokens.seal(scope, &seq.to_be_bytes())
    }

    /// The place that a page token stands for; for the first page, one above all.
    pub(super) fn read_place(&self, scope: &str, page_token: &str) -> Result<i64> {
        let place = |payload: Vec<u8>| payload.try_into().ok().map(i64::from_be_bytes);
        Ok(self.read_page_token(scope, page_token, place)?.unwrap_or(i64::MAX))
    }

    /// What a page token of the listing `scope` carries; `None` for the first page.
    pub(super) fn read_page_token<T>(
        &self,
        scope: &str,
        page_token: &str,
        read: impl FnOnce(Vec<u8>) -> Option<T>,
    ) -> Result<Option<T>> {
        if page_token.is_empty() {
            return Ok(None);
        }
        let carried = self.opaque_tokens.open(scope, page_token).and_then(read);
        let refusal = || Error::invalid("page_token", "is not a token of this listing");
        carried.map(Some).ok_or_else(refusal)
    }
}

/// A time in the scope of a page token, which is the same whatever its offset.
pub(super) fn instant(at: Option<OffsetDateTime>) -> Option<i128> {
    at.map(OffsetDateTime::unix_timestamp_nanos)
}

/// The time up to which a conversation is muted as the database keeps it: in UTC, to the microsecond.
fn storable(until: OffsetDateTime) -> Result<OffsetDateTime> {
    let refusal = || Error::invalid("muted_until", "is beyond the calendar");
    let until = until.checked_to_offset(UtcOffset::UTC).ok_or_else(refusal)?;
    until.replace_microsecond(until.microsecond()).map_err(|_| refusal())
}
