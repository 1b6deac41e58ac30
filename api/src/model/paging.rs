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
