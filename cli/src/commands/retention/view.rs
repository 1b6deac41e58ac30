//! Tiers and what a change of them does, as rows.

use std::time::Duration;

use comfy_table::{Cell, Color};
use imd_proto::v1::{Tier, TierEffect};
use indicatif::HumanCount;
use serde::Serialize;
use time::OffsetDateTime;

use super::limits::DAY;
use crate::output::{self, Row};

#[derive(Debug, Serialize)]
pub(super) struct TierView {
    tier: String,
    max_age_seconds: Option<i64>,
    max_messages: Option<i64>,
    max_bytes: Option<i64>,
    users: i64,
}

impl From<Tier> for TierView {
    fn from(tier: Tier) -> Self {
        Self {
            tier: tier.name,
            max_age_seconds: tier.max_age.map(|age| age.seconds),
            max_messages: tier.max_messages,
            max_bytes: tier.max_bytes,
            users: tier.users,
        }
    }
}

impl Row for TierView {
    const COLUMNS: &[&str] = &["TIER", "MAX AGE", "MAX MESSAGES", "MAX BYTES", "USERS"];
    const NARROW: usize = 5;

    fn cells(&self, _now: OffsetDateTime) -> Vec<Cell> {
        let messages = self.max_messages.map(|count| count.to_string());
        vec![
            output::text(&self.tier),
            Cell::new(self.max_age_seconds.map_or("-".to_owned(), age)),
            Cell::new(messages.unwrap_or("-".to_owned())),
            Cell::new(self.max_bytes.map_or("-".to_owned(), |count| count.to_string())),
            Cell::new(self.users),
        ]
    }
}

#[derive(Debug, Serialize)]
pub(super) struct EffectView {
    tier: String,
    users_losing: i64,
    entries_hidden: i64,
    entries_shown: i64,
}

impl From<TierEffect> for EffectView {
    fn from(effect: TierEffect) -> Self {
        Self {
            tier: effect.name,
            users_losing: effect.users_losing,
            entries_hidden: effect.entries_hidden,
            entries_shown: effect.entries_shown,
        }
    }
}

impl Row for EffectView {
    const COLUMNS: &[&str] = &["TIER", "USERS LOSING", "ENTRIES HIDDEN", "ENTRIES SHOWN AGAIN"];
    const NARROW: usize = 4;

    fn cells(&self, _now: OffsetDateTime) -> Vec<Cell> {
        let loss = |count: i64| match count {
            0 => Cell::new(0),
            many => Cell::new(many).fg(Color::DarkYellow),
        };
        vec![
            output::text(&self.tier),
            loss(self.users_losing),
            loss(self.entries_hidden),
            Cell::new(self.entries_shown),
        ]
    }
}

/// An age limit as people say it: in days where it is that.
pub(in crate::commands) fn age(seconds: i64) -> String {
    if seconds % DAY == 0 {
        return count(seconds / DAY, "day", "days");
    }
    humantime::format_duration(Duration::from_secs(seconds.unsigned_abs())).to_string()
}

/// "1 user", "1,234 users".
pub(in crate::commands) fn count(count: i64, one: &str, many: &str) -> String {
    let name = if count == 1 { one } else { many };
    format!("{} {name}", HumanCount(count.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::output::Format;

    fn free() -> TierView {
        let max_age = Some(prost_types::Duration { seconds: 7 * DAY, nanos: 0 });
        let free = Tier {
            name: "free".to_owned(),
            max_age,
            max_messages: Some(10_000),
            users: 3,
            max_bytes: Some(100_000_000),
        };
        TierView::from(free)
    }

    #[test]
    fn tiers_as_a_table() {
        let premium = TierView::from(Tier { name: "premium".to_owned(), ..Tier::default() });
        let table =
            output::table(&[free(), premium], false, None, datetime!(2026-11-23 12:00:00 UTC));
        insta::assert_snapshot!(anstream::adapter::strip_str(&table), @"
        TIER     MAX AGE  MAX MESSAGES  MAX BYTES  USERS
        free     7 days   10000         100000000  3
        premium  -        -             -          0
        ");
    }

    #[test]
    fn a_tier_as_json() {
        let json = output::document(&free(), Format::Json).expect("it can be written");
        insta::assert_snapshot!(json, @r#"
        {
          "tier": "free",
          "max_age_seconds": 604800,
          "max_messages": 10000,
          "max_bytes": 100000000,
          "users": 3
        }
        "#);
    }

    #[test]
    fn an_age_is_in_days_where_it_is_that() {
        for (seconds, text) in
            [(0, "0 days"), (DAY, "1 day"), (365 * DAY, "365 days"), (90, "1m 30s")]
        {
            assert_eq!(age(seconds), text);
        }
    }
}
