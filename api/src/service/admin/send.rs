//! Sending as a user or as the system, from no terminal.

use std::collections::HashMap;

use futures::{StreamExt, stream};
use serde_json::json;

use super::{Actor, Admin};
use crate::{
    delivery::Appending,
    model::{ConversationId, Error, Notice, Result, Role, UserId, UserNo},
    service::{Send, Sent, Service},
    store::Append,
};

/// The most messages in one call of [`Admin::send_batch`].
pub const MOST_SENT: usize = 500;

/// How many messages of a call are checked at a time.
const CHECKED_AT_A_TIME: usize = 16;

/// How many senders an audit record names.
const MOST_NAMED: usize = 20;

/// A message that a backend sends.
#[derive(Debug)]
pub struct SendAs {
    /// Who is to have sent it.
    pub from: Option<Sender>,
    /// The message.
    pub message: Send,
    /// How terminals are to make it known.
    pub notice: Notice,
    /// Whether the sender's own terminals have it.
    pub sender_timeline: bool,
    /// Whether it is stored whatever the recipient or the group wants.
    pub bypass: bool,
}

/// Who is to have sent a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Sender {
    /// A user, by id.
    User(String),
    /// The system, under this name.
    System(String),
}

/// A sender that is there.
pub(in crate::service) type Known = Result<(UserNo, UserId)>;

impl Admin<'_> {
    /// Sends a message as a user or as the system. Returns after the commit (I4). The same
    /// `client_message_id` returns the first result (I7).
    ///
    /// Errors: those of [`crate::service::Service::send`] but the limits; [`Error::UserNotFound`] for the
    /// sender, too.
    pub async fn send(&self, message: SendAs) -> Result<Sent> {
        let mut results = self.send_batch(vec![Ok(message)]).await?;
        results.pop().unwrap_or_else(|| Err(Error::internal("a message has no result")))
    }

    /// Sends messages, 1–500: a result for each, in their order; what could not be read keeps its error.
    /// Messages of one sender are stored in their order; behind one that cannot be stored for now, those of
    /// the same sender are not tried.
    ///
    /// Errors: [`Error::InvalidArgument`] for the number of messages; those of a message are its result.
    pub async fn send_batch(&self, messages: Vec<Result<SendAs>>) -> Result<Vec<Result<Sent>>> {
        self.require(Role::Backend)?;
        if messages.is_empty() || messages.len() > MOST_SENT {
            return Err(Error::invalid("messages", format!("must be 1–{MOST_SENT} messages")));
        }
        let senders = self.senders(&messages).await;
        self.record_bypass(&messages).await?;
        let check = async |message: Result<SendAs>| self.check(&senders, message?).await;
        let checked = stream::iter(messages.into_iter().map(check));
        let checked: Vec<Result<Append>> = checked.buffered(CHECKED_AT_A_TIME).collect().await;
        let mut queued = Vec::with_capacity(checked.len());
        // What keeps those of a sender back that come behind.
        let mut kept_back: HashMap<UserNo, Error> = HashMap::new();
        for append in checked {
            queued.push(append.and_then(|append| self.queue(&mut kept_back, append)));
        }
        let mut results = Vec::with_capacity(queued.len());
        for queued in queued {
            results.push(match queued {
                Ok((appending, conversation_id)) => {
                    let appended = appending.committed().await;
                    appended.map(|appended| Sent::new(&appended, conversation_id))
                }
                Err(error) => Err(error),
            });
        }
        Ok(results)
    }

    /// Queues a message behind those of its sender before it.
    fn queue(
        &self,
        kept_back: &mut HashMap<UserNo, Error>,
        append: Append,
    ) -> Result<(Appending, ConversationId)> {
        let (sender, conversation_id) = (append.sender, append.conversation_id.clone());
        if let Some(error) = kept_back.get(&sender) {
            return Err(error.clone());
        }
        let queued = self.service.delivery.append(append);
        let appending = queued.inspect_err(|error| {
            kept_back.insert(sender, error.clone());
        })?;
        Ok((appending, conversation_id))
    }

    async fn check(&self, senders: &HashMap<Sender, Known>, message: SendAs) -> Result<Append> {
        let from = message.from.as_ref();
        let from = from.ok_or_else(|| Error::invalid("from", "a user or the system is needed"))?;
        let known = match senders.get(from) {
            Some(known) => known.clone()?,
            None => return Err(Error::internal("a sender was not looked up")),
        };
        self.service.read_send_as(known, message).await
    }

    /// Looks up the senders of messages, each once; makes those of the system that are new.
    async fn senders(&self, messages: &[Result<SendAs>]) -> HashMap<Sender, Known> {
        let mut senders = HashMap::new();
        for from in messages.iter().flatten().filter_map(|message| message.from.as_ref()) {
            if !senders.contains_key(from) {
                senders.insert(from.clone(), self.service.sender(&self.actor, from).await);
            }
        }
        senders
    }

    /// Records that messages are sent past what their recipients want.
    async fn record_bypass(&self, messages: &[Result<SendAs>]) -> Result<()> {
        let bypassing = messages.iter().flatten().filter(|message| message.bypass);
        let bypassing: Vec<&SendAs> = bypassing.collect();
        if bypassing.is_empty() {
            return Ok(());
        }
        let mut from: Vec<&str> = Vec::new();
        for message in &bypassing {
            let Some(Sender::User(name) | Sender::System(name)) = &message.from else { continue };
            if from.len() < MOST_NAMED && !from.contains(&name.as_str()) {
                from.push(name);
            }
        }
        let details = json!({ "messages": bypassing.len(), "from": from });
        self.service.store.record(self.audit("send_bypassing", details)).await
    }
}

impl Service {
    /// Looks a sender up; makes one of the system that is new.
    pub(in crate::service) async fn sender(&self, actor: &Actor, from: &Sender) -> Known {
        match from {
            Sender::User(user_id) => {
                let user_id = UserId::parse("from.user_id", user_id)?;
                Ok((self.store.user_no(&user_id).await?, user_id))
            }
            Sender::System(name) => {
                let name = UserId::parse("from.system", name)?;
                let tier = &self.limits.default_tier;
                let audit = actor.audit("create_user", json!({ "tier": tier, "system": true }));
                Ok((self.store.system_sender(&name, tier, audit).await?, name))
            }
        }
    }

    /// Checks a message of a sender who was looked up.
    pub(in crate::service) async fn read_send_as(
        &self,
        (user_no, user_id): (UserNo, UserId),
        message: SendAs,
    ) -> Result<Append> {
        let SendAs { message, notice, sender_timeline, bypass, .. } = message;
        let append = self.read_message(user_no, &user_id, None, message).await?;
        if !sender_timeline && append.conversation == user_no.into() {
            return Err(Error::invalid("sender_timeline", "must be true for a note to oneself"));
        }
        Ok(Append { bypass, notice, sender_timeline, ..append })
    }
}
