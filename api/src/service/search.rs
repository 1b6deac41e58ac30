//! Searching messages, and the job that keeps the index.

use std::{sync::Arc, time::Duration};

use time::OffsetDateTime;
use tokio::time::{Instant, sleep};

use super::{Service, conversations::instant};
use crate::{
    model::{
        ConversationId, Error, FoundMessage, Page, PageSize, Result, SearchPlace, SearchQuery,
        TimelineNo, UserId, UserNo,
    },
    store::{Search, Unindexed},
};

/// The most entries that are indexed in one transaction.
const BATCH: i64 = 250;

/// How many timelines are looked at in one statement.
const LOOK: i64 = 500;

/// The index rests this many times as long as it is worked at, so that it takes a tenth of one connection.
const REST: u32 = 9;

/// The longest of these rests: what takes long mostly waits for others.
const LONGEST_REST: Duration = Duration::from_millis(500);

/// What a client looks for.
#[derive(Debug, Default)]
pub struct SearchMessages {
    /// Words.
    pub q: String,
    /// The only conversation to look in; empty for all.
    pub conversation_id: String,
    /// Who has to have sent the messages; empty for anybody.
    pub from: String,
    /// When they were sent, at the earliest.
    pub after: Option<OffsetDateTime>,
    /// Before when they were sent.
    pub before: Option<OffsetDateTime>,
    /// How many are wanted.
    pub page_size: i32,
    /// Where to go on; empty for the first page.
    pub page_token: String,
}

/// Messages that were found.
#[derive(Debug)]
pub struct SearchResults {
    /// The newest first.
    pub page: Page<FoundMessage>,
    /// Whether there are messages that have not been looked at, because they are not indexed yet.
    pub incomplete: bool,
}

impl Service {
    /// The caller's messages that have what is looked for, newest first. A page may hold fewer than asked, or none,
    /// and not be the last.
    ///
    /// Errors: [`Error::SearchDisabled`]; [`Error::UserNotFound`], [`Error::GroupNotFound`] for who or what is named.
    pub async fn search_messages(
        &self,
        token: Option<&str>,
        asked: SearchMessages,
    ) -> Result<SearchResults> {
        let caller = self.reader(token).await?;
        self.search(caller.user_no, &asked).await
    }

    /// The messages of `owner` that it would find.
    pub(super) async fn search(
        &self,
        owner: UserNo,
        asked: &SearchMessages,
    ) -> Result<SearchResults> {
        if !self.limits.search {
            return Err(Error::SearchDisabled);
        }
        let size = PageSize::parse("page_size", asked.page_size, 20, 50)?;
        let query = SearchQuery::parse("q", &asked.q)?;
        if asked.after.zip(asked.before).is_some_and(|(after, before)| after >= before) {
            return Err(Error::invalid("before", "must be later than `after`"));
        }
        let conversation = match asked.conversation_id.as_str() {
            "" => None,
            id => Some(self.store.conversation_no(&ConversationId::parse(id)?).await?),
        };
        let sender = match asked.from.as_str() {
            "" => None,
            id => Some(self.store.user_no(&UserId::parse("from", id)?).await?),
        };
        let scope = format!(
            "search/{}/{:?}/{:?}/{:?}/{:?}/{}",
            owner.0,
            conversation.map(|no| no.0),
            sender.map(|no| no.0),
            instant(asked.after),
            instant(asked.before),
            asked.q,
        );
        let parse = |carried: Vec<u8>| SearchPlace::from_bytes(&carried);
        let place = self.read_page_token(&scope, &asked.page_token, parse)?;
        let (after, before) = (asked.after, asked.before);
        let search = Search { owner, query, conversation, sender, after, before };
        let limit = usize::try_from(size.get()).unwrap_or(usize::MAX);
        let read = async {
            let _turn = self.page_turn().await?;
            // Boxed: it is large.
            Box::pin(self.store.search(&search, place, limit)).await
        };
        let found = self.begin_read(owner).await?.run(read).await?;
        let next = found.next.map(|place| self.opaque_tokens.seal(&scope, &place.to_bytes()));
        let page = Page { items: found.found, next_page_token: next };
        Ok(SearchResults { page, incomplete: found.incomplete })
    }

    /// Brings the index up to the ends of all timelines.
    pub(super) async fn index_messages(self: Arc<Self>) -> Result<()> {
        if !self.limits.search {
            return Ok(());
        }
        let (mut after, mut batch) = (TimelineNo(i64::MIN), Vec::new());
        loop {
            let look = self.store.timelines_to_index(after, LOOK);
            let (unindexed, last) = paced(look).await?;
            for timeline in unindexed {
                self.index_timeline(timeline, &mut batch).await?;
            }
            self.index_batch(&mut batch).await?;
            let Some(last) = last else { return Ok(()) };
            after = last;
        }
    }

    /// Adds stretches of a timeline to the batch, and indexes it whenever it is full.
    async fn index_timeline(
        &self,
        mut timeline: Unindexed,
        batch: &mut Vec<Unindexed>,
    ) -> Result<()> {
        while timeline.indexed_to < timeline.last_seq {
            let taken: i64 = batch.iter().map(|part| part.last_seq - part.indexed_to).sum();
            let last_seq = timeline.last_seq.min(timeline.indexed_to + (BATCH - taken).max(1));
            batch.push(Unindexed { last_seq, ..timeline });
            timeline.indexed_to = last_seq;
            if taken + 1 >= BATCH || timeline.indexed_to < timeline.last_seq {
                self.index_batch(batch).await?;
            }
        }
        Ok(())
    }

    async fn index_batch(&self, batch: &mut Vec<Unindexed>) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        paced(self.store.index(batch)).await?;
        batch.clear();
        Ok(())
    }
}

/// Does a piece of work and rests after it.
async fn paced<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let began = Instant::now();
    let done = work.await?;
    sleep((began.elapsed() * REST).min(LONGEST_REST)).await;
    Ok(done)
}
