//! Marking what has been read.

use super::{Service, access::Identity};
use crate::{
    model::{ConversationId, Error, Result},
    store::MarkRead,
};

impl Service {
    /// Notes that the caller has read a conversation up to a place of the caller's timeline, and tells
    /// the caller's terminals; the peer, too, where the deployment has read receipts. Returns where the
    /// mark stands now: at the newest message up to that place, or where it stood, since it only moves
    /// forward; 0 where there is none.
    ///
    /// Errors: [`Error::InvalidArgument`] for a place that the timeline does not have;
    /// [`Error::UserNotFound`] when the peer does not exist.
    #[tracing::instrument(target = "imd::trace", level = "info", skip_all)]
    pub async fn mark_read(
        &self,
        token: Option<&str>,
        conversation_id: &str,
        seq: i64,
    ) -> Result<i64> {
        // The session is checked in the transaction, behind the locks.
        let caller = self.changer(token).await?;
        let mark = match self.read_mark(&caller, conversation_id, seq).await {
            Ok(mark) => mark,
            Err(refusal) => return Err(self.refuse(&caller, refusal).await),
        };
        let marked = self.store.mark_read(&mark).await?;
        self.announce(marked.entries);
        Ok(marked.read_seq)
    }

    async fn read_mark(
        &self,
        caller: &Identity,
        conversation_id: &str,
        seq: i64,
    ) -> Result<MarkRead> {
        let conversation_id = ConversationId::parse(conversation_id)?;
        if seq < 1 {
            return Err(Error::invalid("seq", "must be a place in the timeline: 1 or more"));
        }
        Ok(MarkRead {
            reader: caller.user_no,
            reader_id: caller.user_id.clone(),
            session_id: caller.session_id,
            conversation: self.store.conversation_no(&conversation_id).await?,
            conversation_id,
            seq,
            with_receipt: self.limits.read_receipts,
        })
    }
}
