//! Times: as they come from the server, and as people read them.

use std::time::Duration;

use prost_types::Timestamp;
use time::{
    Date, OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description,
};

/// The longest time that an argument may ask for.
const LONGEST: Duration = Duration::from_hours(30 * 24);

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

/// Reads a time, a date (its beginning, in UTC), or how long ago; from the year 1 on.
pub(crate) fn since(text: &str) -> Result<OffsetDateTime, String> {
    const TOO_EARLY: &str = "must not be before the year 1";
    let at = match humantime::parse_duration(text) {
        Ok(ago) => time::Duration::try_from(ago)
            .ok()
            .and_then(|ago| OffsetDateTime::now_utc().checked_sub(ago))
            .ok_or(TOO_EARLY)?,
        Err(humantime::DurationError::NumberOverflow) => return Err(TOO_EARLY.to_owned()),
        Err(_) => moment(text).ok_or(
            "a time such as 2026-11-23T07:30:00Z, a date, or a duration such as 30d is wanted",
        )?,
    };
    if at.year() < 1 { Err(TOO_EARLY.to_owned()) } else { Ok(at) }
}

fn moment(text: &str) -> Option<OffsetDateTime> {
    match Date::parse(text, format_description!("[year]-[month]-[day]")) {
        Ok(date) => Some(date.midnight().assume_utc()),
        Err(_) => OffsetDateTime::parse(text, &Rfc3339).ok(),
    }
}

/// Reads how long something takes: at most [`LONGEST`].
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time <= LONGEST => Ok(time),
        Ok(_) | Err(humantime::DurationError::NumberOverflow) => {
            Err(format!("must be at most {}", humantime::format_duration(LONGEST)))
        }
        Err(wrong) => Err(format!("{wrong}; a time such as 500ms, 30s or 2m is wanted")),
    }
}

/// As [`duration`], of something that cannot be done in no time.
pub(crate) fn some_time(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("must be more than nothing".to_owned()),
        time => Ok(time),
    }
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
        for early in ["2027y", "100000y", "99999999999999999999y", "0000-12-31"] {
            assert_eq!(since(early), Err("must not be before the year 1".to_owned()), "{early}");
        }
    }

    #[test]
    fn a_duration_has_a_limit() {
        assert_eq!(duration("30days"), Ok(LONGEST));
        assert_eq!(some_time("1ms"), Ok(Duration::from_millis(1)));
        for long in ["31days", "100000y", "99999999999999999999y"] {
            assert_eq!(duration(long), Err("must be at most 30days".to_owned()), "{long}");
        }
        assert!(duration("0s").is_ok() && some_time("0s").is_err());
        assert!(duration("7").is_err());
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
