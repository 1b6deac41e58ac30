//! Times: as they come from the server, and as people read them.

use std::time::Duration;

use prost_types::Timestamp;
use time::{
    Date, OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description,
};

/// The time of a timestamp; none when it is absent or beyond what a date can be.
pub(crate) fn time(timestamp: Option<Timestamp>) -> Option<OffsetDateTime> {
    let Timestamp { seconds, nanos } = timestamp?;
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()?
        .replace_nanosecond(u32::try_from(nanos).ok()?)
        .ok()
}

/// The timestamp of a time.
pub(crate) fn timestamp(at: OffsetDateTime) -> Timestamp {
    let nanos = i32::try_from(at.nanosecond()).unwrap_or_default();
    Timestamp { seconds: at.unix_timestamp(), nanos }
}

/// Reads a time, a date (its beginning, in UTC), or how long ago.
pub(crate) fn since(text: &str) -> Result<OffsetDateTime, String> {
    if let Ok(ago) = humantime::parse_duration(text) {
        return Ok(OffsetDateTime::now_utc() - ago);
    }
    let date = Date::parse(text, format_description!("[year]-[month]-[day]"));
    let midnight = date.map(|date| date.midnight().assume_utc());
    midnight.or_else(|_| OffsetDateTime::parse(text, &Rfc3339)).map_err(|_| {
        "a time such as 2026-11-23T07:30:00Z, a date, or a duration such as 30d is wanted"
            .to_owned()
    })
}

/// "2m ago", in the largest unit that fits; "-" for no time. A time to come, as a clock that runs
/// ahead gives it, is now.
pub(crate) fn ago(at: Option<OffsetDateTime>, now: OffsetDateTime) -> String {
    let Some(at) = at else {
        return "-".to_owned();
    };
    largest_unit(now - at).map_or_else(|| "now".to_owned(), |passed| format!("{passed} ago"))
}

/// "in 2m", in the largest unit that fits; "-" for no time.
pub(crate) fn ahead(at: Option<OffsetDateTime>, now: OffsetDateTime) -> String {
    let Some(at) = at else {
        return "-".to_owned();
    };
    largest_unit(at - now).map_or_else(|| "now".to_owned(), |left| format!("in {left}"))
}

fn largest_unit(duration: time::Duration) -> Option<String> {
    let seconds = u64::try_from(duration.whole_seconds()).ok().filter(|seconds| *seconds > 0)?;
    let all_units = humantime::format_duration(Duration::from_secs(seconds)).to_string();
    all_units.split(' ').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-23 12:00:00 UTC);

    #[test]
    fn relative_times_show_the_largest_unit() {
        for (at, text) in [
            (datetime!(2026-11-23 11:59:59.5 UTC), "now"),
            (datetime!(2026-11-23 11:59:18 UTC), "42s ago"),
            (datetime!(2026-11-23 11:57:30 UTC), "2m ago"),
            (datetime!(2026-11-23 09:00:00 UTC), "3h ago"),
            (datetime!(2026-11-22 11:00:00 UTC), "1day ago"),
            (datetime!(2026-11-13 12:00:00 UTC), "10days ago"),
        ] {
            assert_eq!(ago(Some(at), NOW), text);
        }
    }

    #[test]
    fn a_moment_is_a_time_a_date_or_how_long_ago() {
        assert_eq!(since("2026-11-23T13:00:00+01:00"), Ok(NOW));
        assert_eq!(since("2026-11-23"), Ok(datetime!(2026-11-23 00:00:00 UTC)));
        let an_hour_ago = since("1h").expect("a duration");
        assert!((OffsetDateTime::now_utc() - an_hour_ago).whole_minutes() == 60);
        for wrong in ["", "yesterday", "2026-13-01", "12:00", "7"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_clock_that_runs_ahead_reads_as_now() {
        assert_eq!(ago(Some(datetime!(2026-11-23 12:00:07 UTC)), NOW), "now");
    }

    #[test]
    fn no_time_is_a_dash() {
        assert_eq!(ago(None, NOW), "-");
    }

    #[test]
    fn timestamps_keep_their_microseconds() {
        let timestamp = Timestamp { seconds: 1_795_435_200, nanos: 123_456_000 };
        assert_eq!(time(Some(timestamp)), Some(datetime!(2026-11-23 12:00:00.123456 UTC)));
        assert_eq!(time(Some(Timestamp { seconds: i64::MAX, nanos: 0 })), None);
    }
}
