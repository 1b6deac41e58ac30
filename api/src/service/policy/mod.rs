//! The policy hook: a server of the customer's is asked before what a user writes is stored, and says whether it may be,
//! or what is to be stored instead.
//!
//! It is asked once what imd itself checks has passed, in the call of the sender, so that a hook that hangs holds up
//! that sender alone; and before the message is queued, so that a batch that is run again asks nobody again. What
//! happens when the hook does not answer is a setting. While it fails all the time it is not asked, so that senders need
//! not wait for what does not come.

mod http;

use std::{
    fmt::Debug,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use metrics::{counter, histogram};
use parking_lot::Mutex;
use serde::{Serialize, Serializer};
use tokio::{sync::Semaphore, time::timeout};
use uuid::Uuid;

pub use self::http::HttpPolicy;
use super::{SendContent, Service, access::Identity};
use crate::{
    model::{
        Attachment, ClientAddress, Content, ConversationId, Error, GroupId, Mentions, PolicyKind,
        PolicyOnFailure, Result, SealedMessageId, Terminal, UserId,
    },
    store::{Append, NewEdit, SignalCheck},
    telemetry,
};

/// After how many failures in a row the hook is not asked for a while.
const MOST_FAILURES: u32 = 5;

/// For how long.
const REST: Duration = Duration::from_secs(5);

/// How many requests a node makes at a time; the rest wait, within their time.
const AT_ONCE: usize = 512;

/// The largest answer that is read, in bytes, beside the content in it.
const LARGEST_ANSWER: usize = 16 * 1024;

/// The longest text and code of a refusal, in characters.
const MAX_TEXT_LENGTH: usize = 500;
const MAX_CODE_LENGTH: usize = 64;

/// A way to the hook.
#[async_trait]
pub trait PolicyHook: Debug + Send + Sync {
    /// Asks it. The content of its answer has at most `largest` bytes.
    ///
    /// Errors: why it has no answer that can be used.
    async fn ask(&self, question: &PolicyQuestion, largest: usize)
    -> Result<PolicyVerdict, String>;
}

/// How the hook is set up.
#[derive(Debug, Clone)]
pub struct PolicySettings {
    /// The way to it; `None` for no hook.
    pub hook: Option<Arc<dyn PolicyHook>>,
    /// How long it may take to answer.
    pub timeout: Duration,
    /// What becomes of what it does not answer for.
    pub on_failure: PolicyOnFailure,
    /// What it is asked for.
    pub kinds: Vec<PolicyKind>,
}

/// The hook of a node.
pub(super) struct Policy {
    settings: PolicySettings,
    breaker: Mutex<Breaker>,
    free: Semaphore,
}

/// Whether the hook is worth a request.
#[derive(Debug, Default)]
struct Breaker {
    /// In a row.
    failures: u32,
    /// When to ask it again.
    rests_until: Option<Instant>,
}

impl Breaker {
    /// Whether it may be asked. While it rests, one request after each time of [`REST`] finds out whether it is back.
    fn lets_through(&mut self, now: Instant) -> bool {
        match self.rests_until {
            Some(until) if now < until => false,
            Some(_) => {
                self.rests_until = Some(now + REST);
                true
            }
            None => true,
        }
    }

    fn note(&mut self, answered: bool, now: Instant) {
        if answered {
            *self = Self::default();
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= MOST_FAILURES {
            self.rests_until = Some(now + REST);
        }
    }
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Written {
    /// A message.
    Message,
    /// An edit of one.
    Edit,
}

/// What the hook is asked: in JSON as it stands here, without what is absent.
#[derive(Debug, Serialize)]
pub struct PolicyQuestion {
    /// What is written.
    pub kind: Written,
    /// Who writes.
    pub sender_id: UserId,
    /// From which session.
    pub session_id: Uuid,
    /// What the session was opened on; absent where it has ended meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminal: Option<Terminal>,
    /// From where the call comes, as a proxy that is trusted says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Of a message to a user: to whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient_id: Option<UserId>,
    /// Of a message to a group: to which.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_id: Option<GroupId>,
    /// Of a message: the id that its sender gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_message_id: Option<Uuid>,
    /// Of an edit: the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<SealedMessageId>,
    /// What it says.
    #[serde(flatten)]
    pub content: PolicyContent,
    /// Whom it mentions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<UserId>,
    /// Whether it mentions everybody.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mention_all: bool,
    /// Its attachments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// The message that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<PolicyQuote>,
}

/// What a message says, for the hook.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum PolicyContent {
    /// A text.
    Text {
        /// The text.
        text: String,
    },
    /// Anything else.
    Data {
        /// Its media type.
        content_type: String,
        /// The bytes; base64 in JSON.
        #[serde(serialize_with = "in_base64")]
        data: Bytes,
    },
}

/// A message that another one answers.
#[derive(Debug, Serialize)]
pub struct PolicyQuote {
    /// Its id.
    pub message_id: SealedMessageId,
    /// Who sent it.
    pub sender_id: UserId,
}

/// What the hook answers.
#[derive(Debug)]
pub enum PolicyVerdict {
    /// It is stored as it is.
    Allow,
    /// It is not stored.
    Refuse {
        /// Why, for programs.
        code: String,
        /// Why, for people.
        text: String,
    },
    /// This is stored instead.
    Rewrite(SendContent),
}

impl PolicyVerdict {
    /// As metrics name it.
    fn name(&self) -> &'static str {
        match self {
            Self::Allow => "allowed",
            Self::Refuse { .. } => "refused",
            Self::Rewrite(_) => "rewritten",
        }
    }
}

impl Policy {
    pub(super) fn new(settings: PolicySettings) -> Self {
        Self { settings, breaker: Mutex::default(), free: Semaphore::new(AT_ONCE) }
    }

    fn is_asked_for(&self, kind: PolicyKind) -> bool {
        self.settings.hook.is_some() && self.settings.kinds.contains(&kind)
    }

    /// Asks the hook; `None` when it has no answer that can be used.
    async fn ask(&self, question: &PolicyQuestion, largest: usize) -> Option<PolicyVerdict> {
        let began = Instant::now();
        if !self.breaker.lock().lets_through(began) {
            counter!(telemetry::POLICY_REQUESTS, "result" => "skipped").increment(1);
            return None;
        }
        let asked = timeout(self.settings.timeout, self.request(question, largest)).await;
        let verdict = match asked {
            Ok(Ok(verdict)) => Some(verdict),
            Ok(Err(why)) => {
                tracing::warn!(why, "the policy hook gave no answer that can be used");
                None
            }
            Err(_) => {
                tracing::warn!("the policy hook did not answer in time");
                None
            }
        };
        self.breaker.lock().note(verdict.is_some(), Instant::now());
        histogram!(telemetry::POLICY_SECONDS).record(began.elapsed());
        let result = verdict.as_ref().map_or("failed", PolicyVerdict::name);
        counter!(telemetry::POLICY_REQUESTS, "result" => result).increment(1);
        verdict
    }

    #[tracing::instrument(target = "imd::trace", level = "info", name = "policy", skip_all, fields(otel.kind = "client"))]
    async fn request(
        &self,
        question: &PolicyQuestion,
        largest: usize,
    ) -> Result<PolicyVerdict, String> {
        let Some(hook) = &self.settings.hook else { return Ok(PolicyVerdict::Allow) };
        let _permit = self.free.acquire().await.map_err(|error| error.to_string())?;
        hook.ask(question, largest).await
    }
}

impl Service {
    /// Asks the hook about a message of a user's: the message as it is to be stored. The hash stays that of what the
    /// sender sent, so that the same message is known when it is sent again.
    ///
    /// Errors: [`Error::PolicyRefused`]; [`Error::Unavailable`] where what the hook does not answer for is refused; and,
    /// where the hook is asked, those of a message to the recipient or the group.
    pub(super) async fn apply_policy(
        &self,
        caller: &Identity,
        address: Option<ClientAddress>,
        append: Append,
    ) -> Result<Append> {
        let kind = match append.conversation_id {
            ConversationId::User(_) => PolicyKind::User,
            ConversationId::Group(_) => PolicyKind::Group,
        };
        if !self.policy.is_asked_for(kind) {
            return Ok(append);
        }
        // What is sent again was asked for, whatever the hook would say now.
        if self.store.was_sent(append.sender, append.client_message_id).await? {
            return Ok(append);
        }
        let check = SignalCheck {
            sender: append.sender,
            session_id: caller.session_id,
            to: append.conversation,
            to_id: append.conversation_id.clone(),
            if_blocked: append.if_blocked,
        };
        self.may_write(&check).await?;
        let (recipient_id, group_id) = match append.conversation_id.clone() {
            ConversationId::User(user_id) => (Some(user_id), None),
            ConversationId::Group(group_id) => (None, Some(group_id)),
        };
        let quoted = append.quote.as_ref().and_then(|quote| quote.own.quoted.as_ref());
        let question = PolicyQuestion {
            recipient_id,
            group_id,
            client_message_id: Some(append.client_message_id),
            attachments: append.attachments.to_vec(),
            reply_to: quoted.map(|quoted| PolicyQuote {
                message_id: quoted.message_id,
                sender_id: quoted.sender.clone(),
            }),
            ..self
                .question(caller, address, Written::Message, &append.content, &append.mentions)
                .await?
        };
        match self.ask_policy(&question).await? {
            Some(content) => Ok(Append { content, ..append }),
            None => Ok(append),
        }
    }

    /// The same for an edit.
    pub(super) async fn apply_policy_to_edit(
        &self,
        caller: &Identity,
        address: Option<ClientAddress>,
        edit: NewEdit,
    ) -> Result<NewEdit> {
        if !self.policy.is_asked_for(PolicyKind::Edit)
            || self.store.was_edited(edit.message_id, edit.client_edit_id).await?
        {
            return Ok(edit);
        }
        self.check_session(caller).await?;
        let sealed = self.store.message_id_cipher().await?.seal(edit.message_id)?;
        let question = PolicyQuestion {
            message_id: Some(sealed),
            ..self.question(caller, address, Written::Edit, &edit.content, &edit.mentions).await?
        };
        match self.ask_policy(&question).await? {
            Some(content) => Ok(NewEdit { content, ..edit }),
            None => Ok(edit),
        }
    }

    /// Whether the sender may write there, as far as can be told without a lock.
    async fn may_write(&self, check: &SignalCheck) -> Result<()> {
        let from = self.limits.settings.messages_from;
        let mut verdicts = self.store.check_signals(&[check], from).await?;
        verdicts.pop().unwrap_or_else(|| Err(Error::internal("a check has no verdict")))?;
        Ok(())
    }

    /// What is asked about all that is written.
    async fn question(
        &self,
        caller: &Identity,
        address: Option<ClientAddress>,
        kind: Written,
        content: &Content,
        mentions: &Mentions,
    ) -> Result<PolicyQuestion> {
        let terminal = self.store.terminal_of(caller.user_no, caller.session_id).await?;
        Ok(PolicyQuestion {
            kind,
            sender_id: caller.user_id.clone(),
            session_id: caller.session_id.0,
            terminal,
            address: address.map(|address| address.0),
            recipient_id: None,
            group_id: None,
            client_message_id: None,
            message_id: None,
            content: said(content),
            mentions: mentions.user_ids(),
            mention_all: mentions.all,
            attachments: Vec::new(),
            reply_to: None,
        })
    }

    /// What is to be stored instead; `None` where that is what was sent.
    async fn ask_policy(&self, question: &PolicyQuestion) -> Result<Option<Content>> {
        let largest = self.limits.max_body_bytes + LARGEST_ANSWER;
        match self.policy.ask(question, largest).await {
            Some(PolicyVerdict::Allow) => Ok(None),
            Some(PolicyVerdict::Refuse { code, text }) => Err(Error::PolicyRefused {
                code: short(&code, MAX_CODE_LENGTH),
                text: short(&text, MAX_TEXT_LENGTH),
            }),
            Some(PolicyVerdict::Rewrite(content)) => match self.content(Some(content)) {
                Ok(content) => Ok(Some(content)),
                Err(error) => {
                    tracing::warn!(%error, "the policy hook wants something stored that cannot be");
                    self.without_verdict()
                }
            },
            None => self.without_verdict(),
        }
    }

    fn without_verdict(&self) -> Result<Option<Content>> {
        match self.policy.settings.on_failure {
            PolicyOnFailure::Allow => Ok(None),
            PolicyOnFailure::Refuse => Err(Error::PolicyUnanswered),
        }
    }
}

/// What a message says, for the hook.
fn said(content: &Content) -> PolicyContent {
    let data = content.body().clone();
    match content.content_type() {
        None => PolicyContent::Text { text: String::from_utf8_lossy(&data).into_owned() },
        Some(content_type) => PolicyContent::Data { content_type: content_type.to_owned(), data },
    }
}

fn in_base64<S: Serializer>(data: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64_STANDARD.encode(data))
}

fn short(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_that_fails_again_and_again_rests_and_is_tried_by_one() {
        let mut breaker = Breaker::default();
        let now = Instant::now();
        for _ in 0..MOST_FAILURES {
            assert!(breaker.lets_through(now));
            breaker.note(false, now);
        }
        assert!(!breaker.lets_through(now));
        let later = now + REST;
        assert!(breaker.lets_through(later) && !breaker.lets_through(later));
        breaker.note(false, later);
        assert!(!breaker.lets_through(later));
        let back = later + REST;
        assert!(breaker.lets_through(back));
        breaker.note(true, back);
        assert!(breaker.lets_through(back) && breaker.lets_through(back));
    }
}
