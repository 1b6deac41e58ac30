//! The policy hook: a server of the customer's is asked before what a user writes is stored, and says whether it may be,
//! or what is to be stored instead.
//!
//! It is asked once what imd itself checks has passed, in the call of the sender, so that a hook that hangs holds up
//! that sender alone; and before the message is queued, so that a batch that is run again asks nobody again. What
//! happens when the hook does not answer is a setting. While it fails all the time it is not asked, so that senders need
//! not wait for what does not come.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_STANDARD};
use metrics::{counter, histogram};
use parking_lot::Mutex;
use reqwest::{Client, Response};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::{sync::Semaphore, time::timeout};
use uuid::Uuid;

use super::{SendContent, Service, access::Identity, webhook_signature};
use crate::{
    model::{
        ClientAddress, Content, ConversationId, Error, Mentions, PolicyKind, PolicyOnFailure,
        Result, Terminal,
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

/// How the hook is set up.
#[derive(Debug, Clone)]
pub struct PolicySettings {
    /// Where it is; `None` for no hook.
    pub url: Option<String>,
    /// What requests are signed with; `None` for requests without a signature.
    pub key: Option<SecretString>,
    /// How long it may take to answer.
    pub timeout: Duration,
    /// What becomes of what it does not answer for.
    pub on_failure: PolicyOnFailure,
    /// What it is asked for.
    pub kinds: Vec<PolicyKind>,
    /// What makes the requests.
    pub http: Client,
}

/// The hook of a node.
pub(super) struct Policy {
    settings: PolicySettings,
    key: Option<hmac::Key>,
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

/// What the hook is asked.
#[derive(Serialize)]
struct Question<'a> {
    kind: &'static str,
    sender_id: &'a str,
    session_id: Uuid,
    /// What the session was opened on; absent where it has ended meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    terminal: Option<Terminal>,
    /// From where the call comes, as a proxy that is trusted says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    #[serde(flatten)]
    message: Map<String, Value>,
}

/// What it answers.
#[derive(Debug, Deserialize)]
struct Verdict {
    action: Action,
    #[serde(default)]
    code: String,
    #[serde(default)]
    text: Option<String>,
    content_type: Option<String>,
    data: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Allow,
    Refuse,
    Rewrite,
}

impl Policy {
    pub(super) fn new(settings: PolicySettings) -> Self {
        let key = settings.key.as_ref();
        let key = key.map(|key| webhook_signature::key(key.expose_secret().as_bytes()));
        Self { settings, key, breaker: Mutex::default(), free: Semaphore::new(AT_ONCE) }
    }

    fn is_asked_for(&self, kind: PolicyKind) -> bool {
        self.settings.url.is_some() && self.settings.kinds.contains(&kind)
    }

    /// Asks the hook; `None` when it has no answer that can be used.
    async fn ask(&self, question: &Question<'_>, largest: usize) -> Option<Verdict> {
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
        let result = match verdict.as_ref().map(|verdict| &verdict.action) {
            Some(Action::Allow) => "allowed",
            Some(Action::Refuse) => "refused",
            Some(Action::Rewrite) => "rewritten",
            None => "failed",
        };
        counter!(telemetry::POLICY_REQUESTS, "result" => result).increment(1);
        verdict
    }

    async fn request(&self, question: &Question<'_>, largest: usize) -> Result<Verdict, String> {
        let _permit = self.free.acquire().await.map_err(|error| error.to_string())?;
        let url = self.settings.url.as_deref().unwrap_or_default();
        let body = serde_json::to_vec(question).map_err(|error| error.to_string())?;
        let id = format!("msg_{}", Uuid::now_v7());
        let request = self.settings.http.post(url);
        let request = webhook_signature::sign(request, self.key.as_slice(), &id, body);
        let answer = request.send().await.map_err(|error| error.to_string())?;
        if !answer.status().is_success() {
            return Err(format!("answered {}", answer.status()));
        }
        let body = read(answer, largest).await?;
        serde_json::from_slice(&body).map_err(|error| error.to_string())
    }
}

/// Reads an answer of at most so many bytes.
async fn read(mut answer: Response, largest: usize) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| error.to_string())? {
        body.extend_from_slice(&chunk);
        if body.len() > largest {
            return Err(format!("answered more than {largest} bytes"));
        }
    }
    Ok(body)
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
        let mut message = said(&append.content, &append.mentions);
        match &append.conversation_id {
            ConversationId::User(user_id) => message.insert("recipient_id".into(), json!(user_id)),
            ConversationId::Group(group_id) => message.insert("group_id".into(), json!(group_id)),
        };
        message.insert("client_message_id".into(), json!(append.client_message_id));
        if let Some(quoted) = append.quote.as_ref().and_then(|quote| quote.own.quoted.as_ref()) {
            let reply_to = json!({ "message_id": quoted.message_id, "sender_id": quoted.sender });
            message.insert("reply_to".into(), reply_to);
        }
        match self.ask_policy(caller, address, "message", message).await? {
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
        let mut message = said(&edit.content, &edit.mentions);
        let sealed = self.store.message_id_cipher().await?.seal(edit.message_id)?;
        message.insert("message_id".into(), json!(sealed));
        match self.ask_policy(caller, address, "edit", message).await? {
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

    /// What is to be stored instead; `None` where that is what was sent.
    async fn ask_policy(
        &self,
        caller: &Identity,
        address: Option<ClientAddress>,
        kind: &'static str,
        message: Map<String, Value>,
    ) -> Result<Option<Content>> {
        let terminal = self.store.terminal_of(caller.user_no, caller.session_id).await?;
        let question = Question {
            kind,
            sender_id: caller.user_id.as_str(),
            session_id: caller.session_id.0,
            terminal,
            address: address.map(|address| address.0),
            message,
        };
        // In base64 with what JSON escapes in it.
        let largest = self.limits.max_body_bytes.saturating_mul(6) + LARGEST_ANSWER;
        let Some(verdict) = self.policy.ask(&question, largest).await else {
            return self.without_verdict();
        };
        match verdict.action {
            Action::Allow => Ok(None),
            Action::Refuse => {
                let text = verdict.text.unwrap_or_default();
                Err(Error::PolicyRefused {
                    code: short(&verdict.code, MAX_CODE_LENGTH),
                    text: short(&text, MAX_TEXT_LENGTH),
                })
            }
            Action::Rewrite => match self.rewritten(verdict) {
                Ok(content) => Ok(Some(content)),
                Err(error) => {
                    tracing::warn!(%error, "the policy hook wants something stored that cannot be");
                    self.without_verdict()
                }
            },
        }
    }

    fn without_verdict(&self) -> Result<Option<Content>> {
        match self.policy.settings.on_failure {
            PolicyOnFailure::Allow => Ok(None),
            PolicyOnFailure::Refuse => Err(Error::PolicyUnanswered),
        }
    }

    fn rewritten(&self, verdict: Verdict) -> Result<Content> {
        let content = match (verdict.text, verdict.data) {
            (Some(text), None) => Some(SendContent::Text(text)),
            (None, Some(data)) => {
                let data = BASE64_STANDARD.decode(data);
                let data = data.map_err(|_| Error::invalid("data", "must be base64"))?.into();
                let content_type = verdict.content_type.unwrap_or_default();
                Some(SendContent::Data { content_type, data })
            }
            _ => None,
        };
        self.content(content)
    }
}

/// What a message says, for the hook.
fn said(content: &Content, mentions: &Mentions) -> Map<String, Value> {
    let mut message = Map::new();
    match content.content_type() {
        None => {
            message.insert("text".into(), json!(String::from_utf8_lossy(content.body())));
        }
        Some(content_type) => {
            message.insert("content_type".into(), json!(content_type));
            message.insert("data".into(), json!(BASE64_STANDARD.encode(content.body())));
        }
    }
    if !mentions.users.is_empty() {
        message.insert("mentions".into(), json!(mentions.user_ids()));
    }
    if mentions.all {
        message.insert("mention_all".into(), json!(true));
    }
    message
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
