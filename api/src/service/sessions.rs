//! A user's own sessions.

use super::{Service, access::Identity};
use crate::{
    model::{EndReason, Result, Session, SessionId, UserNo},
    store::{Ending, SessionsEnded, Which},
};

impl Service {
    /// Ends the caller's session.
    pub async fn logout(&self, token: Option<&str>) -> Result<()> {
        let caller = self.authenticate(token).await?;
        self.log_out(&caller, caller.session_id).await
    }

    /// The caller's live sessions, the newest first, and which of them is calling.
    pub async fn list_my_sessions(&self, token: Option<&str>) -> Result<(Vec<Session>, SessionId)> {
        let caller = self.reader(token).await?;
        Ok((self.store.live_sessions(caller.user_no).await?, caller.session_id))
    }

    /// Ends one of the caller's sessions; one that has ended already stays as it is.
    ///
    /// Errors: [`crate::model::Error::SessionNotFound`] when the caller's user never had it.
    pub async fn end_my_session(&self, token: Option<&str>, session_id: &str) -> Result<()> {
        let caller = self.changer(token).await?;
        self.check_session(&caller).await?;
        let session_id = SessionId::parse("session_id", session_id)?;
        self.log_out(&caller, session_id).await
    }

    async fn log_out(&self, caller: &Identity, session_id: SessionId) -> Result<()> {
        let ending =
            Ending { by: Some(caller.session_id), ..Ending::because(EndReason::LoggedOut) };
        let which = Which::One(session_id);
        match self.store.end_sessions(caller.user_no, &which, &ending, None).await {
            Ok(ended) => {
                let ended = self.announce_end(caller.user_no, ended);
                self.note_ended(caller.user_id.as_str(), "", None, &ended);
                Ok(())
            }
            // The account may have gone meanwhile.
            Err(refusal) => Err(self.refuse(caller, refusal).await),
        }
    }

    /// Tells the terminals of a user what ended.
    pub(super) fn announce_end(&self, user_no: UserNo, ended: SessionsEnded) -> Vec<Session> {
        self.announce(ended.entry.map(|entry| (user_no, entry)));
        ended.ended
    }
}
