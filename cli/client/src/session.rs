//! The tokens of one session, and whether it has ended.

use std::{
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use imd_proto::v1::{SessionEnd, Tokens};
use tokio::time::Instant;
use tonic::metadata::{Ascii, MetadataValue};

use crate::{connection::Connection, error::Error};

/// How long to go on with the token there is after an early renewal failed.
const RENEWAL_PAUSE: Duration = Duration::from_secs(5);

/// What all parts of a terminal share.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) connection: Connection,
    tokens: Mutex<Held>,
    /// Held while tokens are exchanged, so that only one call does it.
    renewing: tokio::sync::Mutex<()>,
    end: OnceLock<Box<SessionEnd>>,
}

#[derive(Debug)]
struct Held {
    access: AccessToken,
    refresh: String,
    /// When to exchange them.
    due: Instant,
}

/// An access token; `number` tells it from those before it.
#[derive(Debug, Clone)]
pub(crate) struct AccessToken {
    /// The value of `authorization`.
    pub(crate) bearer: MetadataValue<Ascii>,
    number: u64,
}

impl Held {
    fn new(tokens: Tokens, number: u64) -> Result<Self, Error> {
        let mut bearer: MetadataValue<Ascii> = format!("Bearer {}", tokens.access_token)
            .parse()
            .map_err(|_| Error::Contract("the access token is no ASCII text"))?;
        bearer.set_sensitive(true);
        let lifetime = Duration::from_secs(u64::try_from(tokens.expires_in).unwrap_or(0));
        Ok(Self {
            access: AccessToken { bearer, number },
            refresh: tokens.refresh_token,
            // Well before it expires.
            due: Instant::now() + lifetime.mul_f64(0.8),
        })
    }
}

impl Session {
    pub(crate) fn new(connection: Connection, tokens: Tokens) -> Result<Self, Error> {
        Ok(Self {
            connection,
            tokens: Mutex::new(Held::new(tokens, 0)?),
            renewing: tokio::sync::Mutex::default(),
            end: OnceLock::new(),
        })
    }

    /// A token that is not about to expire.
    pub(crate) async fn access_token(&self) -> Result<AccessToken, Error> {
        let (token, due) = self.held(|held| (held.access.clone(), held.due));
        if Instant::now() < due {
            return self.unless_ended(token);
        }
        match self.renew(&token).await {
            Err(error) if error.may_pass() => {
                self.held(|held| held.due = Instant::now() + RENEWAL_PAUSE);
                Ok(token)
            }
            renewed => renewed,
        }
    }

    /// The successor of `stale`. However many ask for it at a time, it is exchanged once.
    pub(crate) async fn renew(&self, stale: &AccessToken) -> Result<AccessToken, Error> {
        let _exchanging = self.renewing.lock().await;
        let (token, refresh_token) = self.held(|held| (held.access.clone(), held.refresh.clone()));
        if token.number != stale.number {
            return self.unless_ended(token);
        }
        let token = self.unless_ended(token)?;
        let line = self.connection.line();
        let tokens = line.wire.refresh(refresh_token).await.map_err(|error| {
            self.connection.leave_if_at_fault(&line, &error);
            self.note(error)
        })?;
        let renewed = Held::new(tokens, token.number + 1)?;
        let token = renewed.access.clone();
        self.held(|held| *held = renewed);
        Ok(token)
    }

    /// Remembers the end of the session, if that is what the error says.
    pub(crate) fn note(&self, error: Error) -> Error {
        if let Error::SessionEnded(end) = &error {
            let _ = self.end.set(end.clone());
        }
        error
    }

    fn unless_ended<T>(&self, value: T) -> Result<T, Error> {
        match self.end.get() {
            Some(end) => Err(Error::SessionEnded(end.clone())),
            None => Ok(value),
        }
    }

    fn held<T>(&self, read: impl FnOnce(&mut Held) -> T) -> T {
        read(&mut self.tokens.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
