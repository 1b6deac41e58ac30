//! Limits of retention as arguments.

use std::str::FromStr;

use clap::Args;
use prost_types::Duration;

use crate::error::Error;

/// Seconds of a day.
pub(super) const DAY: i64 = 24 * 60 * 60;

/// The limits to set; one that is not given stays as it is.
#[derive(Debug, Args)]
pub(crate) struct LimitsArgs {
    /// How old an entry may be to be seen, in days; none for no limit
    #[arg(long, value_name = "DAYS|none")]
    days: Option<Limit<u32>>,
    /// How many of the newest messages may be seen; none for no limit
    #[arg(long, value_name = "N|none")]
    messages: Option<Limit<u32>>,
}

/// A number, or `none`.
#[derive(Debug, Clone, Copy)]
struct Limit<T>(Option<T>);

impl<T: FromStr> FromStr for Limit<T> {
    type Err = String;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        match value {
            "none" => Ok(Self(None)),
            number => match number.parse() {
                Ok(number) => Ok(Self(Some(number))),
                Err(_) => Err("must be a whole number, or none".to_owned()),
            },
        }
    }
}

impl LimitsArgs {
    /// Errors unless there is one.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match (self.days, self.messages) {
            (None, None) => Err(Error::Usage("give --days, --messages or both".to_owned())),
            _ => Ok(()),
        }
    }

    /// The age limit that was given, or else `present`.
    pub(crate) fn max_age_or(&self, present: Option<Duration>) -> Option<Duration> {
        self.days.map_or(present, |limit| limit.0.map(days))
    }

    /// The limit on messages that was given, or else `present`.
    pub(crate) fn max_messages_or(&self, present: Option<i64>) -> Option<i64> {
        self.messages.map_or(present, |limit| limit.0.map(i64::from))
    }
}

/// So many days.
pub(super) fn days(days: u32) -> Duration {
    Duration { seconds: i64::from(days) * DAY, nanos: 0 }
}
