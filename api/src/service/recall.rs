//! Recalling a message.

use super::Service;
use crate::{
    model::{Error, Result},
    store::{Recall, RecallInGroup},
};

impl Service {
    /// Takes a message of the caller's back: every copy becomes a tombstone, and every terminal is
    /// told. Owner and admins of a group may take back any message of it, at any time. A message that was recalled before stays so, and nobody is told again.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::MessageNotFound`] when there is no such message of
    /// the caller's, or of a group that the caller may recall in; [`Error::RecallWindowOver`].
    pub async fn recall(&self, token: Option<&str>, message_id: &str) -> Result<()> {
        // The session is checked in the transaction, behind the locks.
        let caller = self.changer(token).await?;
        let message_id = match self.message_id(message_id).await {
            Ok(message_id) => message_id,
            Err(refusal) => return Err(self.refuse(&caller, refusal).await),
        };
        let window = self.limits.recall_window;
        match message_id.home.user() {
            Some(sender) if sender == caller.user_no => {
                let (caller, session_id) = (caller.user_no, caller.session_id);
                let recall = Recall { message_id, caller, session_id, window };
                self.announce(self.store.recall(&recall).await?);
                Ok(())
            }
            Some(_) => Err(self.refuse(&caller, Error::MessageNotFound).await),
            None => {
                let recall = RecallInGroup { message_id, window };
                let recalled = self.store.recall_in_group(&recall, &caller.actor()).await?;
                self.fan_out(recalled);
                Ok(())
            }
        }
    }
}
