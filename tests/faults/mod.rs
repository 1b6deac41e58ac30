//! What may break, breaks: connections, databases, buses and nodes. What was acknowledged stands, every
//! terminal gets it once and in order, and nothing waits for more than seconds.
//!
//! `buses` has the tests that both buses must pass, `append` what can go wrong with a batch, `drain` the
//! stop of a node, `panics` tasks that panic, `chaos` faults under load, `machine` the same for what a machine runs out of, and `planted` the bugs that show that the judge of those
//! loads, `imd_client::history`, is not blind. `versions` replaces the nodes of one version by those of the next.
//!
//! The faults under load take seconds each, once. `IMD_CHAOS_SECONDS` makes each of these tests go on
//! with its fault for so long, and `IMD_CHAOS_SEED` draws another run:
//!
//! ```text
//! IMD_CHAOS_SECONDS=300 cargo test -p imd-tests --test it -- faults::chaos faults::machine --test-threads 1 --nocapture
//! ```
//!
//! They need `nats-server`, of the Debian package of that name.

mod append;
mod buses;
mod changes;
mod chaos;
mod drain;
mod follower;
mod groups;
pub(crate) mod held;
pub(crate) mod load;
mod machine;
mod node;
mod panics;
mod planted;
mod process_node;
pub(crate) mod proxy;
pub(crate) mod story;
mod versions;

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Asks again and again, for `patience` at most.
pub(crate) async fn until<T>(
    what: &str,
    patience: Duration,
    mut ask: impl AsyncFnMut() -> Option<T>,
) -> T {
    let give_up = Instant::now() + patience;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < give_up, "{what}: not within {patience:?}");
        sleep(Duration::from_millis(20)).await;
    }
}
