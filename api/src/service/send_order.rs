//! The order of the messages of one connection: they are stored as they came, though the checks of one
//! may take longer than those of the next.

use tokio::sync::oneshot;

/// Hands out tickets in the order in which the messages of a connection come.
#[derive(Debug, Default)]
pub struct SendOrder {
    /// Closed when the message in front of the next one has its place.
    last: Option<oneshot::Receiver<()>>,
}

impl SendOrder {
    /// The place behind all the tickets handed out before.
    pub fn ticket(&mut self) -> Ticket {
        let (placed, next) = oneshot::channel();
        Ticket { before: self.last.replace(next), _placed: placed }
    }
}

/// The place of a message among those of its connection. Dropping it lets the next one go ahead.
#[derive(Debug)]
pub struct Ticket {
    before: Option<oneshot::Receiver<()>>,
    /// Closes the channel that the next ticket waits for.
    _placed: oneshot::Sender<()>,
}

impl Ticket {
    /// Waits until every message in front of this one is in the queue of its lane, or was refused.
    pub(super) async fn turn(&mut self) {
        if let Some(before) = self.before.take() {
            // Closed, never sent to.
            let _ = before.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use futures::poll;

    use super::*;

    #[tokio::test]
    async fn a_ticket_waits_for_all_in_front_of_it() {
        let mut order = SendOrder::default();
        let (mut one, mut two, mut three) = (order.ticket(), order.ticket(), order.ticket());
        one.turn().await;
        let mut third = Box::pin(three.turn());
        assert_eq!(poll!(&mut third), Poll::Pending);
        {
            let mut second = Box::pin(two.turn());
            assert_eq!(poll!(&mut second), Poll::Pending);
            drop(one);
            assert_eq!(poll!(&mut second), Poll::Ready(()));
        }
        assert_eq!(poll!(&mut third), Poll::Pending);
        drop(two);
        assert_eq!(poll!(&mut third), Poll::Ready(()));
    }
}
