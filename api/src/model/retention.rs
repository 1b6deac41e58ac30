//! Retention: how far back a user's history may be seen, and how much a user may store.

use std::time::Duration;

use super::{Error, Result};

/// The longest age limit: about a century.
const MAX_AGE: Duration = Duration::from_hours(24 * 36_525);

/// The limits of a tier or of one user. Where both age and number are limited, the stricter holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetentionLimits {
    /// Older entries are hidden. Whole seconds.
    pub max_age: Option<Duration>,
    /// Of the messages, only the newest so many may be seen, and the events among them.
    pub max_messages: Option<i64>,
    /// How many bytes the bodies of the messages may have together that the user has sent, as far as its own timeline
    /// still has them. Hides nothing: beyond it the user sends nothing more.
    pub max_bytes: Option<i64>,
}

impl RetentionLimits {
    /// Checks what a client gave.
    pub fn parse(
        max_age: Option<Duration>,
        max_messages: Option<i64>,
        max_bytes: Option<i64>,
    ) -> Result<Self> {
        if max_age.is_some_and(|age| age > MAX_AGE) {
            return Err(Error::invalid("max_age", "must be at most 100 years"));
        }
        if max_messages.is_some_and(|count| count < 0) {
            return Err(Error::invalid("max_messages", "must not be negative"));
        }
        if max_bytes.is_some_and(|count| count < 0) {
            return Err(Error::invalid("max_bytes", "must not be negative"));
        }
        Ok(Self { max_age, max_messages, max_bytes })
    }
}

/// Named limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tier {
    /// `free`, `premium` …
    pub name: String,
    /// What its users may see.
    pub limits: RetentionLimits,
}

impl Tier {
    /// Checks what a client gave as `field`: the rules are those of a terminal type's name.
    pub fn check_name(field: &'static str, name: &str) -> Result<()> {
        if super::TerminalType::is_name(name) {
            return Ok(());
        }
        Err(Error::invalid(field, "must be a letter and up to 31 of a-z 0-9 _ -"))
    }
}

/// What holds for one user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retention {
    /// The user's tier.
    pub tier: String,
    /// Whether the limits are the user's own and not the tier's.
    pub overridden: bool,
    /// The limits.
    pub limits: RetentionLimits,
}
