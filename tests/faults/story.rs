//! What came of a load.

use std::{
    fmt::{Display, Formatter, Result},
    time::Duration,
};

/// The counts, and the judgement.
#[derive(Debug, Default)]
pub(crate) struct Story {
    pub(crate) sent: u64,
    /// Messages sent again because nobody answered.
    pub(crate) resent: u64,
    /// The longest that an acknowledgement took.
    pub(crate) slowest: Duration,
    /// The longest time in which nobody got an acknowledgement.
    pub(crate) silence: Duration,
    pub(crate) delivered: u64,
    pub(crate) reconnects: u64,
    /// Entries that came to a terminal that had them.
    pub(crate) repeated: u64,
    /// What is not as it must be, in words.
    pub(crate) wrong: Vec<String>,
}

impl Display for Story {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self { sent, resent, slowest, silence, delivered, reconnects, repeated, wrong } = self;
        write!(
            f,
            "{sent} messages acknowledged, {resent} resent, the slowest after {slowest:.1?}, none in {silence:.1?}; \
             {delivered} entries delivered, {repeated} of them again, {reconnects} reconnects; \
             {} violations",
            wrong.len()
        )
    }
}

impl Story {
    /// Panics unless every message was acknowledged, and stands, and came to every terminal, once.
    #[track_caller]
    pub(crate) fn assert_sound(&self) {
        let some: Vec<_> = self.wrong.iter().take(20).collect();
        assert!(some.is_empty() && self.repeated == 0, "{self}: {some:#?}");
    }

    /// Panics if nobody got an acknowledgement for so long, or longer.
    #[track_caller]
    pub(crate) fn assert_silence_below(&self, bound: Duration) {
        assert!(self.silence < bound, "{self}");
    }
}
