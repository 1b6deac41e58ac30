//! Badges: how many messages users have not read, kept up with their timelines.
//!
//! To count 500 unread messages takes PostgreSQL about a millisecond, several times all else that a push costs; and who
//! is told often is mostly told of one more. So what was counted is kept for a moment, and taken further by the entries
//! that are read for the push anyway. What does more than add a message has it counted anew.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use moka::sync::Cache;
use parking_lot::Mutex;

use crate::{
    model::{ConversationNo, EntryKind, UserNo},
    store::{NewestUnread, PushClaim},
};

/// Among how many of the newest entries unread messages are counted.
pub(super) const AMONG: i64 = 500;

/// After how long they are counted anew, whatever came: a conversation may be muted no longer, messages may be purged.
const KEPT_FOR: Duration = Duration::from_secs(30);

/// Of how many users they are kept.
const MOST_KEPT: u64 = 4096;

/// What the users who were told a moment ago have not read, by their timelines and the epochs of these.
pub(super) struct Badges(Cache<(UserNo, i64), Arc<Mutex<Unread>>>);

/// What a user has not read.
struct Unread {
    /// Up to which place of the timeline.
    upto: i64,
    /// The messages: their places, in order, and their conversations.
    messages: VecDeque<(i64, ConversationNo)>,
}

/// What an entry does to a badge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// There is one more message to be read in a conversation.
    Unread(ConversationNo),
    /// The user has written to a conversation, and so has read it.
    Answered(ConversationNo),
    /// Nothing.
    Nothing,
    /// What takes a count to know.
    Unknown,
}

impl Step {
    /// What an entry does that is no message.
    pub(super) fn of_event(event: &EntryKind) -> Self {
        match event {
            EntryKind::SessionChanged(_)
            | EntryKind::ReadReceipt(_)
            | EntryKind::MessageEdited(_)
            | EntryKind::ReactionsChanged(_)
            | EntryKind::ProfileChanged(_)
            | EntryKind::DraftChanged(_) => Self::Nothing,
            _ => Self::Unknown,
        }
    }
}

impl Default for Badges {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MOST_KEPT).time_to_live(KEPT_FOR).build())
    }
}

impl Badges {
    /// The badge of the claim's user behind the `steps`, by the places of their entries, which are all from `first` on;
    /// `None` where it must be counted.
    pub(super) fn follow(
        &self,
        claim: &PushClaim,
        first: i64,
        steps: &[(i64, Step)],
    ) -> Option<usize> {
        let unread = self.0.get(&(claim.user_no, claim.epoch))?;
        let mut unread = unread.lock();
        unread.follow(first, steps).then(|| unread.messages.len())
    }

    /// Keeps what was counted for a claim.
    pub(super) fn keep(&self, claim: &PushClaim, counted: NewestUnread) {
        let NewestUnread { upto, messages } = counted;
        let unread = Unread { upto, messages: messages.into() };
        self.0.insert((claim.user_no, claim.epoch), Arc::new(Mutex::new(unread)));
    }
}

impl Unread {
    /// Whether the steps could be followed; where not, nothing has changed.
    fn follow(&mut self, first: i64, steps: &[(i64, Step)]) -> bool {
        let new = &steps[steps.partition_point(|(seq, _)| *seq <= self.upto)..];
        if first > self.upto + 1 || new.iter().any(|(_, step)| *step == Step::Unknown) {
            return false;
        }
        for (seq, step) in new {
            match step {
                Step::Unread(conversation) => self.messages.push_back((*seq, *conversation)),
                Step::Answered(conversation) => self.messages.retain(|(_, of)| of != conversation),
                Step::Nothing | Step::Unknown => {}
            }
            self.upto = *seq;
        }
        let counted = self.messages.partition_point(|(seq, _)| *seq <= self.upto - AMONG);
        self.messages.drain(..counted);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: ConversationNo = ConversationNo(7);
    const BOB: ConversationNo = ConversationNo(8);

    fn places(unread: &Unread) -> Vec<i64> {
        unread.messages.iter().map(|(seq, _)| *seq).collect()
    }

    #[test]
    fn messages_add_to_a_badge_once_and_an_answer_takes_those_of_its_conversation_away() {
        let mut unread = Unread { upto: 10, messages: VecDeque::from([(9, ANN), (10, BOB)]) };
        let steps = [(10, Step::Unread(BOB)), (11, Step::Unread(ANN)), (12, Step::Nothing)];
        assert!(unread.follow(10, &steps));
        assert_eq!((places(&unread), unread.upto), (vec![9, 10, 11], 12));
        assert!(unread.follow(10, &steps), "another terminal of the user");
        assert_eq!((places(&unread), unread.upto), (vec![9, 10, 11], 12));
        assert!(unread.follow(13, &[(13, Step::Answered(ANN)), (14, Step::Unread(ANN))]));
        assert_eq!(places(&unread), [10, 14]);
    }

    #[test]
    fn what_is_not_known_to_add_up_has_the_badge_counted() {
        let mut unread = Unread { upto: 10, messages: VecDeque::from([(9, ANN)]) };
        assert!(!unread.follow(12, &[(12, Step::Unread(ANN))]), "11 is missing");
        assert!(!unread.follow(11, &[(11, Step::Unread(ANN)), (12, Step::Unknown)]));
        assert_eq!((places(&unread), unread.upto), (vec![9], 10), "as it was");
        assert!(unread.follow(9, &[(9, Step::Unknown)]), "counted already");
    }

    #[test]
    fn a_badge_counts_among_the_newest_entries() {
        let mut unread = Unread { upto: 2, messages: VecDeque::from([(1, ANN), (2, ANN)]) };
        let steps: Vec<_> = (3..=AMONG + 1).map(|seq| (seq, Step::Nothing)).collect();
        assert!(unread.follow(3, &steps));
        assert_eq!(places(&unread), [2]);
    }
}
