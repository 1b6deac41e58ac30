//! Reacting to messages.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use super::{Service, access::Identity};
use crate::{
    model::{Page, PageSize, Reaction, ReactionCount, ReactionOf, Result, TimelineNo, UserNo},
    store::React,
};

/// How often a node looks for timelines that are to be told of reactions.
const SWEEP: Duration = Duration::from_secs(1);

/// How many a look returns.
const SWEEP_BATCH: i64 = 500;

impl Service {
    /// Gives a reaction of the caller's to a message, or takes it back, and tells every terminal of all
    /// participants, once in a while if there are many. Returns all reactions to the message. What is so already
    /// stays, and nobody is told again.
    ///
    /// Errors: `invalid_argument`; `message_not_found` when the caller has no such message, or it is gone;
    /// `too_many_reactions`; and for one that is given those of a message to the recipient or the group.
    #[tracing::instrument(target = "imd::trace", level = "info", skip_all)]
    pub async fn react(
        &self,
        token: Option<&str>,
        message_id: &str,
        reaction: &str,
        given: bool,
    ) -> Result<Vec<ReactionCount>> {
        // The session is checked in the transaction, behind the locks.
        let caller = self.changer(token).await?;
        let react = match self.read_reaction(&caller, message_id, reaction, given).await {
            Ok(react) => react,
            Err(refusal) => return Err(self.refuse(&caller, refusal).await),
        };
        let reacted = match react.message_id.home.group() {
            Some(_) => Box::pin(self.store.react_in_group(&react)).await?,
            None => Box::pin(self.store.react(&react)).await?,
        };
        self.fan_out(reacted.group_no);
        self.announce_stored(&reacted.told).await;
        Ok(reacted.reactions)
    }

    async fn read_reaction(
        &self,
        caller: &Identity,
        message_id: &str,
        reaction: &str,
        given: bool,
    ) -> Result<React> {
        let reaction = Reaction::parse("reaction", reaction)?;
        let message_id = self.message_id(message_id).await?;
        self.store.require_visible(caller.user_no, message_id).await?;
        Ok(React {
            message_id,
            caller: caller.user_no,
            caller_id: caller.user_id.clone(),
            session_id: caller.session_id,
            reaction,
            given,
            if_blocked: self.limits.if_blocked,
            messages_from: self.limits.settings.messages_from,
        })
    }

    /// Who reacts to a message that the caller has: of all kinds, or of one where it is not empty. By kind.
    ///
    /// Errors: `invalid_argument`; `message_not_found` when the caller has no such message, or it is gone.
    pub async fn list_reactions(
        &self,
        token: Option<&str>,
        message_id: &str,
        reaction: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<Page<ReactionOf>> {
        let caller = self.reader(token).await?;
        let size = PageSize::parse("page_size", page_size, 50, 1000)?;
        let message_id = self.message_id(message_id).await?;
        let only = match reaction {
            "" => None,
            reaction => Some(Reaction::parse("reaction", reaction)?),
        };
        let scope = format!("reactions/{}/{message_id:?}/{reaction}", caller.user_no.0);
        let after = self.read_page_token(&scope, page_token, |payload| place(&payload))?;
        let (reaction, user_no) = after.unwrap_or_default();
        let read = self.store.reactions_of(
            caller.user_no,
            message_id,
            only.as_ref(),
            (&reaction, UserNo(user_no)),
            size.get() + 1,
        );
        let mut found = self.begin_read(caller.user_no).await?.run(read).await?;
        let more = size.cut(&mut found);
        let next = found.last().filter(|_| more).map(|(last, user_no)| {
            let mut payload = user_no.0.to_be_bytes().to_vec();
            payload.extend(last.reaction.as_bytes());
            self.opaque_tokens.seal(&scope, &payload)
        });
        let items = found.into_iter().map(|(item, _)| item).collect();
        Ok(Page { items, next_page_token: next })
    }

    /// Tells timelines of reactions that came soon after those that they were told of, and what a node that died
    /// has left untold. Runs for ever.
    pub async fn keep_telling_of_reactions(self: Arc<Self>) {
        let mut turns = interval(SWEEP);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            if let Err(error) = self.tell_of_reactions().await {
                tracing::warn!(%error, "reactions are told late");
            }
        }
    }

    async fn tell_of_reactions(&self) -> Result<()> {
        loop {
            let untold = self.store.untold_reactions(SWEEP_BATCH).await?;
            let count = untold.len();
            for (owner, seq) in untold {
                self.tell_one(owner, seq).await?;
            }
            if i64::try_from(count).is_ok_and(|count| count < SWEEP_BATCH) {
                return Ok(());
            }
        }
    }

    async fn tell_one(&self, owner: TimelineNo, seq: i64) -> Result<()> {
        let Some(told) = self.store.tell_of_reactions(owner, seq).await? else { return Ok(()) };
        match owner.group() {
            Some(group_no) => self.fan_out([group_no]),
            None => self.announce_stored(&[told]).await,
        }
        Ok(())
    }
}

/// The place behind which a page begins, as its token carries it.
fn place(payload: &[u8]) -> Option<(String, i64)> {
    let (user_no, reaction) = payload.split_first_chunk::<8>()?;
    let reaction = String::from_utf8(reaction.to_vec()).ok()?;
    Some((reaction, i64::from_be_bytes(*user_no)))
}
