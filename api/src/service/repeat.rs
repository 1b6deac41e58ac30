//! What a node does unasked, again and again.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::model::Result;

/// Does a piece of work, for the first time after `first`, then `every` so often, or as soon as the one
/// before it is done when that takes longer. When it fails, `failed` is logged and the next turn comes
/// as ever. Runs for ever.
pub(super) async fn repeat<F>(
    first: Duration,
    every: Duration,
    failed: &'static str,
    work: impl Fn() -> F,
) where
    F: Future<Output = Result<()>>,
{
    let mut turns = interval_at(Instant::now() + first, every);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        if let Err(error) = work().await {
            tracing::warn!(%error, "{failed}");
        }
    }
}
