//! A checker of histories: whether what terminals saw fits what was sent, whatever happened between.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    api::{Outgoing, Result},
    types::{Entry, Message, Sent},
};

/// All that the clients of a run know.
#[derive(Default)]
pub(crate) struct Run {
    attempts: Vec<Attempt>,
    terminals: Vec<Observed>,
}

/// A send and its answer.
struct Attempt {
    sender: String,
    message: Outgoing,
    answer: Result<Sent>,
}

/// What a terminal saw, from some place of its user's timeline on.
struct Observed {
    name: String,
    user_id: String,
    /// The place it started behind.
    after: i64,
    entries: Vec<Entry>,
}

impl Attempt {
    fn recipient(&self) -> &str {
        self.message.to.as_deref().unwrap_or_default()
    }

    /// Whether `message`, in its sender's timeline, is what was sent.
    fn is(&self, message: &Message) -> bool {
        message.sender_id == self.sender
            && message.conversation_id == format!("user:{}", self.recipient())
            && (message.tombstone.is_some() || message.content == self.message.content)
    }
}

/// A timeline, put together from what all terminals of its user saw.
#[derive(Default)]
struct Timeline<'a> {
    entries: BTreeMap<i64, &'a Entry>,
    by_message_id: HashMap<&'a str, &'a Entry>,
}

impl Timeline<'_> {
    fn last_seq(&self) -> i64 {
        self.entries.last_key_value().map_or(0, |(seq, _)| *seq)
    }

    fn messages(&self) -> impl Iterator<Item = &Message> {
        self.entries.values().filter_map(|entry| entry.as_message())
    }
}

impl Run {
    /// Notes a send and its answer.
    pub(crate) fn sent(&mut self, sender: &str, message: &Outgoing, answer: Result<Sent>) {
        self.attempts.push(Attempt { sender: sender.to_owned(), message: message.clone(), answer });
    }

    /// Notes sends of one sender and their answers.
    pub(crate) fn sent_all(&mut self, sender: &str, sent: Vec<(Outgoing, Result<Sent>)>) {
        for (message, answer) in sent {
            self.sent(sender, &message, answer);
        }
    }

    /// Notes what a terminal saw behind `after`; it must have read to the end of the run.
    pub(crate) fn saw(&mut self, user_id: &str, name: &str, after: i64, entries: Vec<Entry>) {
        let (name, user_id) = (name.to_owned(), user_id.to_owned());
        self.terminals.push(Observed { name, user_id, after, entries });
    }

    /// Panics with all that is wrong.
    #[track_caller]
    pub(crate) fn assert_sound(&self) {
        let faults = self.faults();
        assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    }

    /// All that is wrong.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        self.terminals.iter().for_each(|terminal| not_dense(terminal, &mut faults));
        let timelines = self.timelines(&mut faults);
        self.behind(&timelines, &mut faults);
        self.acknowledged_and_missing(&timelines, &mut faults);
        self.never_sent(&timelines, &mut faults);
        told_differently(&timelines, &mut faults);
        faults
    }

    /// Puts the timelines together; a fault where two terminals of a user saw different things.
    fn timelines<'a>(&'a self, faults: &mut Vec<String>) -> BTreeMap<&'a str, Timeline<'a>> {
        let mut timelines: BTreeMap<&str, Timeline> = BTreeMap::new();
        for terminal in &self.terminals {
            let timeline = timelines.entry(&terminal.user_id).or_default();
            for entry in &terminal.entries {
                let first = *timeline.entries.entry(entry.seq).or_insert(entry);
                if !is_same(first, entry) {
                    faults.push(format!("{} saw {entry:?}, another {first:?}", terminal.name));
                }
                let Some(message) = entry.as_message() else { continue };
                let first = *timeline.by_message_id.entry(&message.message_id).or_insert(entry);
                if first.seq != entry.seq {
                    faults.push(format!("twice in one timeline: {first:?}, {entry:?}"));
                }
            }
        }
        timelines
    }

    /// Terminals that have not seen what another terminal of the user has.
    fn behind(&self, timelines: &BTreeMap<&str, Timeline>, faults: &mut Vec<String>) {
        for terminal in &self.terminals {
            let reached = terminal.entries.last().map_or(terminal.after, |entry| entry.seq);
            let end = timelines[terminal.user_id.as_str()].last_seq();
            if reached < end {
                faults.push(format!("{} reached {reached} of {end}", terminal.name));
            }
        }
    }

    fn acknowledged_and_missing(
        &self,
        timelines: &BTreeMap<&str, Timeline>,
        faults: &mut Vec<String>,
    ) {
        for attempt in &self.attempts {
            let Ok(sent) = &attempt.answer else { continue };
            let id = sent.message_id.as_str();
            for user_id in BTreeSet::from([attempt.sender.as_str(), attempt.recipient()]) {
                let Some(timeline) = timelines.get(user_id) else { continue };
                match timeline.by_message_id.get(id) {
                    None => faults.push(format!("{user_id} has not got {sent:?}")),
                    Some(entry) if user_id == attempt.sender && entry.seq != sent.seq => {
                        faults.push(format!("{sent:?} was acknowledged and is {entry:?}"));
                    }
                    Some(_) => {}
                }
            }
        }
    }

    /// Messages that nobody sent, or not so, or whose send was refused.
    fn never_sent(&self, timelines: &BTreeMap<&str, Timeline>, faults: &mut Vec<String>) {
        let mut possible: HashMap<&str, Vec<&Attempt>> = HashMap::new();
        for attempt in &self.attempts {
            let id = attempt.message.client_message_id.as_str();
            let refused = attempt.answer.as_ref().is_err_and(|e| !e.outcome_is_unknown());
            if !refused {
                possible.entry(id).or_default().push(attempt);
            }
        }
        for (user_id, timeline) in timelines {
            for message in timeline.messages() {
                let Some(original) = original(user_id, message, timelines) else {
                    faults.push(format!("{user_id} has what its sender has not: {message:?}"));
                    continue;
                };
                let id = original.client_message_id.as_deref().unwrap_or_default();
                let attempts = possible.get(id).map_or(&[][..], Vec::as_slice);
                if !attempts.iter().any(|attempt| attempt.is(original)) {
                    faults.push(format!("nobody sent {original:?}"));
                }
                let is_gone = message.tombstone.is_some() || original.tombstone.is_some();
                if !is_gone && message.content != original.content {
                    faults.push(format!("{message:?} is a copy of {original:?}"));
                }
            }
        }
    }
}

/// Gaps, repetitions, and times that go back.
fn not_dense(terminal: &Observed, faults: &mut Vec<String>) {
    let expected = terminal.after + 1..;
    for (entry, seq) in terminal.entries.iter().zip(expected) {
        if entry.seq != seq {
            faults.push(format!("{} saw {} in the place of {seq}", terminal.name, entry.seq));
            return;
        }
    }
    if !terminal.entries.is_sorted_by_key(|entry| entry.appended_at) {
        faults.push(format!("{} saw times that go back", terminal.name));
    }
}

/// Whether two terminals saw the same, one of them perhaps before a message was gone.
fn is_same(one: &Entry, other: &Entry) -> bool {
    let same_message = || one.as_message()?.is_same_as(other.as_message()?).then_some(());
    one == other || one.cursor == other.cursor && same_message().is_some()
}

/// The copy in the sender's timeline.
fn original<'a>(
    user_id: &str,
    message: &'a Message,
    timelines: &'a BTreeMap<&str, Timeline<'a>>,
) -> Option<&'a Message> {
    if message.sender_id == user_id {
        return Some(message);
    }
    let entry = timelines
        .get(message.sender_id.as_str())?
        .by_message_id
        .get(message.message_id.as_str())?;
    entry.as_message()
}

/// Conversations whose messages stand in another order with one side than with the other. For
/// timelines that were seen whole.
fn told_differently(timelines: &BTreeMap<&str, Timeline>, faults: &mut Vec<String>) {
    let whole = |timeline: &Timeline| timeline.entries.contains_key(&1);
    for (a, timeline) in timelines.iter().filter(|(_, timeline)| whole(timeline)) {
        for (b, other) in timelines.range(*a..).skip(1).filter(|(_, timeline)| whole(timeline)) {
            let told = |timeline: &Timeline, peer: &str| -> Vec<String> {
                let conversation = format!("user:{peer}");
                let of = timeline.messages().filter(|m| m.conversation_id == conversation);
                of.map(|message| message.message_id.clone()).collect()
            };
            if told(timeline, b) != told(other, a) {
                faults.push(format!("{a} and {b} tell their conversation differently"));
            }
        }
    }
}
