//! New numberings, for the day after a restore.

use futures::{Stream, stream};
use serde_json::json;

use super::{Admin, Progress};
use crate::{
    delivery::Delivery,
    model::{Error, Result, Role, TimelineNo, UserId},
    store::Store,
};

/// How many timelines are renumbered in one transaction.
const BATCH: i64 = 500;

/// Whose timelines.
#[derive(Debug)]
pub enum Whose {
    /// One user's.
    User(String),
    /// Everybody's.
    All,
}

/// New numberings under way. What is not polled is not done.
pub struct NewEpochs {
    store: Store,
    delivery: Delivery,
    progress: Progress,
    /// Whose timeline came last; `None` when all are done.
    reached: Option<TimelineNo>,
    /// Whether the progress is news.
    is_news: bool,
}

impl Admin<'_> {
    /// Starts a new numbering of one timeline or of all: every stream over them starts anew from the
    /// floor, and no cursor from before is good any more. In short transactions, the first of which is
    /// done when this returns. To be repeated when it breaks off; those that were done are renumbered
    /// once more then.
    ///
    /// Errors: [`Error::UserNotFound`].
    pub async fn start_epoch(&self, whose: Option<Whose>) -> Result<NewEpochs> {
        self.require(Role::Admin)?;
        let (store, delivery) = (self.service.store.clone(), self.service.delivery.clone());
        let audit = |named| self.audit("start_epoch", named);
        let total = match whose {
            Some(Whose::User(_)) => 1,
            Some(Whose::All) => store.count_timelines().await?,
            None => return Err(Error::invalid("whose", "a user or all is needed")),
        };
        let progress = Progress { done: 0, total };
        let mut epochs = NewEpochs { store, delivery, progress, reached: None, is_news: true };
        if let Some(Whose::User(user_id)) = whose {
            let user_id = UserId::parse("user_id", &user_id)?;
            let user_no = epochs.store.user_no(&user_id).await?;
            if !epochs.store.renumber(user_no, audit(json!({}))).await? {
                return Err(Error::UserNotFound(user_id));
            }
            epochs.take(&[user_no.into()]);
        } else {
            let audit = audit(json!({ "all": true }));
            let owners =
                epochs.store.renumber_next(TimelineNo(i64::MIN), BATCH, Some(audit)).await?;
            epochs.take(&owners);
            epochs.reached = owners.last().copied();
        }
        Ok(epochs)
    }
}

impl NewEpochs {
    /// The progress after each transaction, up to the last one.
    pub fn into_stream(self) -> impl Stream<Item = Result<Progress>> + Send + 'static {
        stream::try_unfold(self, |mut epochs| async move {
            Ok(epochs.next().await?.map(|progress| (progress, epochs)))
        })
    }

    async fn next(&mut self) -> Result<Option<Progress>> {
        if std::mem::take(&mut self.is_news) {
            return Ok(Some(self.progress));
        }
        let Some(reached) = self.reached else { return Ok(None) };
        let owners = self.store.renumber_next(reached, BATCH, None).await?;
        self.take(&owners);
        self.reached = owners.last().copied();
        Ok(self.reached.map(|_| self.progress))
    }

    fn take(&mut self, owners: &[TimelineNo]) {
        self.delivery.announce_renumbered(owners);
        self.progress.done += i64::try_from(owners.len()).unwrap_or(i64::MAX);
    }
}
