//! Editing a message of a group: its home says something else at once, and so does every reference.

use tokio_postgres::types::ToSql;

use super::LockedGroup;
use crate::{
    model::{ConversationId, Error, GroupRole, MessageId, Result, UserNo},
    store::{
        Actor, Edited, NewEdit, Store,
        entries::KIND_MESSAGE,
        signals::admit,
        timelines::{About, Place},
        transaction,
    },
};

impl Store {
    /// Replaces what a message of a group says, and tells the group.
    ///
    /// Errors: [`Error::MessageNotFound`] for what is no message of the caller's in a group that it is a member
    /// of, or is gone; [`Error::EditWindowOver`], [`Error::ClientEditIdConflict`]; [`Error::Muted`],
    /// [`Error::GroupRoleNeeded`]; [`Error::SessionEnded`], [`Error::InvalidToken`].
    pub async fn edit_in_group(&self, edit: &NewEdit) -> Result<Edited> {
        let MessageId { home, seq, generation } = edit.message_id;
        let group_no = home.group().ok_or(Error::MessageNotFound)?;
        let actor = Actor::User {
            user_no: edit.caller,
            user_id: edit.caller_id.clone(),
            session_id: edit.session_id,
        };
        transaction!(self, async |tx| {
            let (group, role) = LockedGroup::lock_for_message(&tx, group_no, &actor).await?;
            if let Some(earlier) = edit.earlier(&tx).await? {
                return Ok(earlier);
            }
            let statement = tx
                .prepare_cached(
                    "SELECT sender, now() - appended_at < make_interval(secs => $4) AS in_time
                     FROM entries WHERE owner = $1 AND seq = $2 AND kind = $3 AND tombstone IS NULL
                         AND coalesce(generation, 0::smallint) = $5",
                )
                .await?;
            let window = edit.window.as_secs_f64();
            let values: [&(dyn ToSql + Sync); 5] =
                [&home.0, &seq, &KIND_MESSAGE, &window, &generation];
            let row = tx.query_opt(&statement, &values).await?.ok_or(Error::MessageNotFound)?;
            if UserNo(row.get("sender")) != edit.caller {
                return Err(Error::MessageNotFound);
            }
            if !row.get::<_, bool>("in_time") {
                return Err(Error::EditWindowOver);
            }
            if edit.mentions.all && role == GroupRole::Member {
                return Err(Error::GroupRoleNeeded(GroupRole::Admin));
            }
            let check = edit.check(group_no.into(), ConversationId::Group(group.group_id.clone()));
            admit(&tx, &check, edit.messages_from).await?;
            let place = Place::take_if_open(&tx, group_no).await?.ok_or(Error::MessageNotFound)?;
            let made = edit.note(&tx, place.at).await?;
            edit.replace(&tx, &[(home, seq)], made).await?;
            // The row names the message and not its own place: in members' timelines, too.
            let about = About::message(group_no.into(), edit.caller, edit.message_id);
            place.fill_edit(&tx, about, seq).await?;
            tx.commit().await?;
            let group_no = Some(group_no);
            Ok(Edited { edit: made, duplicate: false, told: Vec::new(), group_no })
        })
    }
}
