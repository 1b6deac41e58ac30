//! Who is calling, and whether they still may.

use super::Service;
use crate::{
    model::{Error, Result, SessionId, UserId, UserNo},
    store::Actor,
    telemetry::call,
};

/// Who a valid access token says is calling.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) user_id: UserId,
    pub(super) user_no: UserNo,
    pub(super) session_id: SessionId,
}

impl Identity {
    /// The caller as one who changes groups.
    pub(super) fn actor(&self) -> Actor {
        let Self { user_id, user_no, session_id } = self.clone();
        Actor::User { user_no, user_id, session_id }
    }
}

impl Service {
    /// Reads the access token. For calls that check the session where they read or write.
    pub(super) async fn identify(&self, token: Option<&str>) -> Result<Identity> {
        let token = token.ok_or(Error::InvalidToken("an access token is needed"))?;
        let identity = self.access_tokens.read(&self.store, token).await?;
        call::note_user(&identity.user_id, identity.session_id);
        Ok(identity)
    }

    /// Reads the access token and checks that its session is live: in the database, with every call,
    /// so that no call that starts after the end of a session succeeds on any node (I3).
    pub(super) async fn authenticate(&self, token: Option<&str>) -> Result<Identity> {
        let identity = self.identify(token).await?;
        self.check_session(&identity).await?;
        Ok(identity)
    }

    /// As [`Service::authenticate`], for a call that reads: it is counted first.
    ///
    /// Errors: [`Error::RateLimited`].
    pub(super) async fn reader(&self, token: Option<&str>) -> Result<Identity> {
        let identity = self.identify(token).await?;
        self.count_read(identity.user_no)?;
        self.check_session(&identity).await?;
        Ok(identity)
    }

    /// As [`Service::identify`], for a call that changes something and sends no message: it is counted.
    ///
    /// Errors: [`Error::RateLimited`].
    pub(super) async fn changer(&self, token: Option<&str>) -> Result<Identity> {
        let identity = self.identify(token).await?;
        self.count_change(identity.user_no)?;
        Ok(identity)
    }

    /// Whether an access token is one of this deployment's and has not expired, or one that an upload was given; its
    /// session may have ended.
    /// For a transport that does more for those who have an account.
    ///
    /// Errors: [`Error::InvalidToken`].
    pub async fn recognize(&self, token: Option<&str>) -> Result<()> {
        if token.is_some_and(|token| self.may_upload(token)) {
            return Ok(());
        }
        self.identify(token).await.map(drop)
    }

    /// The session of a token that is good now. For a transport that is given a token for more than one
    /// call; each of these checks it again.
    pub async fn session_of(&self, token: Option<&str>) -> Result<SessionId> {
        Ok(self.authenticate(token).await?.session_id)
    }

    /// What to answer to a call whose session is not checked yet and whose arguments are refused: an
    /// ended session is told so whatever it asks, and nothing else.
    pub(super) async fn refuse(&self, identity: &Identity, refusal: Error) -> Error {
        self.check_session(identity).await.err().unwrap_or(refusal)
    }

    pub(super) async fn check_session(&self, identity: &Identity) -> Result<()> {
        self.store.check_session(identity.user_no, identity.session_id).await?.require_live()
    }
}
