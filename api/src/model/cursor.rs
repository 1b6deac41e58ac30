//! Cursors: the one small token that a client has to keep.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Error, Result};

/// The place of the last entry a terminal has: `<epoch>.<seq>`. Cursors of a later numbering are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cursor {
    /// The stamp of the numbering that the seq belongs to.
    pub epoch: i64,
    /// The last entry's place.
    pub seq: i64,
}

impl Cursor {
    /// Reads what a client gave as `field`.
    pub fn parse(field: &'static str, value: &str) -> Result<Self> {
        parse_cursor(value).ok_or_else(|| Error::invalid(field, "must be a cursor (<epoch>.<seq>)"))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.seq)
    }
}

/// Where a read of a timeline starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the lowest entry that may be seen.
    Floor,
    /// Before the newest so many; with 0, behind all that stand there now.
    Last(i64),
    /// Behind an entry.
    After(Cursor),
}

impl Start {
    /// Reads what a client gave as `after` and as `last`; the latter, when not 0, stands alone.
    pub fn parse(after: &str, last: i32) -> Result<Self> {
        match (after, last) {
            (_, ..0) => Err(Error::invalid("last", "must not be negative")),
            ("", 1..) => Ok(Self::Last(last.into())),
            (_, 1..) => Err(Error::invalid("last", "goes without after")),
            (after, 0) => Self::parse_after(after),
        }
    }

    fn parse_after(after: &str) -> Result<Self> {
        match after {
            "" | "0" => Ok(Self::Floor),
            "now" => Ok(Self::Last(0)),
            cursor => parse_cursor(cursor).map(Self::After).ok_or_else(|| {
                Error::invalid("after", "must be a cursor (<epoch>.<seq>), 0 or now")
            }),
        }
    }
}

fn parse_cursor(value: &str) -> Option<Cursor> {
    let (epoch, seq) = value.split_once('.')?;
    // `parse` alone would take a sign.
    let number = |digits: &str| {
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<i64>().ok()).flatten()
    };
    Some(Cursor { epoch: number(epoch)?, seq: number(seq)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_what_it_shows() {
        let cursor = Cursor { epoch: 1_763_880_000, seq: 42 };
        assert_eq!(Start::parse(&cursor.to_string(), 0).unwrap(), Start::After(cursor));
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        for bad in [
            "1",
            ".",
            "1.",
            ".1",
            "-1.2",
            "+1.2",
            "1.2.3",
            "a.b",
            "1.99999999999999999999",
            "Now",
            " 0",
        ] {
            let error = Start::parse(bad, 0).unwrap_err();
            assert!(matches!(error, Error::InvalidArgument { field: "after", .. }), "{bad:?}");
        }
    }
}
