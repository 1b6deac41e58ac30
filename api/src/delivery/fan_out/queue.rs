//! The groups that wait to be brought up.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use indexmap::IndexSet;

use crate::model::GroupNo;

/// Groups in the order in which they came, each once.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: IndexSet<GroupNo>,
    /// Those that a worker is at: one that is wanted meanwhile waits until it is done.
    under_way: BTreeSet<GroupNo>,
    /// Those that are not to be brought up again before a time.
    resting: BTreeMap<GroupNo, Instant>,
}

/// What there is to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// To bring this group up. It is under way until [`Queue::done`].
    Group(GroupNo),
    /// Nothing before this time, unless another group comes or one that is under way is done.
    Resting(Instant),
    /// Nothing, unless another group comes or one that is under way is done.
    Nothing,
}

impl Queue {
    /// Has a group wait, behind those that do. One that waits already stays where it is.
    pub(super) fn push(&mut self, group_no: GroupNo) {
        self.waiting.insert(group_no);
    }

    /// How many groups wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Takes the first group that nobody is at and that does not rest.
    pub(super) fn take(&mut self, now: Instant) -> Next {
        self.resting.retain(|_, until| *until > now);
        let is_due = |group_no: &GroupNo| {
            !self.under_way.contains(group_no) && !self.resting.contains_key(group_no)
        };
        let due = self.waiting.iter().position(is_due);
        if let Some(group_no) = due.and_then(|at| self.waiting.shift_remove_index(at)) {
            self.under_way.insert(group_no);
            return Next::Group(group_no);
        }
        let wanted = self.resting.iter().filter(|(group_no, _)| self.waiting.contains(*group_no));
        wanted.map(|(_, until)| *until).min().map_or(Next::Nothing, Next::Resting)
    }

    /// A group is under way no longer, and rests until a time.
    pub(super) fn done(&mut self, group_no: GroupNo, rests_until: Instant) {
        self.under_way.remove(&group_no);
        self.resting.insert(group_no, rests_until);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ONE: GroupNo = GroupNo(1);
    const TWO: GroupNo = GroupNo(2);

    #[test]
    fn groups_take_turns_in_the_order_in_which_they_came() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for group_no in [TWO, ONE, TWO] {
            queue.push(group_no);
        }
        let taken = [(); 3].map(|()| queue.take(now));
        assert_eq!(taken, [Next::Group(TWO), Next::Group(ONE), Next::Nothing]);
    }

    #[test]
    fn a_group_is_with_one_worker_at_a_time() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.push(ONE);
        assert_eq!(queue.take(now), Next::Group(ONE));
        queue.push(ONE);
        assert_eq!(queue.take(now), Next::Nothing);
        queue.done(ONE, now);
        assert_eq!(queue.take(now), Next::Group(ONE));
    }

    #[test]
    fn a_group_that_rests_lets_others_pass() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        let later = now + Duration::from_millis(20);
        queue.push(ONE);
        queue.take(now);
        queue.done(ONE, later);
        assert_eq!(queue.take(now), Next::Nothing, "nobody wants it");
        queue.push(ONE);
        assert_eq!(queue.take(now), Next::Resting(later));
        queue.push(TWO);
        assert_eq!(queue.take(now), Next::Group(TWO));
        assert_eq!(queue.take(later), Next::Group(ONE));
    }
}
