//! Who is there.

use super::{Service, access::Identity};
use crate::{
    delivery::Watcher,
    model::{Error, MOST_WATCHED, Presence, Result, UserId, UserNo},
};

impl Service {
    /// How users are at this moment, in the order of the ids.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::UserNotFound`]; [`Error::RateLimited`].
    pub async fn presence(
        &self,
        token: Option<&str>,
        user_ids: &[String],
    ) -> Result<Vec<Presence>> {
        let caller = self.reader(token).await?;
        let users = self.read_users("user_ids", user_ids).await?;
        let look = self.delivery.look(caller.user_no, users);
        self.begin_read(caller.user_no).await?.run(look).await
    }

    /// Has a stream watch these users, and no others any more.
    ///
    /// Errors: as [`Service::presence`].
    pub async fn watch(
        &self,
        token: Option<&str>,
        watcher: &Watcher,
        user_ids: &[String],
    ) -> Result<()> {
        self.reader(token).await?;
        watcher.watch(self.read_users("user_ids", user_ids).await?);
        Ok(())
    }

    /// Notes whether nobody is at the caller's terminal.
    ///
    /// Errors: [`Error::RateLimited`].
    pub async fn set_idle(&self, token: Option<&str>, idle: bool) -> Result<()> {
        let caller = self.changer(token).await?;
        self.check_session(&caller).await?;
        if self.store.set_idle(caller.user_no, caller.session_id, idle).await? {
            self.delivery.presence_changed([caller.user_no]);
        }
        Ok(())
    }

    /// The users whom a new stream is to watch.
    pub(super) async fn read_watch(
        &self,
        caller: &Identity,
        user_ids: &[String],
    ) -> Result<Vec<(UserNo, UserId)>> {
        match self.read_users("watch", user_ids).await {
            Ok(users) => Ok(users),
            Err(refusal) => Err(self.refuse(caller, refusal).await),
        }
    }

    async fn read_users(
        &self,
        field: &'static str,
        user_ids: &[String],
    ) -> Result<Vec<(UserNo, UserId)>> {
        if user_ids.len() > MOST_WATCHED {
            return Err(Error::invalid(field, format!("must be at most {MOST_WATCHED} users")));
        }
        let parse = |id: &String| UserId::parse(field, id);
        let user_ids: Vec<UserId> = user_ids.iter().map(parse).collect::<Result<_>>()?;
        Ok(self.store.user_nos(&user_ids).await?.into_iter().zip(user_ids).collect())
    }
}
