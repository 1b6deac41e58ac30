//! The judgement.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{
    Group, History, Message, Outcome, Recipient, Seen, Send, SendNo, Sighting, Sightings, User,
    Violation,
};

pub(super) fn check(history: &History) -> Vec<Violation> {
    let tombstones = Tombstones::of(history);
    let mut check = Check { history, tombstones, found: Vec::new(), unknown: BTreeMap::new() };
    for sightings in &history.sightings {
        check.places(sightings);
        check.contents(sightings);
    }
    check.completeness();
    for user in (0..).map(User).take(history.users.len()) {
        check.one_story(user);
    }
    check.one_order();
    check.found
}

struct Check<'a> {
    history: &'a History,
    tombstones: Tombstones,
    found: Vec<Violation>,
    /// Sends of unknown outcome: on how many terminals they were seen, and on how many they could be.
    unknown: BTreeMap<SendNo, (u32, u32)>,
}

/// Which messages the tombstones stand for, by the fingerprints of their ids; empty when there are none.
struct Tombstones(HashMap<u32, SendNo>);

impl Tombstones {
    /// What the senders were told, and what terminals saw before it was gone.
    fn of(history: &History) -> Self {
        let entries = || history.sightings.iter().flat_map(|sightings| &sightings.entries);
        if !entries().any(|entry| entry.what == Seen::Tombstone) {
            return Self(HashMap::new());
        }
        let acked = (0..).map(SendNo).zip(&history.sends).filter_map(|(send_no, send)| {
            let Outcome::Acked { message_id, .. } = send.outcome else { return None };
            Some((message_id, send_no))
        });
        let seen = entries().filter_map(|entry| {
            let Seen::Message(send_no) = entry.what else { return None };
            Some((entry.message_id, send_no))
        });
        Self(seen.chain(acked).collect())
    }

    /// What an entry was before it was gone.
    fn what(&self, entry: &Sighting) -> Seen {
        match entry.what {
            Seen::Tombstone => {
                self.0.get(&entry.message_id).copied().map_or(Seen::Foreign, Seen::Message)
            }
            what => what,
        }
    }

    fn message_at(&self, entry: &Sighting) -> Option<(SendNo, i64)> {
        match self.what(entry) {
            Seen::Message(send_no) => Some((send_no, entry.seq)),
            Seen::Foreign | Seen::Tombstone | Seen::Event => None,
        }
    }
}

impl Check<'_> {
    /// Seqs are dense.
    fn places(&mut self, sightings: &Sightings) {
        let mut last = sightings.after;
        for &Sighting { seq, .. } in &sightings.entries {
            let terminal = sightings.name.clone();
            match seq.cmp(&(last + 1)) {
                Ordering::Equal => {}
                Ordering::Greater => {
                    self.found.push(Violation::Gap { terminal, from: last + 1, to: seq - 1 });
                }
                Ordering::Less => self.found.push(Violation::Backwards { terminal, seq, last }),
            }
            last = last.max(seq);
        }
    }

    /// Nothing is invented, and everything is as its sender was told.
    fn contents(&mut self, sightings: &Sightings) {
        for entry in &sightings.entries {
            match self.tombstones.what(entry) {
                Seen::Event => {}
                Seen::Message(send_no) if send_no.index() < self.history.sends.len() => {
                    self.message(sightings, entry, send_no);
                }
                Seen::Message(_) | Seen::Foreign | Seen::Tombstone => {
                    let (terminal, seq) = (sightings.name.clone(), entry.seq);
                    self.found.push(Violation::Invented { terminal, seq });
                }
            }
        }
    }

    fn message(&mut self, sightings: &Sightings, entry: &Sighting, send_no: SendNo) {
        let send = &self.history.sends[send_no.index()];
        let (seq, terminal) = (entry.seq, || sightings.name.clone());
        let message = || self.history.name(send_no);
        match self.history.concerns(send, sightings.user) {
            Concern::Ours => {}
            Concern::Never => {
                let (terminal, message) = (terminal(), message());
                self.found.push(Violation::Astray { terminal, seq, message });
            }
            Concern::OtherTimes => {
                let (terminal, message) = (terminal(), message());
                self.found.push(Violation::Outside { terminal, seq, message });
            }
        }
        match send.outcome {
            Outcome::Unknown => {}
            Outcome::Refused => {
                let (terminal, message) = (terminal(), message());
                self.found.push(Violation::Refused { terminal, seq, message });
            }
            Outcome::Acked { message_id, seq: told, .. } => {
                if message_id != entry.message_id {
                    let (terminal, message) = (terminal(), message());
                    self.found.push(Violation::OtherId { terminal, seq, message });
                }
                if sightings.user == send.sender && told != seq {
                    let (terminal, message) = (terminal(), message());
                    self.found.push(Violation::OtherPlace { terminal, message, seq, told });
                }
            }
        }
    }

    /// Every message is once on every terminal of both its users, or of those who were members from before
    /// it was sent until it was acknowledged; one of unknown outcome on all or none.
    fn completeness(&mut self) {
        let mut of_user: Vec<Vec<SendNo>> = vec![Vec::new(); self.history.users.len()];
        for (send_no, send) in (0..).map(SendNo).zip(&self.history.sends) {
            match send.recipient {
                Recipient::User(recipient) => {
                    of_user[send.sender.0 as usize].push(send_no);
                    if recipient != send.sender {
                        of_user[recipient.0 as usize].push(send_no);
                    }
                }
                Recipient::Group(group) => {
                    let members = &self.history.groups[group.0 as usize].members;
                    for (member, stays) in members {
                        if stays.iter().any(|stay| stay.must_have(send)) {
                            of_user[member.0 as usize].push(send_no);
                        }
                    }
                }
            }
        }
        for sightings in &self.history.sightings {
            let seen = self.each_once(sightings);
            if !sightings.left {
                self.all_there(sightings, &seen, &of_user[sightings.user.0 as usize]);
            }
        }
        for (&send_no, &(seen, terminals)) in &self.unknown {
            if seen != 0 && seen != terminals {
                let message = self.history.name(send_no);
                self.found.push(Violation::Torn { message, seen, terminals });
            }
        }
    }

    /// The messages that a terminal saw, sorted.
    fn each_once(&mut self, sightings: &Sightings) -> Vec<SendNo> {
        let mut seen: Vec<(SendNo, i64)> =
            sightings.entries.iter().filter_map(|e| self.tombstones.message_at(e)).collect();
        seen.sort_unstable();
        for pair in seen.windows(2) {
            let [(one, first), (other, second)] = [pair[0], pair[1]];
            if one == other && one.index() < self.history.sends.len() {
                let (terminal, message) = (sightings.name.clone(), self.history.name(one));
                self.found.push(Violation::Duplicate { terminal, message, first, second });
            }
        }
        seen.into_iter().map(|(send_no, _)| send_no).collect()
    }

    fn all_there(&mut self, sightings: &Sightings, seen: &[SendNo], expected: &[SendNo]) {
        for &send_no in expected.iter().filter(|&&send_no| send_no >= sightings.since) {
            let is_seen = seen.binary_search(&send_no).is_ok();
            match self.history.sends[send_no.index()].outcome {
                Outcome::Acked { .. } if !is_seen => {
                    let (terminal, message) = (sightings.name.clone(), self.history.name(send_no));
                    self.found.push(Violation::Missing { terminal, message });
                }
                Outcome::Unknown => {
                    let (count, terminals) = self.unknown.entry(send_no).or_default();
                    *count += u32::from(is_seen);
                    *terminals += 1;
                }
                Outcome::Acked { .. } | Outcome::Refused => {}
            }
        }
    }

    /// All terminals of a user have the same entries at the same places, and what was acknowledged
    /// before something was sent stands before it.
    fn one_story(&mut self, user: User) {
        let terminals = || self.history.sightings.iter().filter(|sightings| sightings.user == user);
        let mut entries: Vec<(Sighting, &Arc<str>)> = terminals()
            .flat_map(|sightings| sightings.entries.iter().map(|entry| (*entry, &sightings.name)))
            .collect();
        entries.sort_by_key(|(entry, _)| entry.seq);
        let Some(reaches) = entries.last().map(|(entry, _)| entry.seq) else { return };
        for sightings in terminals().filter(|sightings| !sightings.left) {
            let last = sightings.entries.iter().map(|e| e.seq).max().unwrap_or(sightings.after);
            if last < reaches {
                let terminal = sightings.name.clone();
                self.found.push(Violation::Behind { terminal, last, reaches });
            }
        }
        let mut story = Vec::new();
        for place in entries.chunk_by(|(one, _), (other, _)| one.seq == other.seq) {
            let (told, one) = place[0];
            story.push(told);
            let told_otherwise = |(entry, _): &&(Sighting, &Arc<str>)| {
                let what = |entry| self.tombstones.what(entry);
                what(entry) != what(&told) || entry.message_id != told.message_id
            };
            if let Some((_, other)) = place.iter().find(told_otherwise) {
                let user = self.history.users[user.0 as usize].clone();
                let (one, other) = (one.clone(), (*other).clone());
                self.found.push(Violation::Different { user, seq: told.seq, one, other });
            }
        }
        self.order(user, &story);
    }

    fn order(&mut self, user: User, story: &[Sighting]) {
        // The one of the messages so far that was sent last: of those to users, which are appended where
        // they go before they are acknowledged, and of those to each group, which members get later.
        let mut latest: HashMap<Option<Group>, (u32, SendNo)> = HashMap::new();
        let tombstones = &self.tombstones;
        for (send_no, _) in story.iter().filter_map(|entry| tombstones.message_at(entry)) {
            let Some(send) = self.history.sends.get(send_no.index()) else { continue };
            let latest = latest.entry(send.group()).or_insert((send.at, send_no));
            let (sent_at, later) = *latest;
            if matches!(send.outcome, Outcome::Acked { at, .. } if at < sent_at) {
                let user = self.history.users[user.0 as usize].clone();
                let (earlier, later) = (self.history.name(send_no), self.history.name(later));
                self.found.push(Violation::Order { user, earlier, later });
            }
            *latest = (*latest).max((send.at, send_no));
        }
    }

    /// All members have a group's messages in one order. They are compared with the terminal that has
    /// most of them.
    fn one_order(&mut self) {
        let mut groups: BTreeMap<Group, Vec<(&Arc<str>, _)>> = BTreeMap::new();
        for sightings in &self.history.sightings {
            for (group, seen) in self.seen_in_groups(sightings) {
                groups.entry(group).or_default().push((&sightings.name, seen));
            }
        }
        let mut found = Vec::new();
        for all in groups.into_values() {
            let Some((model, longest)) = all.iter().max_by_key(|(_, seen)| seen.len()) else {
                continue;
            };
            let places: HashMap<SendNo, usize> = longest.iter().copied().zip(0..).collect();
            for (terminal, seen) in &all {
                let known = seen.iter().filter_map(|sent| Some((places.get(sent)?, *sent)));
                let known: Vec<_> = known.collect();
                let turned = known.windows(2).find(|pair| pair[0].0 > pair[1].0);
                if let Some(&[(_, earlier), (_, later)]) = turned {
                    found.push(Violation::GroupOrder {
                        terminal: (*terminal).clone(),
                        earlier: self.history.name(earlier),
                        later: self.history.name(later),
                        model: (*model).clone(),
                    });
                }
            }
        }
        self.found.extend(found);
    }

    /// The messages to groups that a terminal saw, in their order there, each where it first came.
    fn seen_in_groups(&self, sightings: &Sightings) -> BTreeMap<Group, Vec<SendNo>> {
        let mut groups: BTreeMap<Group, Vec<SendNo>> = BTreeMap::new();
        let mut known = HashSet::new();
        for entry in &sightings.entries {
            let Some((send_no, _)) = self.tombstones.message_at(entry) else { continue };
            let group = self.history.sends.get(send_no.index()).and_then(Send::group);
            if let Some(group) = group
                && known.insert(send_no)
            {
                groups.entry(group).or_default().push(send_no);
            }
        }
        groups
    }
}

/// Whether a user gets a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Concern {
    Ours,
    /// It is to a group that the user was a member of, but not then.
    OtherTimes,
    Never,
}

impl History {
    fn concerns(&self, send: &Send, user: User) -> Concern {
        match send.recipient {
            Recipient::User(recipient) if [send.sender, recipient].contains(&user) => Concern::Ours,
            Recipient::User(_) => Concern::Never,
            Recipient::Group(group) => match self.groups[group.0 as usize].members.get(&user) {
                None => Concern::Never,
                Some(stays) if stays.iter().any(|stay| stay.may_have(send)) => Concern::Ours,
                Some(_) => Concern::OtherTimes,
            },
        }
    }

    fn name(&self, send_no: SendNo) -> Message {
        let Self { users, sends, .. } = self;
        let send = &sends[send_no.index()];
        let name = |user: User| users[user.0 as usize].clone();
        let recipient = match send.recipient {
            Recipient::User(user) => name(user),
            Recipient::Group(group) => self.groups[group.0 as usize].name.clone(),
        };
        Message { number: send_no.0, sender: name(send.sender), recipient }
    }
}
