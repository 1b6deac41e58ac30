//! Blocking users, and who is blocked.

use super::{Service, access::Identity};
use crate::{
    model::{BlockedUser, Error, Page, PageSize, Result, UserId},
    store::ChangeBlock,
};

impl Service {
    /// Blocks a user, and tells the caller's terminals. Once this has returned, nothing that the user
    /// sends reaches the caller. One that is blocked stays so, and nobody is told again.
    ///
    /// Errors: [`Error::InvalidArgument`] for the caller's own id; [`Error::UserNotFound`];
    /// [`Error::TooManyBlocks`].
    pub async fn block_user(&self, token: Option<&str>, user_id: &str) -> Result<()> {
        self.change_block(token, user_id, true).await
    }

    /// Blocks a user no longer, and tells the caller's terminals. Of one that is not blocked nobody is
    /// told.
    ///
    /// Errors: [`Error::InvalidArgument`], [`Error::UserNotFound`].
    pub async fn unblock_user(&self, token: Option<&str>, user_id: &str) -> Result<()> {
        self.change_block(token, user_id, false).await
    }

    /// The users that the caller blocks, the one blocked last first.
    pub async fn list_blocked_users(
        &self,
        token: Option<&str>,
        page_size: i32,
        page_token: &str,
    ) -> Result<Page<BlockedUser>> {
        let caller = self.reader(token).await?;
        let size = PageSize::parse("page_size", page_size, 50, 1000)?;
        let scope = format!("blocks/{}", caller.user_no.0);
        let before = self.read_place(&scope, page_token)?;
        let (store, user_no, limit) = (self.store.clone(), caller.user_no, size.get() + 1);
        let read = async move { store.blocked_users(user_no, before, limit).await };
        let mut items = self.begin_read(user_no).await?.run(read).await?;
        let more = size.cut(&mut items);
        let next = items.last().filter(|_| more).map(|user| self.place_token(&scope, user.seq));
        Ok(Page { items, next_page_token: next })
    }

    async fn change_block(&self, token: Option<&str>, user_id: &str, blocked: bool) -> Result<()> {
        // The session is checked in the transaction, behind the lock.
        let caller = self.changer(token).await?;
        let change = match self.read_block(&caller, user_id, blocked).await {
            Ok(change) => change,
            Err(refusal) => return Err(self.refuse(&caller, refusal).await),
        };
        let entry = self.store.change_block(&change).await?;
        if entry.is_some() {
            self.delivery.relations_changed([caller.user_no, change.user_no]);
        }
        self.announce(entry.map(|entry| (caller.user_no, entry)));
        Ok(())
    }

    async fn read_block(
        &self,
        caller: &Identity,
        user_id: &str,
        blocked: bool,
    ) -> Result<ChangeBlock> {
        let user_id = UserId::parse("user_id", user_id)?;
        if user_id == caller.user_id {
            return Err(Error::invalid("user_id", "must not be one's own"));
        }
        Ok(ChangeBlock {
            owner: caller.user_no,
            session_id: caller.session_id,
            user_no: self.store.user_no(&user_id).await?,
            user_id,
            blocked,
        })
    }
}
