//! Deleting a message for oneself.

use super::{Service, access::Identity};
use crate::{
    model::{ConversationId, Result},
    store::Delete,
};

impl Service {
    /// Deletes the caller's own copy of a message, on all the caller's terminals: `seq` is its place in
    /// the caller's timeline. What others have of it stays. A copy that was deleted before stays so.
    ///
    /// By place and not by message id: the copy must be found when the sender's, which lists where the
    /// others lie, is gone.
    ///
    /// Errors: [`crate::model::Error::InvalidArgument`]; [`crate::model::Error::UserNotFound`] when the
    /// peer does not exist; [`crate::model::Error::MessageNotFound`] when no message of this
    /// conversation stands there.
    pub async fn delete_message(
        &self,
        token: Option<&str>,
        conversation_id: &str,
        seq: i64,
    ) -> Result<()> {
        // The session is checked in the transaction, behind the lock.
        let caller = self.changer(token).await?;
        let delete = match self.read_delete(&caller, conversation_id, seq).await {
            Ok(delete) => delete,
            Err(refusal) => return Err(self.refuse(&caller, refusal).await),
        };
        let entry = self.store.delete_message(&delete).await?;
        self.announce(entry.map(|entry| (caller.user_no, entry)));
        Ok(())
    }

    async fn read_delete(
        &self,
        caller: &Identity,
        conversation_id: &str,
        seq: i64,
    ) -> Result<Delete> {
        let conversation_id = ConversationId::parse(conversation_id)?;
        Ok(Delete {
            owner: caller.user_no,
            session_id: caller.session_id,
            conversation: self.store.conversation_no(&conversation_id).await?,
            conversation_id,
            seq,
        })
    }
}
