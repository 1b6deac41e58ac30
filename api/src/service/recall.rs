//! Recalling a message.

use super::Service;
use crate::{
    model::{Error, MessageId, Result},
    store::Recall,
};

impl Service {
    /// Takes a message of the caller's back: every copy becomes a tombstone, and every terminal is
    /// told. A message that was recalled before stays so, and nobody is told again.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::MessageNotFound`] when there is no such message of
    /// the caller's; [`Error::RecallWindowOver`].
    pub async fn recall(&self, token: Option<&str>, message_id: &str) -> Result<()> {
        // The session is checked in the transaction, behind the locks.
        let caller = self.identify(token).await?;
        let own = |message_id: MessageId| {
            let is_own = message_id.home == caller.user_no.into();
            is_own.then_some(message_id).ok_or(Error::MessageNotFound)
        };
        let message_id = match self.message_id(message_id).await.and_then(own) {
            Ok(message_id) => message_id,
            Err(refusal) => return Err(self.refuse(&caller, refusal).await),
        };
        let window = self.limits.recall_window;
        let recall =
            Recall { message_id, caller: caller.user_no, session_id: caller.session_id, window };
        let entries = self.store.recall(&recall).await?;
        self.announce(entries);
        Ok(())
    }
}
