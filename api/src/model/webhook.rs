//! Webhooks: what servers of the customer's are told of.

use serde::{Deserialize, Serialize};

use super::{EntryKind, Error, GroupId, MemberChange, Result, TimelineNo, UserId};

/// The most ids in each list of a filter.
const MOST_FILTERED: usize = 100;

/// Defines the kinds of events, one a row: its number in the database, which is never given to another kind, and its
/// name in the contract.
macro_rules! event_kinds {
    ($($(#[doc = $doc:literal])+ $number:literal => $kind:ident $name:literal,)+) => {
        /// What a webhook is told of. Numbered as in the database.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum EventKind {
            $($(#[doc = $doc])+ $kind = $number,)+
        }

        impl EventKind {
            /// All there are, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$kind),+];

            /// Its name in the contract.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                }
            }

            /// The kind with this number; `None` for one that a newer node knows.
            #[must_use]
            pub fn from_number(number: i16) -> Option<Self> {
                match number {
                    $($number => Some(Self::$kind),)+
                    _ => None,
                }
            }
        }
    };
}

event_kinds! {
    /// A message was sent, by a user or a backend.
    1 => MessageSent "message.sent",
    /// A message was recalled.
    2 => MessageRecalled "message.recalled",
    /// A message was edited.
    3 => MessageEdited "message.edited",
    /// A user logged in on a terminal.
    4 => SessionStarted "session.started",
    /// A session ended, for whatever reason.
    5 => SessionEnded "session.ended",
    /// A group was made.
    6 => GroupCreated "group.created",
    /// What is set of a group has changed.
    7 => GroupChanged "group.changed",
    /// A group was dissolved.
    8 => GroupDissolved "group.dissolved",
    /// Users have become members of a group.
    9 => MemberJoined "member.joined",
    /// A member has left a group.
    10 => MemberLeft "member.left",
    /// Members were removed from a group.
    11 => MemberRemoved "member.removed",
    /// A member of a group has another role or nickname, or was muted.
    12 => MemberChanged "member.changed",
    /// A user has read a conversation up to a place.
    13 => Read "read",
    /// An account was made for a user.
    14 => UserCreated "user.created",
    /// A user may not log in any more.
    15 => UserDisabled "user.disabled",
    /// A user may log in again.
    16 => UserEnabled "user.enabled",
    /// An account was deleted.
    17 => UserDeleted "user.deleted",
    /// None of a user's terminals has got a message for a while.
    18 => Undelivered "delivery.undelivered",
}

impl EventKind {
    /// What an entry of `owner`'s timeline tells, part by part. Of a message between two users the caller says in
    /// which of the two timelines its recall or edit is told.
    #[must_use]
    pub fn of(owner: TimelineNo, entry: &EntryKind) -> Vec<Self> {
        let in_group = owner.group().is_some();
        match entry {
            EntryKind::SessionChanged(changed) => {
                let ended = changed.ended.iter().map(|_| Self::SessionEnded);
                ended.chain(changed.started.iter().map(|_| Self::SessionStarted)).collect()
            }
            EntryKind::MessageRecalled(_) => vec![Self::MessageRecalled],
            EntryKind::MessageEdited(_) => vec![Self::MessageEdited],
            EntryKind::ReadMark(_) => vec![Self::Read],
            EntryKind::GroupChanged(changed) if in_group => vec![match &changed.change {
                changed if changed.dissolved => Self::GroupDissolved,
                changed if changed.version == 1 => Self::GroupCreated,
                _ => Self::GroupChanged,
            }],
            EntryKind::MemberChanged(changed) if in_group => vec![match changed.change.change {
                MemberChange::Joined => Self::MemberJoined,
                MemberChange::Left => Self::MemberLeft,
                MemberChange::Removed => Self::MemberRemoved,
                MemberChange::RoleChanged | MemberChange::Muted | MemberChange::NicknameChanged => {
                    Self::MemberChanged
                }
            }],
            _ => Vec::new(),
        }
    }

    /// The kinds that these patterns stand for, sorted: names, `message.*` and the like, and `*` for all there are.
    ///
    /// Errors: [`Error::InvalidArgument`] for `kinds`.
    pub fn parse(patterns: &[String]) -> Result<Vec<Self>> {
        let mut kinds = Vec::new();
        for pattern in patterns {
            let meant = Self::ALL.iter().filter(|kind| kind.is_meant_by(pattern));
            let before = kinds.len();
            kinds.extend(meant.copied());
            if kinds.len() == before {
                let known: Vec<&str> = Self::ALL.iter().map(|kind| kind.name()).collect();
                let reason = format!("must be of those that there are: {}", known.join(", "));
                return Err(Error::invalid("kinds", reason));
            }
        }
        if kinds.is_empty() {
            return Err(Error::invalid("kinds", "must name one kind of event at least"));
        }
        kinds.sort_unstable();
        kinds.dedup();
        Ok(kinds)
    }

    fn is_meant_by(self, pattern: &str) -> bool {
        let name = self.name();
        match pattern.strip_suffix('*') {
            Some("") => true,
            Some(group) => group.ends_with('.') && name.starts_with(group),
            None => name == pattern,
        }
    }
}

/// Of whom and what a webhook is told: an event has to pass each list that is not empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WebhookFilter {
    /// One of these users has a part in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub user_ids: Vec<UserId>,
    /// It is of one of these groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub group_ids: Vec<GroupId>,
    /// It is about a message that one of these has sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sender_ids: Vec<UserId>,
}

impl WebhookFilter {
    /// Checks what an administrator gave.
    ///
    /// Errors: [`Error::InvalidArgument`].
    pub fn parse(user_ids: &[String], group_ids: &[String], sender_ids: &[String]) -> Result<Self> {
        let user = |field| move |id: &String| UserId::parse(field, id);
        let group = |id: &String| GroupId::parse("filter.group_ids", id);
        Ok(Self {
            user_ids: ids("filter.user_ids", user_ids, user("filter.user_ids"))?,
            group_ids: ids("filter.group_ids", group_ids, group)?,
            sender_ids: ids("filter.sender_ids", sender_ids, user("filter.sender_ids"))?,
        })
    }

    /// Whether every event passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.user_ids.is_empty() && self.group_ids.is_empty() && self.sender_ids.is_empty()
    }
}

/// A list of a filter, each id once.
fn ids<T: Clone + Ord>(
    field: &'static str,
    given: &[String],
    parse: impl Fn(&String) -> Result<T>,
) -> Result<Vec<T>> {
    if given.len() > MOST_FILTERED {
        return Err(Error::invalid(field, format!("must be at most {MOST_FILTERED}")));
    }
    let mut ids: Vec<T> = given.iter().map(parse).collect::<Result<_>>()?;
    ids.sort();
    ids.dedup();
    Ok(ids)
}

/// Whether a webhook is told of events. Numbered as in the contract and in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookState {
    /// It is.
    Active = 1,
    /// An administrator has paused it: its events wait.
    Paused = 2,
    /// It has acknowledged nothing for a day, and its events wait until an administrator resumes it.
    Dead = 3,
    /// It has answered 410: it is told of nothing any more, and nothing waits for it.
    Gone = 4,
}

impl WebhookState {
    const ALL: [Self; 4] = [Self::Active, Self::Paused, Self::Dead, Self::Gone];

    /// The state with this number, if there is one.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as i16 == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(patterns: &[&str]) -> Result<Vec<&'static str>> {
        let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        Ok(EventKind::parse(&patterns)?.into_iter().map(EventKind::name).collect())
    }

    #[test]
    fn a_star_stands_for_the_kinds_of_a_group_or_for_all() {
        assert_eq!(names(&["session.*", "message.sent"]).expect("kinds").len(), 3);
        assert_eq!(names(&["*", "read"]).expect("kinds").len(), EventKind::ALL.len());
        assert_eq!(names(&["session.ended", "session.ended"]).expect("kinds"), ["session.ended"]);
    }

    #[test]
    fn what_is_no_kind_is_refused() {
        for wrong in [&["message"][..], &["message*"], &["message.sent", ""], &["x.*"], &[]] {
            assert!(names(wrong).is_err(), "{wrong:?}");
        }
    }
}
