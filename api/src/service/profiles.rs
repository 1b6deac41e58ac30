//! What users show of themselves.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use super::Service;
use crate::model::{ChangeProfile, Error, Profile, Result, UserId, UserNo};

/// The most profiles that are read at a time.
const MOST_PROFILES: usize = 200;

/// How often a node looks for profiles that have changed.
const SWEEP: Duration = Duration::from_secs(1);

/// How many are told of one profile before it is another one's turn.
const PORTION: i64 = 100;

/// About how many a node tells between two looks, so that the profiles of users with many peers take no more of the
/// database.
const MOST_TOLD: usize = 1_000;

impl Service {
    /// The profile of the caller.
    pub async fn own_profile(&self, token: Option<&str>) -> Result<Profile> {
        let caller = self.reader(token).await?;
        self.one_profile(caller.user_no, &caller.user_id).await
    }

    /// The profile of a user whom the caller may write to, who is or asks to be a contact, or is in a group with the
    /// caller.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::UserNotFound`]; [`Error::Blocked`], [`Error::NotAccepted`].
    pub async fn profile(&self, token: Option<&str>, user_id: &str) -> Result<Profile> {
        let caller = self.reader(token).await?;
        self.one_profile(caller.user_no, &UserId::parse("user_id", user_id)?).await
    }

    async fn one_profile(&self, caller: UserNo, user_id: &UserId) -> Result<Profile> {
        let (if_blocked, from) = (self.limits.if_blocked, self.limits.settings.messages_from);
        let asked = std::slice::from_ref(user_id);
        let found = self.store.profiles(caller, asked, if_blocked, from).await?;
        let found = found.into_iter().next();
        found.unwrap_or_else(|| Err(Error::UserNotFound(user_id.clone())))
    }

    /// The profiles of users, by id. Those that there are not, and whose profile the caller may not see, are left
    /// out.
    ///
    /// Errors: [`Error::InvalidArgument`].
    pub async fn profiles(&self, token: Option<&str>, user_ids: &[String]) -> Result<Vec<Profile>> {
        let caller = self.reader(token).await?;
        if user_ids.is_empty() || user_ids.len() > MOST_PROFILES {
            let reason = format!("must be 1–{MOST_PROFILES} users");
            return Err(Error::invalid("user_ids", reason));
        }
        let parse = |id: &String| UserId::parse("user_ids", id);
        let user_ids: Vec<UserId> = user_ids.iter().map(parse).collect::<Result<_>>()?;
        let (if_blocked, from) = (self.limits.if_blocked, self.limits.settings.messages_from);
        let found = self.store.profiles(caller.user_no, &user_ids, if_blocked, from).await?;
        Ok(found.into_iter().filter_map(Result::ok).collect())
    }

    /// Changes the caller's profile; tells its terminals at once, and soon those with whom it has conversations
    /// and the members of its groups.
    /// Returns what it is then.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::VersionConflict`]; [`Error::RateLimited`].
    pub async fn change_profile(
        &self,
        token: Option<&str>,
        change: ChangeProfile,
    ) -> Result<Profile> {
        // The session is checked in the transaction, behind the lock.
        let caller = self.changer(token).await?;
        if let Err(refusal) = change.check() {
            return Err(self.refuse(&caller, refusal).await);
        }
        let (owner, session_id) = (caller.user_no, caller.session_id);
        let (profile, entry) = self.store.change_profile(owner, session_id, &change).await?;
        self.announce(entry.map(|entry| (owner, entry)));
        Ok(profile)
    }

    /// Tells those with whom users have conversations or are in a group that their profiles have changed. Runs for ever.
    pub async fn keep_telling_of_profiles(self: Arc<Self>) {
        let mut turns = interval(SWEEP);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            if let Err(error) = self.tell_of_profiles().await {
                tracing::warn!(%error, "changed profiles are told late");
            }
        }
    }

    async fn tell_of_profiles(&self) -> Result<()> {
        let mut told = 0;
        while told < MOST_TOLD {
            let Some((user_no, told_to)) = self.store.take_up_profile_walk().await? else { break };
            told += self.tell_of_profile(user_no, told_to).await?;
        }
        Ok(())
    }

    /// Tells the next peers of a user behind `told_to`: how many they are.
    async fn tell_of_profile(&self, user_no: UserNo, mut told_to: UserNo) -> Result<usize> {
        let Some(user_id) = self.store.walking_user(user_no).await? else {
            self.store.end_profile_walk(user_no, told_to).await?;
            return Ok(0);
        };
        let peers = self.store.next_peers(user_no, told_to, PORTION).await?;
        let told = peers.len();
        for peer in peers {
            let user = (user_no, user_id.clone());
            let entry = self.store.tell_of_profile(user, told_to, peer).await?;
            self.announce(entry.map(|entry| (peer, entry)));
            told_to = peer;
        }
        if i64::try_from(told).is_ok_and(|told| told < PORTION) {
            self.store.end_profile_walk(user_no, told_to).await?;
        } else {
            self.store.put_off_profile_walk(user_no, told_to).await?;
        }
        Ok(told)
    }
}
