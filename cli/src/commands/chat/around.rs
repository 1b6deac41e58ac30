//! Who is there and who types: nothing of it is stored, and typing is over by itself.

use std::{collections::BTreeMap, time::Duration};

use imd_proto::v1::{PresenceChanged, PresenceState, Signal, Typing, UserPresence, signal};
use tokio::time::{Instant, sleep_until};

use crate::{clock::time, commands::chat::conversation::clock, output::printable};

/// What is around a conversation at this moment.
#[derive(Default)]
pub(super) struct Around {
    /// How the other side is, where it is one user.
    presence: Option<UserPresence>,
    /// Until when who is known to type.
    typing: BTreeMap<String, Instant>,
}

impl Around {
    pub(super) fn presence(&mut self, changed: PresenceChanged) {
        self.presence = changed.users.into_iter().next_back().or(self.presence.take());
    }

    /// Takes a signal of the conversation.
    pub(super) fn signal(&mut self, said: &Signal) {
        let Some(signal::Signal::Typing(typing)) = said.signal else { return };
        if typing == i32::from(Typing::Started) {
            let seconds = said.expires_in.map_or(0, |duration| duration.seconds);
            let holds = Duration::from_secs(seconds.try_into().unwrap_or_default());
            self.typing.insert(said.sender_id.clone(), Instant::now() + holds);
        } else {
            self.stops(&said.sender_id);
        }
    }

    /// One types no longer, as one who has just sent a message.
    pub(super) fn stops(&mut self, user_id: &str) {
        self.typing.remove(user_id);
    }

    /// Waits until somebody does not type any more; for ever while nobody types.
    pub(super) async fn expires(&mut self) {
        match self.typing.values().min() {
            Some(until) => sleep_until(*until).await,
            None => std::future::pending().await,
        }
        self.typing.retain(|_, until| *until > Instant::now());
    }

    /// All of it in a line; empty where there is nothing to say.
    pub(super) fn told(&self) -> String {
        let typing: Vec<&str> = self.typing.keys().map(String::as_str).collect();
        let told = match (typing.as_slice(), &self.presence) {
            ([], Some(presence)) => how(presence),
            ([], None) => String::new(),
            ([one], _) => format!("{one} is typing…"),
            (many, _) => format!("{} are typing…", many.join(", ")),
        };
        printable(&told)
    }
}

fn how(presence: &UserPresence) -> String {
    let user = &presence.user_id;
    let on = match presence.terminal_types.join(", ") {
        types if types.is_empty() => String::new(),
        types => format!(" on {types}"),
    };
    match presence.state() {
        PresenceState::Online => format!("{user} is online{on}"),
        PresenceState::Idle => format!("{user} is away{on}"),
        PresenceState::Offline => match time(presence.last_seen) {
            Some(seen) => {
                format!("{user} was there last at {} UTC on {}", clock(seen), seen.date())
            }
            None => String::new(),
        },
        PresenceState::Unspecified => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typing(user_id: &str, typing: Typing) -> Signal {
        Signal {
            sender_id: user_id.to_owned(),
            signal: Some(signal::Signal::Typing(typing.into())),
            expires_in: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
            ..Signal::default()
        }
    }

    #[tokio::test]
    async fn typing_goes_before_presence_and_is_over_by_itself() {
        let mut around = Around::default();
        let state = PresenceState::Online.into();
        let bob = UserPresence { user_id: "bob".to_owned(), state, ..UserPresence::default() };
        around.presence(PresenceChanged { users: vec![bob] });
        assert_eq!(around.told(), "bob is online");
        around.signal(&typing("bob", Typing::Started));
        assert_eq!(around.told(), "bob is typing…");
        around.signal(&typing("ann", Typing::Started));
        assert_eq!(around.told(), "ann, bob are typing…");
        around.signal(&typing("ann", Typing::Stopped));
        assert_eq!(around.told(), "bob is typing…");
        let began = Instant::now();
        around.expires().await;
        assert!(began.elapsed() >= Duration::from_millis(900));
        assert_eq!(around.told(), "bob is online");
    }
}
