//! Telling terminals that have no stream.

use std::fmt;

use secrecy::SecretString;

/// Who tells terminals. Numbered as in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushProvider {
    /// A server of the deployment's own.
    Webhook = 1,
    /// A browser's push service.
    WebPush = 2,
}

impl PushProvider {
    const ALL: [Self; 2] = [Self::Webhook, Self::WebPush];

    /// The one with this number, if there is one.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| *provider as i16 == number)
    }

    /// Its name in the contract.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::WebPush => "web_push",
        }
    }
}

/// What a terminal is told of messages. Numbered as in the contract and in the database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PushContent {
    /// Who sent them, and what they say.
    #[default]
    Full = 1,
    /// Who sent them.
    Sender = 2,
    /// Their ids alone.
    Id = 3,
}

impl PushContent {
    const ALL: [Self; 3] = [Self::Full, Self::Sender, Self::Id];

    /// The one with this number, if there is one.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|content| *content as i16 == number)
    }
}

/// Where a terminal is told.
#[derive(Clone)]
pub enum PushTarget {
    /// By a server of the deployment's own, which knows the terminal by this token.
    Webhook {
        /// The token.
        token: SecretString,
    },
    /// By the push service of its browser.
    WebPush(WebPushTarget),
}

/// A subscription of a browser.
#[derive(Clone)]
pub struct WebPushTarget {
    /// The URL of the push service. Whoever knows it may write there.
    pub endpoint: SecretString,
    /// The browser's public key: an uncompressed point of P-256.
    pub key: Vec<u8>,
    /// What it shares with whoever writes to it.
    pub secret: Vec<u8>,
}

impl PushTarget {
    /// Who tells the terminal.
    #[must_use]
    pub fn provider(&self) -> PushProvider {
        match self {
            Self::Webhook { .. } => PushProvider::Webhook,
            Self::WebPush(_) => PushProvider::WebPush,
        }
    }
}

impl fmt::Debug for PushTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.provider().name())
    }
}
