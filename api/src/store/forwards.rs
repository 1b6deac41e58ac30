//! Forwarding: what a message says is sent on in another one, with who sent it first, and when.

use super::{AppendForward, Store};
use crate::model::{
    Attachment, Body, Content, EntryKind, Error, Forwarded, MessageId, Result, Stretch, UserNo,
};

impl Store {
    /// What a message says that a user has and may see, with its attachments, and where that comes from: what was forwarded
    /// already comes from where it came.
    ///
    /// Errors: [`Error::MessageNotFound`].
    pub async fn forward(
        &self,
        user_no: UserNo,
        message_id: MessageId,
    ) -> Result<(Content, Vec<Attachment>, AppendForward)> {
        let (seq, _) = self.readable_copy(user_no, message_id).await?;
        let entries = self.entries_in(&[Stretch::at(user_no.into(), seq)], 1).await?;
        let (_, entry) = entries.into_iter().next().ok_or(Error::MessageNotFound)?;
        let EntryKind::Message(message) = entry.kind else { return Err(Error::MessageNotFound) };
        let Body::Content(content) = message.body else { return Err(Error::MessageNotFound) };
        let here = Forwarded { sender: message.sender, sent_at: entry.appended_at };
        let shown = message.forwarded.unwrap_or(here);
        let sender = match self.user_no(&shown.sender).await {
            // Nobody can be named any more who has said it.
            Err(Error::UserNotFound(_)) => return Err(Error::MessageNotFound),
            sender => sender?,
        };
        Ok((content, message.attachments, AppendForward { sender, shown }))
    }
}
