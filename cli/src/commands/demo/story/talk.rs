//! The acts in which the two talk.

use std::time::{Duration, Instant};

use futures::future::try_join_all;
use imd_proto::v1::{
    Message, SendRequest,
    entry::Kind,
    message::Content,
    send_request::{Content as SentContent, To},
};
use tokio::try_join;
use uuid::Uuid;

use super::{Story, Terminals};
use crate::{
    commands::demo::{stage, terminal::Terminal},
    error::Error,
};

/// The rest of the conversation: who says what, by the place in [`Terminals::all`].
const CONVERSATION: [(usize, &str); 10] = [
    (Terminals::ALICE_PC, "The small place by the river."),
    (Terminals::BOB_PHONE, "The one with the blue door?"),
    (Terminals::ALICE_PHONE, "That one. I booked for two."),
    (Terminals::BOB_PC, "Do they still have the pear cake?"),
    (Terminals::ALICE_PC, "They do, I asked."),
    (Terminals::BOB_PHONE, "Then I am on my way."),
    (Terminals::ALICE_PHONE, "It is four in the afternoon!"),
    (Terminals::BOB_PC, "It is a long walk."),
    (Terminals::ALICE_PC, "Take the tram, line 7."),
    (Terminals::BOB_PHONE, "See you at eight."),
];

/// A message that was sent and seen.
pub(super) struct Said {
    pub(super) message_id: String,
    pub(super) text: String,
    /// Where each terminal of the audience saw it, by its place in its user's timeline.
    pub(super) seqs: Vec<i64>,
    /// How long after the sending each terminal saw it.
    seen: Vec<Duration>,
}

impl Said {
    /// From the sending until the last terminal saw it.
    fn spread(&self) -> Duration {
        self.seen.iter().copied().max().unwrap_or_default()
    }
}

impl Story<'_> {
    pub(super) async fn a_message(&mut self, on: &mut Terminals) -> Result<(), Error> {
        self.stage.act(&format!("Alice writes on her {}", self.cast.phone))?;
        let mut all = on.all();
        let said = say("Dinner at eight?", Terminals::ALICE_PHONE, &mut all).await?;
        stage::aside(&format!("\"{}\"", said.text))?;
        let asides =
            ["the sender finds it in her own timeline", "and so does her other terminal", "", ""];
        for ((terminal, after), aside) in all.iter().zip(&said.seen).zip(asides) {
            self.stage.saw_after(*after, &format!("{} has it", terminal.name), aside)?;
        }
        self.stage.spread(said.spread());
        self.said.push(said);
        Ok(())
    }

    pub(super) async fn an_answer(&mut self, on: &mut Terminals) -> Result<(), Error> {
        self.stage.act(&format!("Bob answers on his {}", self.cast.pc))?;
        let said = say("Gladly. Where?", Terminals::BOB_PC, &mut on.all()).await?;
        self.everywhere(&said, "all four terminals have it")?;
        self.said.push(said);
        Ok(())
    }

    pub(super) async fn a_conversation(&mut self, on: &mut Terminals) -> Result<(), Error> {
        self.stage.act("They go on, on whatever is at hand")?;
        for (speaker, text) in CONVERSATION {
            let said = say(text, speaker, &mut on.all()).await?;
            self.everywhere(&said, &format!("{} is heard everywhere", on.all()[speaker].name))?;
            self.said.push(said);
        }
        Ok(())
    }

    /// One line for a message that all saw.
    pub(super) fn everywhere(&mut self, said: &Said, what: &str) -> Result<(), Error> {
        self.stage.spread(said.spread());
        self.stage.saw_after(said.spread(), what, &format!("\"{}\"", said.text))
    }
}

/// One terminal of the audience sends a text to the other user in it. All must see it, the sending
/// terminal included, each from its own user's side.
pub(super) async fn say(
    text: &str,
    speaker: usize,
    audience: &mut [&mut Terminal],
) -> Result<Said, Error> {
    let sender_id = audience[speaker].user_id.clone();
    let peer_id = peer_of(&sender_id, audience);
    let request = SendRequest { to: Some(To::UserId(peer_id.clone())), ..new_message(text) };
    let conversation = |owner: &str| {
        let peer = if owner == sender_id { &peer_id } else { &sender_id };
        format!("user:{peer}")
    };
    send(request, speaker, audience, conversation).await
}

/// One terminal of the audience sends a text to a group that all of them are in.
pub(super) async fn say_in_group(
    group_id: &str,
    text: &str,
    mentions: &[&str],
    speaker: usize,
    audience: &mut [&mut Terminal],
) -> Result<Said, Error> {
    let request = SendRequest {
        to: Some(To::GroupId(group_id.to_owned())),
        mentions: mentions.iter().map(|user_id| (*user_id).to_owned()).collect(),
        ..new_message(text)
    };
    send(request, speaker, audience, |_| format!("group:{group_id}")).await
}

/// A message of this text, to nobody yet.
pub(super) fn new_message(text: &str) -> SendRequest {
    SendRequest {
        client_message_id: Uuid::new_v4().to_string(),
        content: Some(SentContent::Text(text.to_owned())),
        ..SendRequest::default()
    }
}

/// Sends a text from one terminal of the audience; all must see it as it was sent, each in the conversation
/// that is its user's own.
async fn send(
    request: SendRequest,
    speaker: usize,
    audience: &mut [&mut Terminal],
    conversation_of: impl Fn(&str) -> String,
) -> Result<Said, Error> {
    let sender_id = audience[speaker].user_id.clone();
    let SendRequest { client_message_id, mentions, .. } = request.clone();
    let text = match &request.content {
        Some(SentContent::Text(text)) => text.clone(),
        _ => String::new(),
    };
    let mut calls = audience[speaker].calls.clone();
    let started = Instant::now();
    let send = async {
        let answer = calls.send(request).await;
        answer.map_err(|status| Error::Server(Box::new(status)))
    };
    let see = try_join_all(audience.iter_mut().map(async |terminal| {
        let entry = terminal.next_message().await?;
        Ok((entry, started.elapsed()))
    }));
    let (ack, seen) = try_join!(send, see)?;
    let ack = ack.into_inner();
    for (terminal, (entry, _)) in audience.iter().zip(&seen) {
        let own = terminal.user_id == sender_id;
        let due = Kind::Message(Message {
            message_id: ack.message_id.clone(),
            conversation_id: conversation_of(&terminal.user_id),
            sender_id: sender_id.clone(),
            client_message_id: if own { client_message_id.clone() } else { String::new() },
            content: Some(Content::Text(text.clone())),
            mentioned: mentions.contains(&terminal.user_id),
            mentions: mentions.clone(),
            ..Message::default()
        });
        if entry.kind.as_ref() != Some(&due) || own && entry.seq != ack.seq {
            return Err(terminal.fault(&format!("sees {entry:?}, not {due:?} as in {ack:?}")));
        }
    }
    Ok(Said {
        message_id: ack.message_id,
        text,
        seqs: seen.iter().map(|(entry, _)| entry.seq).collect(),
        seen: seen.into_iter().map(|(_, after)| after).collect(),
    })
}

/// The other user in the audience.
fn peer_of(sender_id: &str, audience: &[&mut Terminal]) -> String {
    let mut users = audience.iter().map(|terminal| terminal.user_id.as_str());
    users.find(|user_id| *user_id != sender_id).unwrap_or(sender_id).to_owned()
}
