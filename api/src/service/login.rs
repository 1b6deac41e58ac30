//! Logging in, and keeping logged in.

use std::time::Duration;

use serde_json::json;

use super::{
    Service, access::Identity, access_tokens::Signer, passwords::Requester, security::SecurityKind,
    tokens::RefreshToken,
};
use crate::{
    model::{
        ClientAddress, Error, IfOccupied, Result, Session, SessionId, Terminal, UserId, UserNo,
    },
    store::{Audit, NewSession, Proof, Rotation, SessionCheck, UNKNOWN_TIER},
};

/// A login as a client asks for it.
#[derive(Debug)]
pub struct Login {
    /// The customer's own id; may be empty with an assertion.
    pub user_id: String,
    /// What shows that it is this user.
    pub credential: Option<Credential>,
    /// The terminal type.
    pub terminal_type: String,
    /// The installation's id.
    pub device_id: String,
    /// What people call the device.
    pub device_name: String,
    /// What to do when the type has no place free.
    pub if_occupied: IfOccupied,
    /// From where, if that is known.
    pub address: Option<ClientAddress>,
}

/// What shows who is logging in.
#[derive(Debug)]
pub enum Credential {
    /// The user's password.
    Password(String),
    /// The word of a trusted issuer.
    Assertion(String),
}

/// A login whose credential has been checked.
struct Known {
    user_id: UserId,
    user_no: UserNo,
    proof: Proof,
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
    /// Whose session it is.
    pub user_id: String,
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
    /// [`Error::InvalidAssertion`]; [`Error::TerminalOccupied`]; [`Error::InvalidArgument`];
    /// [`Error::RateLimited`] after failures, and after too many successes of one user;
    /// [`Error::Overloaded`] when too many passwords wait to be checked.
    #[tracing::instrument(target = "imd::trace", level = "info", skip_all)]
    pub async fn login(&self, login: Login) -> Result<LoggedIn> {
        let by_password = matches!(login.credential, Some(Credential::Password(_)));
        let account = by_password.then_some(login.user_id.as_str());
        let attempt = self.counts.logins.begin(account, login.address)?;
        let (user_id, address) = (login.user_id.clone(), login.address);
        let terminal_type = login.terminal_type.clone();
        let outcome = self.try_login(login).await;
        match &outcome {
            Ok(logged_in) => {
                attempt.succeeded();
                let Session { terminal, .. } = &logged_in.session;
                let event = self.security(SecurityKind::Login).about(&logged_in.user_id);
                let event = event.of(&logged_in.session).from(address);
                self.note_security(event);
                let by = format!("login on {}", terminal.terminal_type);
                self.note_ended(&logged_in.user_id, &by, address, &logged_in.replaced);
            }
            Err(error @ (Error::InvalidCredentials | Error::InvalidAssertion(_))) => {
                attempt.failed();
                // Both were checked before, and say nothing but what is wrong.
                let event = self.security(SecurityKind::LoginFailed).about(&user_id);
                let event = event.on(&terminal_type).from(address);
                self.note_security(event.with(error.to_string()));
            }
            Err(_) => attempt.was_none(),
        }
        outcome
    }

    async fn try_login(&self, login: Login) -> Result<LoggedIn> {
        let terminal = Terminal::parse(login.terminal_type, login.device_id, login.device_name)?;
        // Before the credential, so that the answer does not tell whether that is good.
        self.store.check_terminal_type(&terminal.terminal_type).await?;
        let known = match login.credential {
            Some(Credential::Password(password)) => {
                self.known_by_password(&login.user_id, password, login.address).await?
            }
            Some(Credential::Assertion(assertion)) => {
                self.known_by_assertion(&login.user_id, &assertion, &terminal).await?
            }
            None => return Err(Error::invalid("password", "a password or an assertion is needed")),
        };
        self.open_session(known, terminal, login.if_occupied).await
    }

    async fn known_by_password(
        &self,
        user_id: &str,
        password: String,
        address: Option<ClientAddress>,
    ) -> Result<Known> {
        self.check_passwords_taken()?;
        let user_id = UserId::parse("user_id", user_id)?;
        let known = self.store.credentials(&user_id).await?;
        let hash = known.as_ref().and_then(|known| known.password_hash.clone());
        let requester = Requester {
            account: Some(user_id.as_str().to_owned()),
            site: address.map(ClientAddress::site),
        };
        if !self.passwords.verify(requester, password, hash.as_deref()).await? {
            return Err(Error::InvalidCredentials);
        }
        let (Some(known), Some(password_hash)) = (known, hash) else {
            return Err(Error::InvalidCredentials);
        };
        Ok(Known { user_id, user_no: known.user_no, proof: Proof::Password { password_hash } })
    }

    async fn known_by_assertion(
        &self,
        user_id: &str,
        assertion: &str,
        terminal: &Terminal,
    ) -> Result<Known> {
        let assertion = self.assertions.read(assertion, self.store.unix_now())?;
        if !user_id.is_empty() && user_id != assertion.user_id.as_str() {
            return Err(Error::InvalidAssertion("the assertion is about another user"));
        }
        if assertion.terminal_type.is_some_and(|only| only != terminal.terminal_type) {
            return Err(Error::InvalidAssertion("the assertion is for another terminal type"));
        }
        let user_id = assertion.user_id;
        let user_no = if assertion.provision {
            let actor = format!("issuer {}", assertion.issuer);
            let audit = Audit::unasked(&actor, "provision_user", json!({}));
            let tier = assertion.tier.as_deref().unwrap_or(&self.limits.default_tier);
            self.store.provision_user(&user_id, tier, audit).await.map_err(|error| match error {
                Error::TierNotFound { .. } => Error::InvalidAssertion(UNKNOWN_TIER),
                error => error,
            })?
        } else {
            self.store.user_no(&user_id).await.map_err(|error| match error {
                Error::UserNotFound(_) => Error::InvalidAssertion("the user is not known"),
                error => error,
            })?
        };
        let proof = Proof::Assertion {
            digest: assertion.digest,
            expires_at: assertion.expires_at,
            name: assertion.name,
            tier: assertion.tier,
        };
        Ok(Known { user_id, user_no, proof })
    }

    async fn open_session(
        &self,
        Known { user_id, user_no, proof }: Known,
        terminal: Terminal,
        if_occupied: IfOccupied,
    ) -> Result<LoggedIn> {
        self.counts.logins.count_success(user_id.as_str())?;
        // Before the session opens, so that no failure comes between it and its tokens.
        let signer = self.access_tokens.signer(&self.store).await?;
        let session_id = SessionId::new();
        let refresh = RefreshToken::first(user_no, session_id)?;
        let opened = self
            .store
            .open_session(NewSession {
                user_no,
                user_id: user_id.clone(),
                proof,
                session_id,
                terminal,
                if_occupied,
                refresh_hash: refresh.hash(),
                refresh_ttl: self.limits.refresh_ttl,
            })
            .await?;
        self.announce([(user_no, opened.entry)]);
        let identity = Identity { user_id, user_no, session_id };
        let tokens = self.tokens(&signer, &identity, &refresh)?;
        let user_id = identity.user_id.as_str().to_owned();
        Ok(LoggedIn { user_id, tokens, session: opened.session, replaced: opened.ended })
    }

    /// Exchanges a refresh token for its successors.
    ///
    /// Errors: [`Error::SessionEnded`], also when it is this call that ends the session because the
    /// token comes too late or for the second time; [`Error::InvalidToken`]; [`Error::RateLimited`].
    #[tracing::instrument(target = "imd::trace", level = "info", skip_all)]
    pub async fn refresh(&self, refresh_token: &str) -> Result<Tokens> {
        let presented = RefreshToken::parse(&self.opaque_tokens, refresh_token)?;
        let (user_no, session_id) = (presented.user_no, presented.session_id);
        self.count_change(user_no)?;
        let successor = presented.successor(&self.opaque_tokens);
        let ttl = self.limits.refresh_ttl;
        let signer = self.access_tokens.signer(&self.store).await?;
        let rotation = self
            .store
            .rotate_refresh(user_no, session_id, &presented.hash(), &successor.hash(), ttl)
            .await?;
        match rotation {
            Rotation::Exchanged => {
                let user_id = self.store.user_id(user_no).await?;
                self.tokens(&signer, &Identity { user_id, user_no, session_id }, &successor)
            }
            Rotation::Ended(end) => Err(Error::SessionEnded(end)),
            Rotation::EndedNow(ended) => {
                let end = ended.ended.iter().find_map(|session| session.end.clone());
                let ended = self.announce_end(user_no, *ended);
                if let Ok(user_id) = self.store.user_id(user_no).await {
                    self.note_ended(user_id.as_str(), "", None, &ended);
                }
                let Some(end) = end else {
                    // Something else ended it in between, and says why.
                    return Err(self.not_live(user_no, session_id).await);
                };
                Err(end.into())
            }
            // With its user, perhaps.
            Rotation::Unknown => Err(self.not_live(user_no, session_id).await),
        }
    }

    /// What a call is answered whose session is not live.
    async fn not_live(&self, user_no: UserNo, session_id: SessionId) -> Error {
        let check = self.store.check_session(user_no, session_id).await;
        let unknown = Error::InvalidToken("the token's session is not known");
        check.and_then(SessionCheck::require_live).err().unwrap_or(unknown)
    }

    fn tokens(
        &self,
        signer: &Signer,
        identity: &Identity,
        refresh: &RefreshToken,
    ) -> Result<Tokens> {
        let expires_in = self.limits.access_ttl;
        Ok(Tokens {
            access_token: signer.sign(identity, expires_in, self.store.unix_now())?,
            expires_in,
            refresh_token: refresh.show(&self.opaque_tokens),
        })
    }
}
