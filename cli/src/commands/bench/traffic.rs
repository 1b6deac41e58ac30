//! Who writes to whom.

use std::sync::Arc;

/// Whom a message is for. Users and groups are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    User(usize),
    Group(usize),
}

/// An endless series of senders and whom they write to; the same for the same seed.
#[derive(Debug, Clone)]
pub(super) struct Traffic {
    users: usize,
    hot: bool,
    groups: Groups,
    rng: fastrand::Rng,
}

/// The members of the groups, and how much of the traffic is theirs.
#[derive(Debug, Clone)]
pub(super) struct Groups {
    pub(super) members: Arc<[Vec<usize>]>,
    /// Which share of all messages goes to groups, from 0 to 1.
    pub(super) share: f64,
}

impl Groups {
    /// `count` groups of `size` of the users each. Neighbours share no member while there are users
    /// enough.
    pub(super) fn new(count: usize, size: usize, users: usize, share: f64) -> Self {
        let group =
            |number: usize| (0..size).map(|place| (number * size + place) % users).collect();
        Self { members: (0..count).map(group).collect(), share }
    }
}

impl Traffic {
    /// Traffic between `users` users, two at least; when `hot`, the recipient is always the first of
    /// them.
    pub(super) fn new(users: usize, hot: bool, groups: Groups, seed: u64) -> Self {
        Self { users, hot, groups, rng: fastrand::Rng::with_seed(seed) }
    }

    /// The next sender, and whom it writes to: another user, or a group that it is a member of.
    pub(super) fn next(&mut self) -> (usize, To) {
        let groups = &self.groups.members;
        if !groups.is_empty() && self.rng.f64() < self.groups.share {
            let group = self.rng.usize(..groups.len());
            return (groups[group][self.rng.usize(..groups[group].len())], To::Group(group));
        }
        let (sender, recipient) = self.pair();
        (sender, To::User(recipient))
    }

    /// The next two users, the sender first.
    pub(super) fn pair(&mut self) -> (usize, usize) {
        let recipient = if self.hot { 0 } else { self.rng.usize(..self.users) };
        // Any of the others.
        let sender = self.rng.usize(..self.users - 1);
        (sender + usize::from(sender >= recipient), recipient)
    }

    /// One of the sender's terminals.
    pub(super) fn terminal(&mut self, terminals: usize) -> usize {
        self.rng.usize(..terminals)
    }

    /// Another series of the same kind.
    pub(super) fn fork(&mut self) -> Self {
        Self { rng: self.rng.fork(), groups: self.groups.clone(), ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(users: usize, hot: bool, seed: u64) -> Traffic {
        Traffic::new(users, hot, Groups::new(0, 0, users, 1.0), seed)
    }

    #[test]
    fn nobody_writes_to_oneself_and_everybody_writes_and_reads() {
        let mut traffic = pairs(3, false, 7);
        let mut met = [[false; 3]; 3];
        for _ in 0..1_000 {
            let (sender, To::User(recipient)) = traffic.next() else { panic!("there is no group") };
            met[sender][recipient] = true;
        }
        assert_eq!(met, [[false, true, true], [true, false, true], [true, true, false]]);
    }

    #[test]
    fn a_hot_user_gets_it_all() {
        let mut traffic = pairs(5, true, 7);
        assert!((0..100).map(|_| traffic.pair()).all(|(sender, to)| to == 0 && sender != 0));
    }

    #[test]
    fn only_members_write_to_a_group_and_the_share_holds() {
        let groups = Groups::new(2, 3, 10, 0.25);
        assert_eq!(*groups.members, [vec![0, 1, 2], vec![3, 4, 5]]);
        let mut traffic = Traffic::new(10, false, groups.clone(), 7);
        let to_groups = (0..10_000).map(|_| traffic.next()).filter(|(sender, to)| match to {
            To::Group(group) => {
                assert!(groups.members[*group].contains(sender));
                true
            }
            To::User(_) => false,
        });
        assert!((2_300..2_700).contains(&to_groups.count()));
    }

    #[test]
    fn a_seed_makes_the_same_choices_again() {
        let series = |seed| {
            let mut traffic = pairs(200, false, seed);
            (0..50).map(|_| traffic.next()).collect::<Vec<_>>()
        };
        assert_eq!(series(1), series(1));
        assert_ne!(series(1), series(2));
    }
}
