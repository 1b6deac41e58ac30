//! The history checker: what was sent, what was acknowledged and what each terminal saw must make one
//! consistent story.
//!
//! Pure: it is told, and judges at the end. Each send is recorded with [`History::intend`] *before* it
//! goes out and with [`History::acked`] or [`History::refused`] *after* the answer; one that is neither
//! is unknown: it may stand in the timelines of all participants or of none. Each terminal keeps its
//! own [`Sightings`]. Bodies are not kept: a message is known by its number, which [`Marks`] puts into
//! the body. It takes some 40 bytes a message and 24 bytes a delivery.
//!
//! ```
//! use imd_client::history::{History, Marks};
//!
//! let marks = Marks::new(0x00c0_ffee, 100);
//! let mut history = History::default();
//! let (ann, bob) = (history.user("ann"), history.user("bob"));
//! let mut anns_phone = history.terminal(ann, "phone", 0);
//! let mut bobs_pc = history.terminal(bob, "pc", 7);
//!
//! let send = history.intend(ann, bob);
//! let body = marks.body(send);
//! history.acked(send, "m1", 1);
//! anns_phone.message(1, marks.read(&body), "m1");
//! bobs_pc.message(8, marks.read(&body), "m1");
//!
//! history.add(anns_phone);
//! history.add(bobs_pc);
//! assert_eq!(history.check(), []);
//! ```

mod check;
mod marks;
#[cfg(test)]
mod tests;
mod violation;

use std::{
    collections::BTreeMap,
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    sync::Arc,
};

pub use self::{
    marks::Marks,
    violation::{Message, Violation},
};

/// A user of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct User(u32);

/// A group of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group(u32);

/// The number of a send in its history: 0, 1, 2 … in the order of [`History::intend`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SendNo(pub u32);

impl SendNo {
    /// As an index.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What happened.
#[derive(Debug, Default)]
pub struct History {
    users: Vec<Arc<str>>,
    groups: Vec<Membership>,
    sends: Vec<Send>,
    sightings: Vec<Sightings>,
    /// Counts what is recorded about sends, to tell what came before what.
    clock: u32,
}

#[derive(Debug)]
struct Send {
    sender: User,
    recipient: Recipient,
    /// When it was intended, by the history's clock.
    at: u32,
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recipient {
    User(User),
    Group(Group),
}

/// Who was a member of a group, and when.
#[derive(Debug)]
struct Membership {
    name: Arc<str>,
    members: BTreeMap<User, Vec<Stay>>,
}

/// A user's time in a group, by the history's clock. Between a call and its answer the user may or may
/// not be a member.
#[derive(Debug, Clone, Copy)]
struct Stay {
    joining: u32,
    joined: Option<u32>,
    leaving: Option<u32>,
    left: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
enum Outcome {
    Unknown,
    Refused,
    Acked { at: u32, message_id: u32, seq: i64 },
}

/// What one terminal saw of its user's timeline, in the order in which it came.
#[derive(Debug)]
pub struct Sightings {
    user: User,
    name: Arc<str>,
    /// The seq after which it follows.
    after: i64,
    /// The first send that was intended when it followed already.
    since: SendNo,
    left: bool,
    entries: Vec<Sighting>,
}

#[derive(Debug, Clone, Copy)]
struct Sighting {
    seq: i64,
    what: Seen,
    message_id: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Message(SendNo),
    /// A message without the mark of a send.
    Foreign,
    /// A message that is gone: its id alone says which it was.
    Tombstone,
    /// Another kind of entry.
    Event,
}

impl History {
    /// A user, by a name for people.
    ///
    /// # Panics
    /// Beyond 2^32 users.
    pub fn user(&mut self, name: &str) -> User {
        let number = u32::try_from(self.users.len()).expect("fewer than 2^32 users");
        self.users.push(name.into());
        User(number)
    }

    /// A group with these members, by a name for people. Who joins it is shown nothing that was said
    /// before.
    ///
    /// # Panics
    /// Beyond 2^32 groups.
    pub fn group(&mut self, name: &str, members: impl IntoIterator<Item = User>) -> Group {
        let number = u32::try_from(self.groups.len()).expect("fewer than 2^32 groups");
        let now = self.tick();
        let stay = Stay { joining: now, joined: Some(now), leaving: None, left: None };
        let members = members.into_iter().map(|member| (member, vec![stay])).collect();
        self.groups.push(Membership { name: name.into(), members });
        Group(number)
    }

    /// A call is about to be made that has a user join a group.
    pub fn joining(&mut self, user: User, group: Group) {
        let stay = Stay { joining: self.tick(), joined: None, leaving: None, left: None };
        self.groups[group.0 as usize].members.entry(user).or_default().push(stay);
    }

    /// That call has returned: the user is a member.
    pub fn joined(&mut self, user: User, group: Group) {
        let now = self.tick();
        self.last_stay(user, group).joined = Some(now);
    }

    /// A call is about to be made that ends a user's membership.
    pub fn leaving(&mut self, user: User, group: Group) {
        let now = self.tick();
        self.last_stay(user, group).leaving = Some(now);
    }

    /// That call has returned: the user is no member.
    pub fn left(&mut self, user: User, group: Group) {
        let now = self.tick();
        self.last_stay(user, group).left = Some(now);
    }

    fn last_stay(&mut self, user: User, group: Group) -> &mut Stay {
        let stays = self.groups[group.0 as usize].members.get_mut(&user);
        stays.and_then(|stays| stays.last_mut()).expect("the user has been a member")
    }

    /// A terminal that follows its user's timeline from now on: it has everything up to the seq
    /// `after`. Its sightings are to be given back with [`History::add`].
    #[must_use]
    pub fn terminal(&self, user: User, name: &str, after: i64) -> Sightings {
        let name = format!("{}'s {name}", self.users[user.0 as usize]).into();
        let since = self.next_send();
        Sightings { user, name, after, since, left: false, entries: Vec::new() }
    }

    /// A message is about to be sent.
    pub fn intend(&mut self, sender: User, recipient: User) -> SendNo {
        self.intend_to(sender, Recipient::User(recipient))
    }

    /// A message is about to be sent to a group.
    pub fn intend_in(&mut self, sender: User, group: Group) -> SendNo {
        self.intend_to(sender, Recipient::Group(group))
    }

    fn intend_to(&mut self, sender: User, recipient: Recipient) -> SendNo {
        let send = self.next_send();
        let at = self.tick();
        self.sends.push(Send { sender, recipient, at, outcome: Outcome::Unknown });
        send
    }

    /// The server said that it stands at `seq` in the sender's timeline.
    pub fn acked(&mut self, send: SendNo, message_id: &str, seq: i64) {
        let outcome = Outcome::Acked { at: self.tick(), message_id: fingerprint(message_id), seq };
        self.sends[send.index()].outcome = outcome;
    }

    /// The server said that it does not and will not stand in any timeline.
    pub fn refused(&mut self, send: SendNo) {
        self.sends[send.index()].outcome = Outcome::Refused;
    }

    /// What a terminal saw.
    pub fn add(&mut self, sightings: Sightings) {
        self.sightings.push(sightings);
    }

    /// How many messages were intended.
    #[must_use]
    pub fn sends(&self) -> usize {
        self.sends.len()
    }

    /// Everything that is not as it must be; nothing when all is well.
    #[must_use]
    pub fn check(&self) -> Vec<Violation> {
        check::check(self)
    }

    fn next_send(&self) -> SendNo {
        SendNo(u32::try_from(self.sends.len()).expect("fewer than 2^32 sends"))
    }

    fn tick(&mut self) -> u32 {
        self.clock += 1;
        self.clock
    }
}

impl Send {
    /// The group that it is to.
    fn group(&self) -> Option<Group> {
        match self.recipient {
            Recipient::User(_) => None,
            Recipient::Group(group) => Some(group),
        }
    }
}

impl Stay {
    /// Whether whoever is a member for this time must get a message.
    fn must_have(&self, send: &Send) -> bool {
        let begun = self.joined.is_some_and(|joined| joined < send.at);
        let ended = self.leaving.is_some_and(|leaving| match send.outcome {
            Outcome::Acked { at, .. } => leaving < at,
            Outcome::Unknown | Outcome::Refused => true,
        });
        begun && !ended
    }

    /// Whether it may.
    fn may_have(&self, send: &Send) -> bool {
        let too_early = matches!(send.outcome, Outcome::Acked { at, .. } if at < self.joining);
        let too_late = self.left.is_some_and(|left| left < send.at);
        !too_early && !too_late
    }
}

impl Sightings {
    /// A message came. `send` is what its mark says; none when it has no mark of this run.
    pub fn message(&mut self, seq: i64, send: Option<SendNo>, message_id: &str) {
        let what = send.map_or(Seen::Foreign, Seen::Message);
        self.entries.push(Sighting { seq, what, message_id: fingerprint(message_id) });
    }

    /// A message came that has been recalled or deleted. It takes the place of the message itself.
    pub fn tombstone(&mut self, seq: i64, message_id: &str) {
        let message_id = fingerprint(message_id);
        self.entries.push(Sighting { seq, what: Seen::Tombstone, message_id });
    }

    /// An entry of another kind came.
    pub fn event(&mut self, seq: i64) {
        self.entries.push(Sighting { seq, what: Seen::Event, message_id: 0 });
    }

    /// The terminal follows no longer: it need not have what comes now.
    pub fn left(&mut self) {
        self.left = true;
    }
}

/// Stands for a `message_id`. Two of 2^32 may share one; that only lets a violation slip by.
fn fingerprint(message_id: &str) -> u32 {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(message_id);
    u32::try_from(hash >> 32).unwrap_or_default()
}
