//! Editing messages, and what they said before.

use super::{SendContent, Service, access::Identity};
use crate::{
    model::{ClientAddress, Edit, Error, Page, PageSize, Result, parse_uuid},
    store::{EarlierVersion, NewEdit},
};

/// An edit as a client asks for it.
#[derive(Debug)]
pub struct EditMessage {
    /// A message of the caller's.
    pub message_id: String,
    /// A UUID of the client's.
    pub client_edit_id: String,
    /// What the message is to say.
    pub content: Option<SendContent>,
    /// Members whom it is to mention, by id; only in groups.
    pub mentions: Vec<String>,
    /// Whether it is to mention everybody; only in groups, by their owner and admins.
    pub mention_all: bool,
    /// From where it comes, if that is known; for the policy hook.
    pub address: Option<ClientAddress>,
}

/// An edit that has been made.
#[derive(Debug)]
pub struct EditedMessage {
    /// The edit.
    pub edit: Edit,
    /// Whether this is the result of an earlier call.
    pub duplicate: bool,
}

impl Service {
    /// Replaces what a message of the caller's says, whom it mentions included, for all its participants, and
    /// tells every terminal. It counts as a message sent. The same `client_edit_id` returns the first result.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::MessageNotFound`] when there is no such message of the
    /// caller's, or it is gone; [`Error::EditWindowOver`], [`Error::ClientEditIdConflict`];
    /// [`Error::PolicyRefused`]; [`Error::RateLimited`]; and those of a message to the recipient or the group.
    #[tracing::instrument(target = "imd::trace", level = "info", skip_all)]
    pub async fn edit_message(
        &self,
        token: Option<&str>,
        edit: EditMessage,
    ) -> Result<EditedMessage> {
        // The session is checked in the transaction, behind the locks.
        let caller = self.identify(token).await?;
        self.count_send(&caller)?;
        let address = edit.address;
        let edit = match self.read_edit(&caller, edit).await {
            Ok(edit) => Box::pin(self.apply_policy_to_edit(&caller, address, edit)).await?,
            Err(refusal) => return Err(self.refuse(&caller, refusal).await),
        };
        let edited = match edit.message_id.home.group() {
            Some(_) => Box::pin(self.store.edit_in_group(&edit)).await?,
            None => Box::pin(self.store.edit(&edit)).await?,
        };
        self.fan_out(edited.group_no);
        self.announce_stored(&edited.told).await;
        Ok(EditedMessage { edit: edited.edit, duplicate: edited.duplicate })
    }

    async fn read_edit(&self, caller: &Identity, edit: EditMessage) -> Result<NewEdit> {
        let client_edit_id = parse_uuid("client_edit_id", &edit.client_edit_id)?;
        let content = self.content(edit.content)?;
        let message_id = self.message_id(&edit.message_id).await?;
        if message_id.home.user().is_some_and(|sender| sender != caller.user_no) {
            return Err(Error::MessageNotFound);
        }
        let mentions = self.mentions_in(message_id.home, &edit.mentions, edit.mention_all).await?;
        Ok(NewEdit {
            message_id,
            caller: caller.user_no,
            caller_id: caller.user_id.clone(),
            session_id: caller.session_id,
            client_edit_id,
            content_hash: content.hash(),
            content,
            mentions,
            window: self.limits.edit_window,
            keep: self.limits.keep_edits,
            if_blocked: self.limits.if_blocked,
            messages_from: self.limits.settings.messages_from,
        })
    }

    /// What a message that the caller has said before its edits, newest first.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::MessageNotFound`] when the caller has no such message, or it
    /// is gone.
    pub async fn list_edits(
        &self,
        token: Option<&str>,
        message_id: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<Page<EarlierVersion>> {
        let caller = self.reader(token).await?;
        let size = PageSize::parse("page_size", page_size, 50, 200)?;
        let message_id = self.message_id(message_id).await?;
        let scope = format!("edits/{}/{message_id:?}", caller.user_no.0);
        let before = self.read_place(&scope, page_token)?;
        let before = before.min(i32::MAX.into());
        let read = async {
            let _turn = self.page_turn().await?;
            self.store.earlier_versions(caller.user_no, message_id, before, size.get()).await
        };
        let (items, more) = self.begin_read(caller.user_no).await?.run(read).await?;
        let last = items.last().filter(|_| more);
        let next_page_token = last.map(|last| self.place_token(&scope, last.edit.edit_no.into()));
        Ok(Page { items, next_page_token })
    }
}
