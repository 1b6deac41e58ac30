//! Times: as they come from the server, and as people read them.

use std::time::Duration;

use prost_types::Timestamp;
use time::OffsetDateTime;

/// The time of a timestamp; none when it is absent or beyond what a date can be.
pub(crate) fn time(timestamp: Option<Timestamp>) -> Option<OffsetDateTime> {
    let Timestamp { seconds, nanos } = timestamp?;
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()?
        .replace_nanosecond(u32::try_from(nanos).ok()?)
        .ok()
}

/// "2m ago", in the largest unit that fits; "-" for no time. A time to come, as a clock that runs
/// ahead gives it, is now.
pub(crate) fn ago(at: Option<OffsetDateTime>, now: OffsetDateTime) -> String {
    let Some(at) = at else {
        return "-".to_owned();
    };
    let seconds = u64::try_from((now - at).whole_seconds()).unwrap_or(0);
    if seconds == 0 {
        return "now".to_owned();
    }
    let all_units = humantime::format_duration(Duration::from_secs(seconds)).to_string();
    let largest = all_units.split(' ').next().unwrap_or_default();
    format!("{largest} ago")
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
