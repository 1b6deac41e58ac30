//! Drafts. A client sets one with each change if it likes; of those that a session sets within
//! [`COALESCED`], the last alone is written. So a user who types fast adds no entry for each letter, and a
//! call that has returned is stored: nothing waits in memory that was acknowledged.

use std::{sync::Arc, time::Duration};

use moka::sync::Cache;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use super::{SendOrder, Service, Ticket};
use crate::{
    model::{ConversationId, ConversationNo, Error, Result, SessionId},
    store::SetDraft,
};

/// How long after a draft was written the next one of its session and conversation is, at the soonest.
const COALESCED: Duration = Duration::from_secs(2);

/// The longest draft, in bytes.
const MAX_DRAFT_BYTES: usize = 4096;

/// How many drafts are remembered for what was written last. One that is not is written at once.
const MOST_REMEMBERED: u64 = 20_000;

/// The drafts that sessions write at this node.
pub(super) struct Drafts(Cache<(SessionId, ConversationNo), Arc<Slot>>);

/// The draft of a conversation, as one session writes it.
#[derive(Default)]
struct Slot {
    /// What was asked for last, with how often something was.
    wanted: Mutex<(u64, String)>,
    written: tokio::sync::Mutex<Written>,
}

#[derive(Default)]
struct Written {
    /// Which of those that were asked for.
    number: u64,
    at: Option<Instant>,
}

impl Default for Drafts {
    fn default() -> Self {
        let idle = COALESCED * 4;
        Self(Cache::builder().max_capacity(MOST_REMEMBERED).time_to_idle(idle).build())
    }
}

/// Checks a draft that is given as `field`.
pub(super) fn check_draft(field: &'static str, text: &str) -> Result<()> {
    if text.len() > MAX_DRAFT_BYTES {
        return Err(Error::invalid(field, format!("must be at most {MAX_DRAFT_BYTES} bytes")));
    }
    if text.contains('\0') {
        return Err(Error::invalid(field, "must not contain U+0000"));
    }
    Ok(())
}

impl Service {
    /// Puts a draft in the place of the one that the caller has in a conversation, and tells its terminals.
    /// Empty for no draft.
    ///
    /// Errors: [`Error::InvalidArgument`] for one that is too long; [`Error::UserNotFound`] when the peer
    /// does not exist; [`Error::GroupNotFound`]; [`Error::RateLimited`].
    pub async fn set_draft(
        &self,
        token: Option<&str>,
        conversation_id: &str,
        text: String,
    ) -> Result<()> {
        let ticket = SendOrder::default().ticket();
        self.set_draft_in_order(ticket, token, conversation_id, text).await
    }

    /// As [`Service::set_draft`], for a connection that brings the next draft before the last is written: the one with the
    /// last ticket is the last.
    pub async fn set_draft_in_order(
        &self,
        mut ticket: Ticket,
        token: Option<&str>,
        conversation_id: &str,
        text: String,
    ) -> Result<()> {
        // The session is checked in the transaction, behind the lock.
        let caller = self.changer(token).await?;
        let read = async {
            let conversation_id = ConversationId::parse(conversation_id)?;
            check_draft("text", &text)?;
            Ok((self.store.conversation_no(&conversation_id).await?, conversation_id))
        };
        let read = read.await;
        ticket.turn().await;
        let (conversation, conversation_id) = match read {
            Ok(read) => read,
            Err(refusal) => return Err(self.refuse(&caller, refusal).await),
        };
        let key = (caller.session_id, conversation);
        let slot = self.drafts.0.get_with(key, Arc::default);
        let number = slot.want(text);
        // It is noted: the next one may be.
        drop(ticket);
        let mut written = slot.written.lock().await;
        if written.number >= number {
            // A later one has been written, by a call that waited, too.
            return self.check_session(&caller).await;
        }
        if let Some(at) = written.at {
            sleep_until(at + COALESCED).await;
        }
        let (number, text) = slot.wanted.lock().clone();
        let draft = SetDraft {
            owner: caller.user_no,
            session_id: caller.session_id,
            conversation,
            conversation_id,
            text,
        };
        let entry = self.store.set_draft(&draft).await?;
        *written = Written { number, at: Some(Instant::now()) };
        drop(written);
        self.announce(entry.map(|entry| (caller.user_no, entry)));
        Ok(())
    }
}

impl Slot {
    /// Notes what is wanted now: its number.
    fn want(&self, text: String) -> u64 {
        let mut wanted = self.wanted.lock();
        *wanted = (wanted.0 + 1, text);
        wanted.0
    }
}
