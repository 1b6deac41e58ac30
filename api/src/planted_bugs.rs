//! Bugs that tests plant, to see that the faults they cause are noticed and survived.
//!
//! The feature `planted-bugs` has them; the tests enable it, and an optimised build refuses it. Without
//! it [`PlantedBugs`] is a value that has no bug and costs nothing, so that the code that asks for bugs
//! is the same in both.

#[cfg(all(feature = "planted-bugs", not(debug_assertions)))]
compile_error!(
    "the feature planted-bugs is for the tests; build releases with `-p imd -p imctl`, not `--workspace`"
);

#[cfg(not(feature = "planted-bugs"))]
pub use self::none::PlantedBugs;
#[cfg(feature = "planted-bugs")]
pub use self::planted::{PlantedBugs, PlantedPanics};

#[cfg(not(feature = "planted-bugs"))]
mod none {
    use std::future::{Future, pending};

    /// No bugs.
    #[derive(Debug, Clone, Default)]
    pub struct PlantedBugs(());

    // As many methods as there are bugs, and none of them has anything to look at.
    #[allow(clippy::unused_self)]
    impl PlantedBugs {
        pub(crate) fn of_environment() -> Self {
            Self(())
        }

        pub(crate) fn lose_hints(&self) -> bool {
            false
        }

        pub(crate) fn never_sweep(&self) -> bool {
            false
        }

        pub(crate) fn pass(&self, _point: &str) {}

        pub(crate) fn panic_in(&self, _task: &str) -> impl Future<Output = ()> + Send {
            pending()
        }
    }
}

#[cfg(feature = "planted-bugs")]
mod planted {
    use std::{collections::HashMap, sync::Arc};

    use parking_lot::Mutex;
    use tokio::sync::Notify;

    /// What is wrong with a node. By default nothing is.
    #[derive(Debug, Clone, Default)]
    pub struct PlantedBugs {
        /// Hints are numbered and then lost.
        pub lose_hints: bool,
        /// Nothing makes up for lost hints.
        pub never_sweep: bool,
        /// Seqs are given out in a transaction of their own, before that of the entries.
        pub count_outside_transaction: bool,
        /// Panics to come.
        pub panics: PlantedPanics,
    }

    /// Panics to come, by the name of a task or of a point in its code. Cheap to clone: a test keeps one
    /// to plant panics while the node runs.
    #[derive(Debug, Clone, Default)]
    pub struct PlantedPanics(Arc<Planted>);

    #[derive(Debug, Default)]
    struct Planted {
        by_place: Mutex<HashMap<String, u32>>,
        added: Notify,
    }

    impl PlantedPanics {
        /// Has a task, or the next that passes a point, panic `times` times: a task where it waits, a
        /// point where it stands.
        pub fn plant(&self, place: &str, times: u32) {
            *self.0.by_place.lock().entry(place.to_owned()).or_default() += times;
            self.0.added.notify_waiters();
        }

        /// How many panics have not come yet.
        #[must_use]
        pub fn left(&self) -> u32 {
            self.0.by_place.lock().values().sum()
        }

        fn take(&self, place: &str) {
            let mut by_place = self.0.by_place.lock();
            let Some(times) = by_place.get_mut(place).filter(|times| **times > 0) else { return };
            *times -= 1;
            drop(by_place);
            panic!("planted in {place}");
        }
    }

    impl PlantedBugs {
        /// The panics that the variable `PLANTED_PANICS` asks for, as `heartbeat=2,fetcher=1`: for tests
        /// that start imd as a process.
        pub(crate) fn of_environment() -> Self {
            let bugs = Self::default();
            let asked = std::env::var("PLANTED_PANICS").unwrap_or_default();
            for (place, times) in asked.split(',').filter_map(|panics| panics.split_once('=')) {
                bugs.panics.plant(place, times.parse().expect("PLANTED_PANICS has numbers"));
            }
            bugs
        }

        pub(crate) fn lose_hints(&self) -> bool {
            self.lose_hints
        }

        pub(crate) fn never_sweep(&self) -> bool {
            self.never_sweep
        }

        /// Panics if that is planted at this point.
        pub(crate) fn pass(&self, point: &str) {
            self.panics.take(point);
        }

        /// Panics as soon as that is planted in this task; never returns.
        pub(crate) async fn panic_in(&self, task: &str) {
            loop {
                let added = self.panics.0.added.notified();
                tokio::pin!(added);
                added.as_mut().enable();
                self.panics.take(task);
                added.await;
            }
        }
    }
}
