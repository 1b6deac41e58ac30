//! Timelines, read once or followed.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{entry::Entry, id::Cursor};
use crate::{model, service::TimelineRead};

/// How far a timeline reaches.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TimelineState {
    /// The stamp of the numbering. It changes when seqs may have gone back (a restored backup).
    epoch: i64,
    /// The seq of the newest entry; 0 when there is none.
    #[schema(minimum = 0)]
    last_seq: i64,
    /// The lowest seq that may be seen; `last_seq + 1` when none may.
    #[schema(minimum = 1)]
    floor: i64,
    /// What sets the floor.
    retention: Retention,
}

/// The entries from `from` to `to` can no longer be had. The client's cursor is to move to `to`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HistoryTruncated {
    /// The first seq that is gone.
    #[schema(minimum = 1)]
    from: i64,
    /// The last seq that is gone.
    #[schema(minimum = 1)]
    to: i64,
    /// What holds for the user, which mostly is the reason.
    retention: Retention,
}

/// How far back a user may see, and how much it may store. Where age and number are limited, the stricter holds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Retention {
    /// The user's tier.
    #[schema(example = "free")]
    tier: String,
    /// Whether the limits are the user's own and not the tier's.
    overridden: bool,
    /// Entries older than so many seconds are hidden; absent when age does not matter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0, example = 604_800)]
    max_age_seconds: Option<u64>,
    /// Of the messages, only the newest so many may be seen; absent when their number does not matter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0, example = 10_000)]
    max_messages: Option<i64>,
    /// How many bytes the bodies of the user's messages may have together; absent when that does not matter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    max_bytes: Option<i64>,
}

impl From<model::Retention> for Retention {
    fn from(retention: model::Retention) -> Self {
        Self {
            tier: retention.tier,
            overridden: retention.overridden,
            max_age_seconds: retention.limits.max_age.map(|age| age.as_secs()),
            max_messages: retention.limits.max_messages,
            max_bytes: retention.limits.max_bytes,
        }
    }
}

/// How far a terminal has got.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "cursor": "1763880000.42" })))]
pub(crate) struct AcknowledgeRequest {
    /// The cursor of the last entry that the client has stored.
    #[serde(default)]
    #[schema(required = true, pattern = r"^[0-9]{1,18}\.[0-9]{1,18}$")]
    pub(in crate::rest) cursor: String,
}

/// The cursor belongs to another numbering: drop what is stored locally and start from the floor.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TimelineReset {
    /// The stamp of the numbering that holds now.
    pub(in crate::rest) epoch: i64,
}

/// The stream is wanted elsewhere (a restart, a rebalance) or cannot go on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reconnect {}

/// A stretch of a timeline. There is more when the last entry's seq is below `last_seq`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "entries": [Entry::example()],
    "epoch": 1_763_880_000,
    "last_seq": 42,
    "floor": 1,
    "retention": { "tier": "free", "overridden": false, "max_age_seconds": 604_800, "max_messages": 10_000 },
    "next_after": "1763880000.42",
})))]
pub(crate) struct TimelinePage {
    /// In the order of `seq`.
    entries: Vec<Entry>,
    #[serde(flatten)]
    state: TimelineState,
    /// The cursor after the last entry returned, to be given as `after` next time.
    next_after: Cursor,
    /// Set when entries after the cursor are gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    history_truncated: Option<HistoryTruncated>,
    /// Set when the cursor was of another numbering; the entries are those from the floor.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    timeline_reset: Option<TimelineReset>,
}

impl From<model::TimelineState> for TimelineState {
    fn from(state: model::TimelineState) -> Self {
        Self {
            epoch: state.epoch,
            last_seq: state.last_seq,
            floor: state.floor,
            retention: state.retention.into(),
        }
    }
}

impl From<model::Truncated> for HistoryTruncated {
    fn from(truncated: model::Truncated) -> Self {
        Self { from: truncated.from, to: truncated.to, retention: truncated.retention.into() }
    }
}

impl From<TimelineRead> for TimelinePage {
    fn from(read: TimelineRead) -> Self {
        let page = read.page;
        Self {
            entries: Entry::list(&page.entries),
            timeline_reset: page.reset.then_some(TimelineReset { epoch: page.state.epoch }),
            state: page.state.into(),
            next_after: read.next_after.into(),
            history_truncated: page.truncated.map(HistoryTruncated::from),
        }
    }
}
