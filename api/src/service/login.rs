//! Logging in, and keeping logged in.

use std::time::Duration;

use super::{Service, access::Identity, tokens::RefreshToken};
use crate::{
    model::{Error, IfOccupied, Result, Session, SessionId, Terminal, UserId},
    store::{NewSession, Rotation},
};

/// A login as a client asks for it.
#[derive(Debug)]
pub struct Login {
    /// The customer's own id.
    pub user_id: String,
    /// The password.
    pub password: String,
    /// The terminal type.
    pub terminal_type: String,
    /// The installation's id.
    pub device_id: String,
    /// What people call the device.
    pub device_name: String,
    /// What to do when the type has no place free.
    pub if_occupied: IfOccupied,
}

/// A pair of tokens.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// A JWT.
    pub access_token: String,
    /// How long it lasts.
    pub expires_in: Duration,
    /// For the next pair.
    pub refresh_token: String,
}

/// What a login brought.
#[derive(Debug)]
pub struct LoggedIn {
    /// The first tokens.
    pub tokens: Tokens,
    /// The session.
    pub session: Session,
    /// The sessions it ended, with their ends.
    pub replaced: Vec<Session>,
}

impl Service {
    /// Opens a session.
    ///
    /// Errors: [`Error::InvalidCredentials`], after the same work whether the user exists or not;
    /// [`Error::TerminalOccupied`]; [`Error::InvalidArgument`].
    pub async fn login(&self, login: Login) -> Result<LoggedIn> {
        let user_id = UserId::parse("user_id", &login.user_id)?;
        let terminal = Terminal::parse(login.terminal_type, login.device_id, login.device_name)?;
        let known = self.store.credentials(&user_id).await?;
        let hash = known.as_ref().and_then(|known| known.password_hash.clone());
        if !self.passwords.verify(login.password, hash.as_deref()).await? {
            return Err(Error::InvalidCredentials);
        }
        let (Some(known), Some(password_hash)) = (known, hash) else {
            return Err(Error::InvalidCredentials);
        };
        let session_id = SessionId::new();
        let refresh = RefreshToken::first(known.user_no, session_id)?;
        let opened = self
            .store
            .open_session(NewSession {
                user_no: known.user_no,
                user_id: user_id.clone(),
                password_hash,
                session_id,
                terminal,
                if_occupied: login.if_occupied,
                refresh_hash: refresh.hash(),
                refresh_ttl: self.limits.refresh_ttl,
            })
            .await?;
        self.delivery.announce(known.user_no, opened.entry);
        let identity = Identity { user_id, user_no: known.user_no, session_id };
        let tokens = self.tokens(&identity, &refresh)?;
        Ok(LoggedIn { tokens, session: opened.session, replaced: opened.ended })
    }

    /// Exchanges a refresh token for its successors.
    ///
    /// Errors: [`Error::SessionEnded`], also when it is this call that ends the session because the
    /// token comes too late or for the second time; [`Error::InvalidToken`].
    pub async fn refresh(&self, refresh_token: &str) -> Result<Tokens> {
        let presented = RefreshToken::parse(&self.opaque_tokens, refresh_token)?;
        let (user_no, session_id) = (presented.user_no, presented.session_id);
        let successor = presented.successor(&self.opaque_tokens);
        let ttl = self.limits.refresh_ttl;
        let rotation = self
            .store
            .rotate_refresh(user_no, session_id, &presented.hash(), &successor.hash(), ttl)
            .await?;
        match rotation {
            Rotation::Exchanged => {
                let user_id = self.store.user_id(user_no).await?;
                self.tokens(&Identity { user_id, user_no, session_id }, &successor)
            }
            Rotation::Ended(end) => Err(Error::SessionEnded(end)),
            Rotation::EndedNow(ended) => {
                let end = ended.ended.iter().find_map(|session| session.end.clone());
                self.announce_end(user_no, *ended);
                Err(end.map_or(Error::InvalidToken("the session has ended"), Error::from))
            }
            Rotation::Unknown => Err(Error::InvalidToken("the token's session is not known")),
        }
    }

    fn tokens(&self, identity: &Identity, refresh: &RefreshToken) -> Result<Tokens> {
        let expires_in = self.limits.access_ttl;
        Ok(Tokens {
            access_token: self.access_tokens.issue(identity, expires_in)?,
            expires_in,
            refresh_token: refresh.show(&self.opaque_tokens),
        })
    }
}
