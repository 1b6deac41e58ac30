//! Who writes to whom.

/// An endless series of (sender, recipient), two different users each; the same for the same seed.
#[derive(Debug, Clone)]
pub(super) struct Pairs {
    users: usize,
    hot: bool,
    rng: fastrand::Rng,
}

impl Pairs {
    /// Pairs of `users` users, two at least; when `hot`, the recipient is always the first of them.
    pub(super) fn new(users: usize, hot: bool, seed: u64) -> Self {
        Self { users, hot, rng: fastrand::Rng::with_seed(seed) }
    }

    /// The next pair.
    pub(super) fn next(&mut self) -> (usize, usize) {
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
        Self { rng: self.rng.fork(), ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_writes_to_oneself_and_everybody_writes_and_reads() {
        let mut pairs = Pairs::new(3, false, 7);
        let mut met = [[false; 3]; 3];
        for _ in 0..1_000 {
            let (sender, recipient) = pairs.next();
            met[sender][recipient] = true;
        }
        assert_eq!(met, [[false, true, true], [true, false, true], [true, true, false]]);
    }

    #[test]
    fn a_hot_user_gets_it_all() {
        let mut pairs = Pairs::new(5, true, 7);
        assert!((0..100).map(|_| pairs.next()).all(|(sender, to)| to == 0 && sender != 0));
    }

    #[test]
    fn a_seed_makes_the_same_choices_again() {
        let series = |seed| {
            let mut pairs = Pairs::new(200, false, seed);
            (0..50).map(|_| pairs.next()).collect::<Vec<_>>()
        };
        assert_eq!(series(1), series(1));
        assert_ne!(series(1), series(2));
    }
}
