//! Limits of retention as arguments.

use std::str::FromStr;

use clap::Args;
use prost_types::Duration;
use serde::Deserialize;

use crate::error::Error;

/// Seconds of a day.
pub(super) const DAY: i64 = 24 * 60 * 60;

/// The most days that the server takes: a century.
const MOST_DAYS: u32 = 36_525;

/// An age limit, in days.
pub(super) type Days = Number<MOST_DAYS>;

/// A limit on messages.
pub(super) type Messages = Number<{ u32::MAX }>;

/// A limit on bytes.
pub(super) type Bytes = Number<{ u32::MAX }>;

/// The limits to set.
#[derive(Debug, Args)]
pub(crate) struct LimitsArgs {
    /// How old an entry may be to be seen, in days, at most 36525; none for no limit
    #[arg(long, value_name = "DAYS|none")]
    days: Option<Limit<Days>>,
    /// How many of the newest messages may be seen; none for no limit
    #[arg(long, value_name = "N|none")]
    messages: Option<Limit<Messages>>,
    /// How many bytes the messages that a user has sent may take, at most 4294967295; none for no limit
    #[arg(long, value_name = "N|none")]
    bytes: Option<Limit<Bytes>>,
}

/// A whole number from 0 to `MOST`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "i64")]
pub(super) struct Number<const MOST: u32>(u32);

impl<const MOST: u32> TryFrom<i64> for Number<MOST> {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, Self::Error> {
        let number = u32::try_from(number).ok().filter(|number| *number <= MOST);
        number.map(Self).ok_or_else(|| format!("must be a whole number from 0 to {MOST}"))
    }
}

/// A number, or `none`.
#[derive(Debug, Clone, Copy)]
struct Limit<T>(Option<T>);

impl<const MOST: u32> FromStr for Limit<Number<MOST>> {
    type Err = String;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        if value == "none" {
            return Ok(Self(None));
        }
        // What is no number at all is out of every range.
        let number = Number::try_from(value.parse::<i64>().unwrap_or(-1));
        number.map(|number| Self(Some(number))).map_err(|wrong| format!("{wrong}, or none"))
    }
}

impl LimitsArgs {
    /// Errors unless there is one.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.days.is_none() && self.messages.is_none() && self.bytes.is_none() {
            return Err(Error::Usage("give --days, --messages or --bytes".to_owned()));
        }
        Ok(())
    }

    /// The age limit that was given, or else `present`.
    pub(crate) fn max_age_or(&self, present: Option<Duration>) -> Option<Duration> {
        self.days.map_or(present, |limit| limit.0.map(Days::seconds))
    }

    /// The limit on messages that was given, or else `present`.
    pub(crate) fn max_messages_or(&self, present: Option<i64>) -> Option<i64> {
        self.messages.map_or(present, |limit| limit.0.map(Messages::count))
    }

    /// The limit on bytes that was given, or else `present`.
    pub(crate) fn max_bytes_or(&self, present: Option<i64>) -> Option<i64> {
        self.bytes.map_or(present, |limit| limit.0.map(Bytes::count))
    }
}

impl Days {
    pub(super) fn seconds(self) -> Duration {
        Duration { seconds: i64::from(self.0) * DAY, nanos: 0 }
    }
}

impl Messages {
    pub(super) fn count(self) -> i64 {
        i64::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_a_limit_names_it() {
        assert!(matches!("7".parse(), Ok(Limit::<Days>(Some(Number(7))))));
        assert!(matches!("none".parse(), Ok(Limit::<Days>(None))));
        for wrong in ["36526", "99999999999", "99999999999999999999", "-1", "1.5", "seven", ""] {
            let told = wrong.parse::<Limit<Days>>().expect_err(wrong);
            assert_eq!(told, "must be a whole number from 0 to 36525, or none", "{wrong}");
        }
    }
}
