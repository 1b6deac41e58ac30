//! The books of a run: what was sent, what came where, and what is still awaited.

use std::time::Instant;

use imd_client::{
    SendError, Sent,
    history::{Group, History, Marks, SendNo, Sightings, User},
};
use imd_proto::v1::{Entry, Message, entry::Kind, message::Content};

use super::{
    fleet::Fleet,
    measure::{self, Counts, Meter, Results},
    traffic::To,
};

/// What a run has brought.
pub(super) struct Outcome {
    pub(super) results: Results,
    pub(super) counts: Counts,
    /// Everything that was sent, and everything that each terminal saw.
    pub(super) history: History,
}

/// The books.
pub(super) struct Ledger {
    history: History,
    users: Vec<User>,
    groups: Vec<Group>,
    /// How many members each group has.
    sizes: Vec<u32>,
    /// By terminal.
    sightings: Vec<Sightings>,
    /// By the number of the send.
    flights: Vec<Flight>,
    under_way: usize,
    /// How many terminals each user has.
    terminals: u32,
    marks: Marks,
    meter: Meter,
    counts: Counts,
}

/// A message that was sent.
#[derive(Debug)]
struct Flight {
    /// When it was sent, or was due.
    begun: Instant,
    /// How many terminals do not have it yet.
    awaited: u32,
    kind: measure::Kind,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Sent,
    Acked,
    GivenUp,
}

impl Ledger {
    /// Books in which each terminal of the fleet stands at the seq in `at`.
    pub(super) fn open(fleet: &Fleet, at: &[i64], marks: Marks, meter: Meter) -> Self {
        let mut history = History::default();
        let users: Vec<User> = fleet.users.iter().map(|user_id| history.user(user_id)).collect();
        let groups = fleet.groups.iter();
        let groups = groups
            .map(|group| {
                history.group(&group.id, group.members.iter().map(|member| users[*member]))
            })
            .collect();
        let size = |members: usize| u32::try_from(members).expect("groups are small");
        let sizes = fleet.groups.iter().map(|group| size(group.members.len())).collect();
        let types = &fleet.terminal_types;
        let terminals =
            users.iter().flat_map(|user| types.iter().map(move |name| (*user, name.as_str())));
        let sightings = terminals.zip(at);
        let sightings =
            sightings.map(|((user, name), at)| history.terminal(user, name, *at)).collect();
        Self {
            history,
            users,
            groups,
            sizes,
            sightings,
            flights: Vec::new(),
            under_way: 0,
            terminals: size(types.len()),
            marks,
            meter,
            counts: Counts::default(),
        }
    }

    /// How many messages are neither complete nor given up.
    pub(super) fn under_way(&self) -> usize {
        self.under_way
    }

    pub(super) fn meter(&mut self) -> &mut Meter {
        &mut self.meter
    }

    /// A message goes out; its number and body.
    pub(super) fn send(&mut self, sender: usize, to: To, begun: Instant) -> (SendNo, String) {
        let sender = self.users[sender];
        let (send, users, kind) = match to {
            To::User(user) => {
                (self.history.intend(sender, self.users[user]), 2, measure::Kind::ToUser)
            }
            To::Group(group) => {
                let send = self.history.intend_in(sender, self.groups[group]);
                (send, self.sizes[group], measure::Kind::ToGroup)
            }
        };
        let awaited = users * self.terminals;
        self.flights.push(Flight { begun, awaited, kind, state: State::Sent });
        self.under_way += 1;
        self.counts.sent += 1;
        (send, self.marks.body(send))
    }

    /// The server has answered, or was given up.
    pub(super) fn answered(&mut self, send: SendNo, answer: Result<Sent, SendError>) {
        let flight = &mut self.flights[send.index()];
        match answer {
            Ok(Sent { response, attempts }) => {
                let now = Instant::now();
                self.history.acked(send, &response.message_id, response.seq);
                self.counts.retries += u64::from(attempts - 1);
                flight.state = State::Acked;
                self.meter.acked(flight.kind, flight.begun, now);
                self.complete_if_everywhere(send, now);
            }
            Err(SendError { cause, outcome_unknown, attempts }) => {
                if !outcome_unknown {
                    self.history.refused(send);
                }
                self.counts.retries += u64::from(attempts - 1);
                *self.counts.errors.entry(cause.code().to_owned()).or_default() += 1;
                flight.state = State::GivenUp;
                self.under_way -= 1;
            }
        }
    }

    /// An entry came to a terminal.
    pub(super) fn arrived(&mut self, terminal: usize, entry: &Entry) {
        let sightings = &mut self.sightings[terminal];
        let Some(Kind::Message(message)) = &entry.kind else {
            return sightings.event(entry.seq);
        };
        if message.tombstone != 0 {
            return sightings.tombstone(entry.seq, &message.message_id);
        }
        let send = text(message).and_then(|text| self.marks.read(text));
        sightings.message(entry.seq, send, &message.message_id);
        self.counts.deliveries += 1;
        if let Some(send) = send {
            self.delivered(send);
        }
    }

    fn delivered(&mut self, send: SendNo) {
        // One that nobody sent, or that comes too often, is the checker's business.
        let Some(flight) = self.flights.get_mut(send.index()).filter(|f| f.awaited > 0) else {
            return;
        };
        flight.awaited -= 1;
        if flight.awaited == 0 && flight.state != State::GivenUp {
            let now = Instant::now();
            self.meter.delivered_everywhere(flight.kind, flight.begun, now);
            self.complete_if_everywhere(send, now);
        }
    }

    fn complete_if_everywhere(&mut self, send: SendNo, now: Instant) {
        let flight = &self.flights[send.index()];
        if flight.awaited == 0 && flight.state == State::Acked {
            self.meter.complete(flight.kind, now);
            self.under_way -= 1;
        }
    }

    /// A terminal's stream was opened anew.
    pub(super) fn reconnected(&mut self) {
        self.counts.reconnects += 1;
    }

    /// A terminal was told something that must not happen to a bench.
    pub(super) fn disturbed(&mut self, what: &str) {
        *self.counts.errors.entry(what.to_owned()).or_default() += 1;
    }

    /// Closes the books. `unsent` messages were due and did not even go out; `repeated` entries came
    /// to a terminal a second time.
    pub(super) fn close(mut self, unsent: usize, repeated: u64) -> Outcome {
        self.sightings.into_iter().for_each(|sightings| self.history.add(sightings));
        self.counts.unsent = unsent.try_into().unwrap_or(u64::MAX);
        self.counts.unfinished = self.under_way.try_into().unwrap_or(u64::MAX);
        self.counts.repeated = repeated;
        Outcome { results: self.meter.finish(), counts: self.counts, history: self.history }
    }
}

fn text(message: &Message) -> Option<&str> {
    match &message.content {
        Some(Content::Text(text)) => Some(text),
        Some(Content::Data(_)) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use imd_client::proto::SendResponse;

    use super::*;
    use crate::commands::bench::fleet::Group as FleetGroup;

    /// Books of three users with two terminals each, all members of a group, in a window that is open.
    fn ledger() -> Ledger {
        let fleet = Fleet {
            users: ["ann", "bob", "cat"].map(str::to_owned).into(),
            terminal_types: ["phone", "pc"].map(str::to_owned).to_vec(),
            terminals: Vec::new(),
            away: Vec::new(),
            groups: vec![FleetGroup { id: "team".to_owned(), members: vec![0, 1, 2] }],
        };
        let window = Instant::now()..Instant::now() + Duration::from_hours(1);
        Ledger::open(&fleet, &[0; 6], Marks::new(1, 16), Meter::new(window))
    }

    fn entry(body: &str) -> Entry {
        let content = Some(Content::Text(body.to_owned()));
        let message = Message { message_id: "m".to_owned(), content, ..Message::default() };
        Entry { seq: 1, kind: Some(Kind::Message(message)), ..Entry::default() }
    }

    fn sent() -> Sent {
        let response = SendResponse { message_id: "m".to_owned(), seq: 1, ..Default::default() };
        Sent { response, attempts: 1 }
    }

    fn given_up(outcome_unknown: bool) -> SendError {
        SendError { cause: imd_client::Error::Timeout, outcome_unknown, attempts: 3 }
    }

    #[test]
    fn a_message_is_complete_when_it_is_acknowledged_and_everywhere() {
        for ack_after in 0..=4 {
            let mut ledger = ledger();
            let (send, body) = ledger.send(0, To::User(1), Instant::now());
            for terminal in 0..4 {
                if terminal == ack_after {
                    ledger.answered(send, Ok(sent()));
                }
                assert_eq!(ledger.under_way(), 1);
                ledger.arrived(terminal, &entry(&body));
            }
            if ack_after == 4 {
                ledger.answered(send, Ok(sent()));
            }
            assert_eq!((ledger.under_way(), ledger.meter().messages()), (0, 1));
            let outcome = ledger.close(0, 0);
            assert_eq!(outcome.history.check(), []);
            assert_eq!(
                (outcome.results.all.ack.count(), outcome.results.all.delivery.count()),
                (1, 1)
            );
        }
    }

    #[test]
    fn a_message_that_a_terminal_did_not_get_is_unfinished_and_a_violation() {
        let mut ledger = ledger();
        let (send, body) = ledger.send(0, To::User(1), Instant::now());
        ledger.answered(send, Ok(sent()));
        (0..3).for_each(|terminal| ledger.arrived(terminal, &entry(&body)));
        let outcome = ledger.close(0, 0);
        assert_eq!((outcome.counts.unfinished, outcome.results.all.messages), (1, 0));
        let found: Vec<_> = outcome.history.check().iter().map(ToString::to_string).collect();
        assert_eq!(found[0], "bob's pc: message 0 (ann → bob), acknowledged, never came");
    }

    #[test]
    fn a_message_given_up_makes_room_and_may_come_all_the_same() {
        let mut ledger = ledger();
        let (send, body) = ledger.send(0, To::User(1), Instant::now());
        ledger.answered(send, Err(given_up(true)));
        assert_eq!(ledger.under_way(), 0);
        (0..4).for_each(|terminal| ledger.arrived(terminal, &entry(&body)));
        let outcome = ledger.close(0, 0);
        assert_eq!(outcome.results.all.messages, 0);
        assert_eq!(outcome.counts.errors["timeout"], 1);
        assert_eq!(outcome.counts.retries, 2);
        assert_eq!(outcome.history.check(), []);
    }

    #[test]
    fn a_message_that_was_refused_must_not_come() {
        let mut ledger = ledger();
        let (send, body) = ledger.send(0, To::User(1), Instant::now());
        ledger.answered(send, Err(given_up(false)));
        ledger.arrived(0, &entry(&body));
        assert!(!ledger.close(0, 0).history.check().is_empty());
    }

    #[test]
    fn a_message_that_nobody_sent_is_a_violation() {
        for body in ["hello", "00000001ffffffff"] {
            let mut ledger = ledger();
            ledger.arrived(0, &entry(body));
            let found = ledger.close(0, 0).history.check();
            assert_eq!(found[0].to_string(), "ann's phone: entry 1 is a message that nobody sent");
        }
    }

    #[test]
    fn a_message_to_a_group_is_complete_when_every_member_has_it() {
        let mut ledger = ledger();
        let (send, body) = ledger.send(0, To::Group(0), Instant::now());
        ledger.answered(send, Ok(sent()));
        for terminal in 0..6 {
            assert_eq!(ledger.under_way(), 1);
            ledger.arrived(terminal, &entry(&body));
        }
        assert_eq!(ledger.under_way(), 0);
        let outcome = ledger.close(0, 0);
        assert_eq!(outcome.history.check(), []);
        assert_eq!((outcome.results.to_groups.messages, outcome.results.to_users.messages), (1, 0));
        assert_eq!(outcome.results.to_groups.delivery.count(), 1);
    }
}
