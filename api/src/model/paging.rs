//! Pages, as in Google's AIP-158.

use super::{Error, Result};

/// How many items a page holds at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize(i64);

impl PageSize {
    /// What a client gave as `field`: 0 stands for `default`, and more than `max` counts as `max`.
    pub fn parse(field: &'static str, value: i32, default: i32, max: i32) -> Result<Self> {
        match value {
            ..0 => Err(Error::invalid(field, "must not be negative")),
            0 => Ok(Self(default.into())),
            n => Ok(Self(n.min(max).into())),
        }
    }

    /// The number of items.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }

    /// Cuts off what was read beyond the page to learn whether there is more: whether there was.
    pub fn cut<T>(self, items: &mut Vec<T>) -> bool {
        let size = usize::try_from(self.0).unwrap_or(usize::MAX);
        let more = items.len() > size;
        items.truncate(size);
        more
    }
}

/// One page of a listing.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// In the order of the listing.
    pub items: Vec<T>,
    /// For the next page; `None` on the last one.
    pub next_page_token: Option<String>,
}

/// Why a listing of history ends where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryEnd {
    /// The conversation begins there.
    Beginning,
    /// Older messages exist or existed beyond what may be seen.
    RetentionLimit,
}

/// How far a listing of conversations has come. They are listed by their newest messages, the newest
/// first, and move to the front whenever a message comes. So a listing goes on behind its end with those
/// that have moved since it began: whatever was overtaken is met there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListPlace {
    /// Nothing is listed yet.
    Start,
    /// Those whose newest message is below `before` come next. All are seqs.
    Before {
        /// The end of the timeline when the listing began.
        began_at: i64,
        /// The newest message of the conversation that was listed last.
        before: i64,
    },
    /// Those that got a message behind `began_at` come next, in the order of the first such message. Each
    /// has one place in that order, whatever comes meanwhile, so the listing ends.
    Moved {
        /// As in [`ListPlace::Before`].
        began_at: i64,
        /// The messages up to this one are done with.
        after: i64,
        /// The end of the timeline when all other conversations had been listed.
        until: i64,
    },
}

impl ListPlace {
    /// As a page token carries it; nothing for the start.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let seqs = match self {
            Self::Start => vec![],
            Self::Before { began_at, before } => vec![began_at, before],
            Self::Moved { began_at, after, until } => vec![began_at, after, until],
        };
        seqs.into_iter().flat_map(i64::to_be_bytes).collect()
    }

    /// Reads what [`ListPlace::to_bytes`] made; `None` for anything else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (seqs, rest) = bytes.as_chunks::<8>();
        let seqs: Vec<i64> = seqs.iter().map(|seq| i64::from_be_bytes(*seq)).collect();
        match (seqs.as_slice(), rest) {
            ([], []) => Some(Self::Start),
            (&[began_at, before], []) => Some(Self::Before { began_at, before }),
            (&[began_at, after, until], []) => Some(Self::Moved { began_at, after, until }),
            _ => None,
        }
    }
}
