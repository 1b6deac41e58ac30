//! Reacting to a message of a group: its home says how often, and so does every reference.

use super::LockedGroup;
use crate::{
    model::{ConversationId, Error, MessageId, Result},
    store::{
        Actor, React, Reacted, Store,
        reactions::{GroupSummary, change_count, mark_own, require_room},
        signals::admit,
        timelines::Place,
        transaction,
    },
};

impl Store {
    /// Gives a reaction to a message of a group, or takes it back, and tells the group.
    ///
    /// Errors: [`Error::MessageNotFound`] for what is no message of a group that the caller is a member of, or is
    /// gone; [`Error::TooManyReactions`]; [`Error::Muted`] for one that is given; [`Error::SessionEnded`],
    /// [`Error::InvalidToken`].
    pub async fn react_in_group(&self, react: &React) -> Result<Reacted> {
        let message_id = react.message_id;
        let MessageId { home, generation, .. } = message_id;
        let group_no = home.group().ok_or(Error::MessageNotFound)?;
        let actor = Actor::User {
            user_no: react.caller,
            user_id: react.caller_id.clone(),
            session_id: react.session_id,
        };
        transaction!(self, async |tx| {
            let (group, _) = LockedGroup::lock_for_message(&tx, group_no, &actor).await?;
            let summary = GroupSummary::read(&tx, message_id).await?;
            let summary = summary.filter(|summary| summary.generation == generation);
            let mut summary = summary.ok_or(Error::MessageNotFound)?;
            if react.given {
                let to_id = ConversationId::Group(group.group_id.clone());
                admit(&tx, &react.check(group_no.into(), to_id), react.messages_from).await?;
                require_room(&summary.reactions, &react.reaction)?;
            }
            let changed = react.note(&tx).await?;
            if changed {
                change_count(&mut summary.reactions, react.reaction.as_str(), react.given);
            }
            let mut reactions = summary.reactions.clone();
            mark_own(&tx, react.caller, message_id, &mut reactions).await?;
            let mut told = false;
            if changed {
                let place = Place::take_if_open(&tx, group_no).await?;
                told = summary.tell(&tx, group_no, message_id, place).await?;
                tx.commit().await?;
            }
            Ok(Reacted { reactions, told: Vec::new(), group_no: Some(group_no).filter(|_| told) })
        })
    }
}
