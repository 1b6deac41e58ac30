//! The number of a message in its body.

use super::SendNo;

/// Makes bodies that carry the number of their send, and reads it there. The rest of a body is filled
/// up to its size, and checked too: a body that was altered has no mark.
#[derive(Debug, Clone)]
pub struct Marks {
    run: String,
    filler: String,
}

impl Marks {
    /// The smallest body, in bytes.
    pub const SMALLEST: usize = 16;

    /// Marks of a run, which `run` tells from other runs on the same timelines. Bodies have `size`
    /// bytes, [`Marks::SMALLEST`] at least.
    #[must_use]
    pub fn new(run: u32, size: usize) -> Self {
        let filler = ".".repeat(size.saturating_sub(Self::SMALLEST));
        Self { run: format!("{run:08x}"), filler }
    }

    /// The body of a message.
    #[must_use]
    pub fn body(&self, send: SendNo) -> String {
        format!("{}{:08x}{}", self.run, send.0, self.filler)
    }

    /// Which message this is the body of; none when it is of no message of this run.
    #[must_use]
    pub fn read(&self, body: &str) -> Option<SendNo> {
        let number = body.strip_prefix(&self.run)?.strip_suffix(&self.filler)?;
        if number.len() != 8 {
            return None;
        }
        u32::from_str_radix(number, 16).ok().map(SendNo)
    }
}
