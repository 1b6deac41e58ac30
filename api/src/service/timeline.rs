//! Following one's timeline, by a stream or by polling.

use super::Service;
use crate::{
    delivery::{Following, Subscription},
    model::{Cursor, PageSize, Result, Start},
    store::TimelinePage,
};

/// A stretch of a timeline and where to go on.
#[derive(Debug)]
pub struct TimelineRead {
    /// The stretch.
    pub page: TimelinePage,
    /// The cursor after it.
    pub next_after: Cursor,
}

/// A stream as a client asks for it.
#[derive(Debug, Default)]
pub struct Follow {
    /// A cursor, or a word for one.
    pub after: String,
    /// Instead of it, how many of the newest entries.
    pub last: i32,
    /// Whose presence the stream tells, by id.
    pub watch: Vec<String>,
    /// Whether nobody is at the terminal.
    pub idle: bool,
    /// Whether the client says by itself how far it has got.
    pub acknowledging: bool,
}

impl Service {
    /// Opens a stream over the caller's timeline.
    ///
    /// Errors: [`crate::model::Error::InvalidArgument`], [`crate::model::Error::UserNotFound`] for who is to be
    /// watched; [`crate::model::Error::RateLimited`] when the session has too many open here.
    #[tracing::instrument(target = "imd::trace", level = "info", skip_all)]
    pub async fn subscribe(&self, token: Option<&str>, follow: Follow) -> Result<Subscription> {
        let caller = self.identify(token).await?;
        self.count_read(caller.user_no)?;
        let start = match Start::parse(&follow.after, follow.last) {
            Ok(start) => start,
            Err(refusal) => return Err(self.refuse(&caller, refusal).await),
        };
        let watch = self.read_watch(&caller, &follow.watch).await?;
        let check = self.check_session(&caller);
        let most = self.most_streams();
        let (owner, session_id) = (caller.user_no, caller.session_id);
        let how = Following { start, idle: follow.idle, acknowledging: follow.acknowledging };
        let subscription = self.delivery.subscribe(owner, session_id, how, most, check).await?;
        if !watch.is_empty() {
            subscription.watcher().watch(watch);
        }
        Ok(subscription)
    }

    /// Notes how far the caller's terminal has got, for a stream whose client says so. A cursor of before changes
    /// nothing.
    ///
    /// Errors: [`crate::model::Error::InvalidArgument`].
    pub async fn acknowledge(&self, token: Option<&str>, cursor: &str) -> Result<()> {
        let caller = self.reader(token).await?;
        let cursor = Cursor::parse("cursor", cursor)?;
        self.delivery.reached(caller.user_no, caller.session_id, cursor);
        Ok(())
    }

    /// Reads the caller's timeline once.
    #[tracing::instrument(target = "imd::trace", level = "info", skip_all)]
    pub async fn pull_timeline(
        &self,
        token: Option<&str>,
        after: &str,
        last: i32,
        limit: i32,
    ) -> Result<TimelineRead> {
        let caller = self.reader(token).await?;
        let start = Start::parse(after, last)?;
        let limit = PageSize::parse("limit", limit, 100, 500)?;
        let read = async {
            let _turn = self.page_turn().await?;
            self.store.read_timeline(caller.user_no, start, limit.get()).await
        };
        let page = self.begin_read(caller.user_no).await?.run(read).await?;
        let next_after = page.entries.last().map_or(page.after, |entry| entry.cursor);
        self.delivery.reached(caller.user_no, caller.session_id, next_after);
        Ok(TimelineRead { page, next_after })
    }
}
