//! Watching from the admin listener what nodes tell over NOTIFY, for as long as somebody does.

use std::{io, time::Duration};

use futures::future::OptionFuture;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep_until};

use crate::{
    delivery::Delivery,
    model::{Error, Result},
    store::Listener,
};

/// When to end, where somebody watches for so many seconds; `None` for 0, which is for as long as there is somebody.
pub(super) fn until(seconds: i32) -> Result<Option<Instant>> {
    let seconds = u64::try_from(seconds);
    let seconds = seconds.map_err(|_| Error::invalid("seconds", "must not be negative"))?;
    Ok((seconds > 0).then(|| Instant::now() + Duration::from_secs(seconds)))
}

/// What is told on a channel from now on.
pub(super) struct Tail {
    delivery: Delivery,
    listener: Listener,
    until: Option<Instant>,
}

impl Tail {
    pub(super) fn new(delivery: Delivery, listener: Listener, until: Option<Instant>) -> Self {
        Self { delivery, listener, until }
    }

    /// What is told next; `None` when the time is over. Safe to cancel.
    ///
    /// Errors: [`Error::ShuttingDown`]; [`Error::Unavailable`] when the connection that listens has ended.
    pub(super) async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        let end = OptionFuture::from(self.until.map(sleep_until));
        tokio::select! {
            heard = self.listener.next() => {
                let payload = heard.ok_or_else(|| {
                    Error::unavailable(io::Error::other("the connection that listens has ended"))
                })?;
                serde_json::from_str(&payload).map(Some).map_err(Error::internal)
            }
            Some(()) = end => Ok(None),
            () = self.delivery.draining() => Err(Error::ShuttingDown),
        }
    }
}
