//! Where a listing begins that shows only what is as new as some time, without an index on that time.
//!
//! Rows of some tables get their number, and the time at which their transaction began, side by side: a row with a smaller
//! number is older, but for transactions that run at the same time. Then a binary search on the primary key finds a number
//! up to which all rows are older, in about ten probes for a million rows, and nobody who writes pays for an index. The
//! search leaves a stretch of [`STRETCH`] numbers, which cost no more to read than to search. It only bounds what is read:
//! each listing compares the times of its rows besides.
//!
//! Ids that are UUIDs of version 7 carry their time, by the clock of the node that made them.

use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use super::client::Client;
use crate::model::Result;

/// How many numbers are read rather than searched.
const STRETCH: i64 = 4096;

/// How far the order of numbers and ids and that of times may differ. A transaction takes seconds: each of its statements has
/// a timeout. A node whose clock is wrong by more than this lists its sessions in the wrong places anyway.
const DISORDER: Duration = Duration::from_hours(1);

/// A table whose rows are numbered in the order of their times.
#[derive(Debug, Clone, Copy)]
pub(super) enum Numbered {
    Audit,
    Broadcasts,
    Users,
}

impl Numbered {
    /// The table, and its columns of the number and of the time.
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Audit => ("audit", "audit_no", "at"),
            Self::Broadcasts => ("broadcasts", "broadcast_no", "created_at"),
            Self::Users => ("users", "user_no", "created_at"),
        }
    }
}

/// A number of a table: all rows up to it are older than `since`. 0 where that is absent.
pub(super) async fn older_up_to(
    client: &Client,
    table: Numbered,
    since: Option<OffsetDateTime>,
) -> Result<i64> {
    let Some(since) = since else { return Ok(0) };
    let (table, number, time) = table.names();
    // All rows up to `low` are older, and the first one from `high` on is not.
    let search = format!(
        "WITH RECURSIVE narrowed (low, high) AS (
             SELECT coalesce(min({number}), 1) - 1, coalesce(max({number}), 0) FROM {table}
             UNION ALL
             SELECT CASE WHEN middle.time < $1 THEN middle.number ELSE n.low END,
                 CASE WHEN middle.time < $1 THEN n.high ELSE (n.low + n.high) / 2 END
             FROM narrowed n CROSS JOIN LATERAL (
                 SELECT {number} AS number, {time} AS time FROM {table}
                 WHERE {number} >= (n.low + n.high) / 2 ORDER BY {number} LIMIT 1
             ) middle
             WHERE n.high - n.low > $2
         )
         SELECT max(low) FROM narrowed"
    );
    Ok(client.query_one(&search, &[&(since - DISORDER), &STRETCH]).await?.get(0))
}

/// The lowest id of version 7 that what is as new as `since` may have; the lowest of all where that is absent.
pub(super) fn lowest_id(since: Option<OffsetDateTime>) -> Uuid {
    let nanoseconds = |since: OffsetDateTime| (since - DISORDER).unix_timestamp_nanos();
    // What is older than 1970 has no id.
    let nanoseconds = since.and_then(|since| u128::try_from(nanoseconds(since)).ok());
    Uuid::from_u128(nanoseconds.map_or(0, |nanoseconds| (nanoseconds / 1_000_000) << 80))
}

#[cfg(test)]
mod tests {
    use time::{Date, Month};

    use super::*;

    #[test]
    fn an_id_that_is_as_new_is_not_below_the_lowest() {
        let now = OffsetDateTime::now_utc();
        let id = Uuid::now_v7();
        assert!(lowest_id(Some(now)) < id && lowest_id(Some(now - DISORDER)) < id);
        assert!(lowest_id(Some(now + 2 * DISORDER)) > id);
    }

    #[test]
    fn times_before_1970_and_far_ahead_have_lowest_ids_too() {
        let day = |year| Date::from_calendar_date(year, Month::January, 1).expect("a date");
        let lowest = |year| lowest_id(Some(day(year).midnight().assume_utc()));
        assert!(lowest(0).is_nil() && lowest(1969).is_nil() && lowest_id(None).is_nil());
        assert!(lowest(9999) > lowest(2026) && lowest(2026) > lowest(1971));
    }
}
