//! Sends broadcasts: messages to many users at a time. A job, so one node at a time works at all of them, side by side.
//! It sends to a portion of the users and then notes how far it is. A node that dies in between leaves a portion that is
//! sent once more by the next, which each user's `client_message_id` has stored once.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::digest::{Context, SHA256};
use futures::{StreamExt, future::join, stream, stream::FuturesUnordered};
use tokio::time::{Instant, sleep, sleep_until};
use uuid::{Builder, Uuid};

use super::Service;
use crate::{
    model::{
        BroadcastState, Class, ContentHash, ConversationId, ConversationNo, Error, Mentions,
        Result, UserId, UserNo,
    },
    store::{Append, RunningBroadcast},
};

/// How often broadcasts are looked for that are to be sent, while one is.
const LOOK: Duration = Duration::from_secs(1);

/// How many users a portion has at most.
const PORTION: i64 = 1000;

/// How many portions a second there are at least where a rate is set, so that it is even.
const PORTIONS_A_SECOND: i64 = 4;

/// How many messages of a broadcast wait for their commit at a time.
const AT_ONCE: usize = 256;

/// For how long one message is tried that cannot be stored for now.
const RETRY_FOR: Duration = Duration::from_secs(10);

/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// How long it is kept what became of a broadcast.
const KEPT: Duration = Duration::from_hours(90 * 24);

impl Service {
    /// Sends what is to be sent, until there is no more.
    pub(super) async fn send_broadcasts(self: Arc<Self>) -> Result<()> {
        self.store.forget_broadcasts(KEPT).await?;
        let mut under_way = FuturesUnordered::new();
        let mut known = HashSet::new();
        loop {
            for broadcast in self.store.running_broadcasts().await? {
                let broadcast_no = broadcast.broadcast_no;
                if known.insert(broadcast_no) {
                    let sending = self.send_broadcast(broadcast);
                    under_way.push(async move { (broadcast_no, sending.await) });
                }
            }
            if under_way.is_empty() {
                return Ok(());
            }
            tokio::select! {
                Some((broadcast_no, sent)) = under_way.next() => {
                    known.remove(&broadcast_no);
                    if let Err(error) = sent {
                        tracing::warn!(%error, broadcast_no, "a broadcast goes on later");
                        sleep(LOOK).await;
                    }
                }
                () = sleep(LOOK) => {}
            }
        }
    }

    /// Sends a broadcast to those who have not got it, until it is paused or aborted.
    async fn send_broadcast(&self, mut broadcast: RunningBroadcast) -> Result<()> {
        let hash = broadcast.content.hash();
        let began = Instant::now();
        let mut done = 0;
        let portion = match i64::from(broadcast.rate) {
            0 => PORTION,
            rate => (rate / PORTIONS_A_SECOND).clamp(1, PORTION),
        };
        let mut users = self.store.broadcast_users(&broadcast, portion).await?;
        while let Some((last, _)) = users.last() {
            let done_to = *last;
            // The next portion is read meanwhile.
            let behind = RunningBroadcast { done_to, ..broadcast.clone() };
            let sending = self.send_portion(&broadcast, hash, &users);
            let (sent, next) = join(sending, self.store.broadcast_users(&behind, portion)).await;
            let refused = sent?;
            let mut refusals = broadcast.refusals.clone();
            for (code, count) in &refused {
                *refusals.entry((*code).to_owned()).or_default() += count;
            }
            let count = i64::try_from(users.len()).unwrap_or(i64::MAX);
            let refused: i64 = refused.values().sum();
            let sent = count - refused;
            let noted =
                self.store.advance_broadcast(&broadcast, done_to, sent, refused, &refusals).await?;
            if noted != Some(BroadcastState::Running) {
                // It was paused or aborted, or another has done this portion.
                return Ok(());
            }
            broadcast = RunningBroadcast { done_to, refusals, ..broadcast };
            users = next?;
            done += count;
            if broadcast.rate > 0 {
                #[expect(clippy::cast_precision_loss, reason = "so many users there are not")]
                let due = done as f64 / f64::from(broadcast.rate);
                sleep_until(began + Duration::from_secs_f64(due)).await;
            }
        }
        self.store.finish_broadcast(&broadcast).await
    }

    /// Sends a broadcast to these users: how many it was refused for, by the code of the error.
    async fn send_portion(
        &self,
        broadcast: &RunningBroadcast,
        hash: ContentHash,
        users: &[(UserNo, UserId)],
    ) -> Result<BTreeMap<&'static str, i64>> {
        let sends = users.iter().cloned().map(|(user_no, user_id)| {
            let conversation_id = ConversationId::User(user_id);
            self.send_one(Append {
                sender: broadcast.sender,
                sender_id: broadcast.sender_id.clone(),
                session_id: None,
                conversation: ConversationNo(user_no.0),
                conversation_id,
                client_message_id: message_id(broadcast.broadcast_id, user_no),
                content_hash: hash,
                content: broadcast.content.clone(),
                mentions: Mentions::default(),
                if_blocked: self.limits.if_blocked,
                bypass: broadcast.bypass,
                notice: broadcast.notice,
                sender_timeline: true,
                quote: None,
                forward: None,
                attachments: std::sync::Arc::default(),
            })
        });
        let mut sends = stream::iter(sends).buffer_unordered(AT_ONCE);
        let mut refused = BTreeMap::new();
        while let Some(sent) = sends.next().await {
            if let Some(code) = sent? {
                *refused.entry(code).or_default() += 1;
            }
        }
        Ok(refused)
    }

    /// Sends one message, for a while where it cannot be stored for now: the code of the error where it is refused.
    async fn send_one(&self, append: Append) -> Result<Option<&'static str>> {
        let give_up = Instant::now() + RETRY_FOR;
        loop {
            let queued = self.delivery.append(append.clone());
            let stored = match queued {
                Ok(appending) => appending.committed().await,
                Err(error) => Err(error),
            };
            match stored {
                Ok(_) => return Ok(None),
                // It lasts as long as somebody else's work does: the others do not wait for that.
                Err(error @ Error::ImportUnfinished(_)) => return Ok(Some(error.code())),
                Err(error) if !error.is_final() => {
                    if Instant::now() > give_up {
                        // A fault that one recipient meets does not keep the others waiting for ever.
                        let fault = matches!(error.class(), Class::Internal);
                        return if fault { Ok(Some(error.code())) } else { Err(error) };
                    }
                    sleep(PAUSE).await;
                }
                Err(error) => return Ok(Some(error.code())),
            }
        }
    }
}

/// The id that a user has the message of a broadcast under: always the same one.
fn message_id(broadcast_id: Uuid, user_no: UserNo) -> Uuid {
    let mut sha = Context::new(&SHA256);
    sha.update(b"broadcast\0");
    sha.update(broadcast_id.as_bytes());
    sha.update(&user_no.0.to_be_bytes());
    let digest = sha.finish();
    let bytes = std::array::from_fn(|i| digest.as_ref()[i]);
    Builder::from_random_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_of_each_broadcast_has_an_id_of_its_own() {
        let [one, other] = [Uuid::from_u128(1), Uuid::from_u128(2)];
        let ids = [(one, 1), (one, 2), (other, 1), (other, 2)];
        let ids: HashSet<Uuid> = ids.map(|(of, user)| message_id(of, UserNo(user))).into();
        assert_eq!(ids.len(), 4);
        assert!(ids.contains(&message_id(one, UserNo(1))));
        assert!(ids.iter().all(|id| id.get_version_num() == 4));
    }
}
