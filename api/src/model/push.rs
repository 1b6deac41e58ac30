//! Telling terminals that have no stream.

use std::fmt;

use secrecy::SecretString;
use time::{Time, macros::format_description};

use super::{Error, Result};

/// Who tells terminals. Numbered as in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushProvider {
    /// A server of the deployment's own.
    Webhook = 1,
    /// A browser's push service.
    WebPush = 2,
    /// Apple's service.
    Apns = 3,
    /// Google's service.
    Fcm = 4,
}

impl PushProvider {
    const ALL: [Self; 4] = [Self::Webhook, Self::WebPush, Self::Apns, Self::Fcm];

    /// The one with this number, if there is one.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| *provider as i16 == number)
    }

    /// The provider that a client names as `field`.
    pub fn parse(field: &'static str, name: &str) -> Result<Self> {
        let known = Self::ALL.into_iter().find(|provider| provider.name() == name);
        let refusal = || {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::invalid(field, format!("must be one of {names}"))
        };
        known.ok_or_else(refusal)
    }

    /// Its name in the contract.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::WebPush => "web_push",
            Self::Apns => "apns",
            Self::Fcm => "fcm",
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

/// What a provider said. Numbered as in the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushResult {
    /// It took it.
    Delivered = 1,
    /// It did not answer, or not now.
    Failed = 2,
    /// The token is none any more.
    Gone = 3,
    /// It will never take it.
    Refused = 4,
}

impl PushResult {
    /// Its name in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Gone => "gone",
            Self::Refused => "refused",
        }
    }
}

/// Where a terminal is told.
#[derive(Clone)]
pub enum PushTarget {
    /// By a server of the deployment's own, which knows the terminal by this token.
    Webhook(SecretString),
    /// By the push service of its browser.
    WebPush(WebPushTarget),
    /// By Apple, which knows the app on the device by this token.
    Apns(SecretString),
    /// By Google, which knows the app on the device by this token.
    Fcm(SecretString),
}

/// Hours of every day in which a user is told of nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuietHours {
    /// When they begin.
    pub from: Time,
    /// When they end: another time, on the next day if it is earlier.
    pub to: Time,
    /// Whose clocks, by the name in the IANA time zone database.
    pub time_zone: String,
}

impl QuietHours {
    /// The longest name of a time zone, in bytes.
    const MAX_TIME_ZONE: usize = 64;

    /// Of what a client gives: two times as `22:00`, and a name.
    ///
    /// Errors: [`Error::InvalidArgument`]. Whether there is such a time zone is not looked at.
    pub fn read(from: &str, to: &str, time_zone: String) -> Result<Self> {
        let time = |field, text: &str| {
            Time::parse(text, format_description!("[hour]:[minute]"))
                .map_err(|_| Error::invalid(field, "must be a time of the day, such as 22:00"))
        };
        let (from, to) = (time("from", from)?, time("to", to)?);
        if from == to {
            return Err(Error::invalid("to", "must be another time than `from`"));
        }
        let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+-".contains(&byte);
        // PostgreSQL takes abbreviations and rules, too, which stand for no place.
        let names_a_place = time_zone == "UTC" || time_zone.contains('/');
        if !names_a_place
            || time_zone.len() > Self::MAX_TIME_ZONE
            || !time_zone.bytes().all(in_name)
        {
            return Err(Self::unknown_time_zone());
        }
        Ok(Self { from, to, time_zone })
    }

    /// There is no such time zone.
    #[must_use]
    pub fn unknown_time_zone() -> Error {
        Error::invalid("time_zone", "must be one of the IANA database, such as Europe/Berlin")
    }

    /// A time as in the contract.
    #[must_use]
    pub fn text(time: Time) -> String {
        format!("{:02}:{:02}", time.hour(), time.minute())
    }
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
            Self::Webhook(_) => PushProvider::Webhook,
            Self::WebPush(_) => PushProvider::WebPush,
            Self::Apns(_) => PushProvider::Apns,
            Self::Fcm(_) => PushProvider::Fcm,
        }
    }

    /// What the provider knows the terminal by.
    #[must_use]
    pub fn token(&self) -> &SecretString {
        match self {
            Self::Webhook(token) | Self::Apns(token) | Self::Fcm(token) => token,
            Self::WebPush(target) => &target.endpoint,
        }
    }
}

impl fmt::Debug for PushTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.provider().name())
    }
}
