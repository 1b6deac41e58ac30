//! Pinning a message of a group, for all its members.

use super::LockedGroup;
use crate::{
    model::{Error, GroupRole, MessageId, Result, UserNo},
    store::{
        Actor, Pin, Pinned, Store,
        entries::{EventColumns, KIND_MESSAGE},
        timelines::{About, Place},
        transaction,
    },
};

impl Store {
    /// Pins a message of a group, or does so no longer, and tells the group. Owner and admins may.
    ///
    /// Errors: [`Error::MessageNotFound`] for what is no message of a group that the caller is a member of, or is
    /// gone; [`Error::GroupRoleNeeded`], [`Error::TooManyPins`]; [`Error::SessionEnded`], [`Error::InvalidToken`].
    pub async fn pin_in_group(&self, pin: &Pin) -> Result<Pinned> {
        let MessageId { home, seq, generation } = pin.message_id;
        let group_no = home.group().ok_or(Error::MessageNotFound)?;
        let actor = Actor::User {
            user_no: pin.caller,
            user_id: pin.caller_id.clone(),
            session_id: pin.session_id,
        };
        transaction!(self, async |tx| {
            let (_, role) = LockedGroup::lock_for_message(&tx, group_no, &actor).await?;
            role.require(GroupRole::Admin)?;
            let statement = tx
                .prepare_cached(
                    "SELECT sender FROM entries WHERE owner = $1 AND seq = $2 AND kind = $3
                         AND tombstone IS NULL AND coalesce(generation, 0::smallint) = $4",
                )
                .await?;
            let row =
                tx.query_opt(&statement, &[&home.0, &seq, &KIND_MESSAGE, &generation]).await?;
            let sender = UserNo(row.ok_or(Error::MessageNotFound)?.get("sender"));
            let place = Place::take_if_open(&tx, group_no).await?.ok_or(Error::MessageNotFound)?;
            if !pin.note(&tx, home, seq, group_no.into(), place.at).await? {
                // Nothing is committed: the place is given back.
                return Ok(Pinned::default());
            }
            // In members' timelines the row refers to this one, which says what has been done, and of which message.
            let itself = MessageId { seq: place.seq(), ..pin.message_id };
            let about = About::message(group_no.into(), sender, itself);
            let columns = EventColumns::of_pin(seq, &pin.change())?;
            place.fill_columns(&tx, about, columns).await?;
            tx.commit().await?;
            Ok(Pinned { told: Vec::new(), group_no: Some(group_no) })
        })
    }
}
