//! Pinning messages.

use super::{Service, access::Identity};
use crate::{
    model::{ConversationId, PinnedMessage, Result},
    store::Pin,
};

impl Service {
    /// Pins a message in its conversation for all participants, or does so no longer, and tells every terminal. In a
    /// group owner and admins may. What is so already stays, and nobody is told again.
    ///
    /// Errors: `invalid_argument`; `message_not_found` when the caller has no such message, or it is gone;
    /// `too_many_pins`; `group_role_needed`; and where it is pinned those of a message to the recipient.
    pub async fn pin(&self, token: Option<&str>, message_id: &str, pinned: bool) -> Result<()> {
        // The session is checked in the transaction, behind the locks.
        let caller = self.changer(token).await?;
        let pin = match self.read_pin(&caller, message_id, pinned).await {
            Ok(pin) => pin,
            Err(refusal) => return Err(self.refuse(&caller, refusal).await),
        };
        let pinned = match pin.message_id.home.group() {
            Some(_) => Box::pin(self.store.pin_in_group(&pin)).await?,
            None => Box::pin(self.store.pin(&pin)).await?,
        };
        self.fan_out(pinned.group_no);
        self.announce_stored(&pinned.told).await;
        Ok(())
    }

    async fn read_pin(&self, caller: &Identity, message_id: &str, pinned: bool) -> Result<Pin> {
        let message_id = self.message_id(message_id).await?;
        self.store.require_visible(caller.user_no, message_id).await?;
        Ok(Pin {
            message_id,
            caller: caller.user_no,
            caller_id: caller.user_id.clone(),
            session_id: caller.session_id,
            pinned,
            if_blocked: self.limits.if_blocked,
            messages_from: self.limits.settings.messages_from,
        })
    }

    /// The pinned messages of one of the caller's conversations that it may see, the one pinned last first.
    ///
    /// Errors: `invalid_argument`; `user_not_found` when the peer does not exist; `group_not_found`.
    pub async fn list_pins(
        &self,
        token: Option<&str>,
        conversation_id: &str,
    ) -> Result<Vec<PinnedMessage>> {
        let caller = self.reader(token).await?;
        let conversation = ConversationId::parse(conversation_id)?;
        let conversation = self.store.conversation_no(&conversation).await?;
        let read = async {
            let _turn = self.page_turn().await?;
            Box::pin(self.store.pins(caller.user_no, conversation)).await
        };
        self.begin_read(caller.user_no).await?.run(read).await
    }
}
