//! Whether users are there.

use std::time::Duration;

use time::OffsetDateTime;

use super::{UserId, WhoMay};

/// How many users a stream may watch.
pub const MOST_WATCHED: usize = 500;

/// How a user is. Numbered as in the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PresenceState {
    /// A terminal of the user has a stream open, or had one a moment ago.
    Online = 1,
    /// So it has, and nobody is at any of them.
    Idle = 2,
    /// It has none, or does not let the one who asks see.
    Offline = 3,
}

/// How a user is, as another may see.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Presence {
    /// Which user.
    pub user_id: UserId,
    /// How it is.
    pub state: PresenceState,
    /// The types of the terminals that it is there with, sorted; empty where it does not show them.
    pub terminal_types: Vec<String>,
    /// Of who is offline: when it was there last, to the minute; `None` where that is not known or not shown.
    pub last_seen: Option<OffsetDateTime>,
}

/// How a user is, and who may see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Whereabouts {
    /// The types of the terminals that it is there with, sorted; empty when it is not there.
    pub terminal_types: Vec<String>,
    /// Whether nobody is at them; `None` when that cannot be told, because each has just lost its stream.
    pub idle: Option<bool>,
    /// Of who is not there: when it was.
    pub last_seen: Option<OffsetDateTime>,
    /// Who may see this; `None` for what the deployment says.
    pub visible_to: Option<WhoMay>,
    /// Whether the terminal types are shown; `None` for what the deployment says.
    pub shows_types: Option<bool>,
    /// Whether it wants to look as if it were not there.
    pub invisible: bool,
    /// In how long it will be seen to have left with a terminal, unless that comes back.
    pub leaves_in: Option<Duration>,
}

/// What users show who have not said.
#[derive(Debug, Clone, Copy)]
pub struct PresenceDefaults {
    /// To whom.
    pub visible_to: WhoMay,
    /// Whether the types of their terminals, too.
    pub shows_types: bool,
}

/// How one who looks stands to the user whom it looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relation {
    /// It is the same user.
    pub same: bool,
    /// One of the two blocks the other.
    pub blocked: bool,
    /// The user has it among its contacts.
    pub contact: bool,
}

impl Whereabouts {
    /// What one sees who stands so to the user.
    #[must_use]
    pub fn seen(&self, user_id: UserId, by: Relation, defaults: PresenceDefaults) -> Presence {
        let may = match self.visible_to.unwrap_or(defaults.visible_to) {
            WhoMay::Anyone => true,
            WhoMay::Contacts => by.contact,
            WhoMay::Nobody => false,
        };
        let seen = by.same || (may && !by.blocked && !self.invisible);
        let there = !self.terminal_types.is_empty();
        let (state, terminal_types, last_seen) = if !seen {
            (PresenceState::Offline, Vec::new(), None)
        } else if there {
            let shown = by.same || self.shows_types.unwrap_or(defaults.shows_types);
            let types = if shown { self.terminal_types.clone() } else { Vec::new() };
            let idle = self.idle.unwrap_or_default();
            (if idle { PresenceState::Idle } else { PresenceState::Online }, types, None)
        } else {
            (PresenceState::Offline, Vec::new(), self.last_seen.map(to_the_minute))
        };
        Presence { user_id, state, terminal_types, last_seen }
    }
}

fn to_the_minute(at: OffsetDateTime) -> OffsetDateTime {
    let seconds = at.unix_timestamp();
    OffsetDateTime::from_unix_timestamp(seconds - seconds.rem_euclid(60)).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const STRANGER: Relation = Relation { same: false, blocked: false, contact: false };
    const DEFAULTS: PresenceDefaults =
        PresenceDefaults { visible_to: WhoMay::Anyone, shows_types: true };

    fn seen(whereabouts: &Whereabouts, by: Relation) -> (PresenceState, usize, bool) {
        let seen = whereabouts.seen(UserId::from_stored("bob"), by, DEFAULTS);
        (seen.state, seen.terminal_types.len(), seen.last_seen.is_some())
    }

    #[test]
    fn who_may_not_see_sees_what_one_sees_of_who_was_never_there() {
        let there = Whereabouts { terminal_types: vec!["pc".to_owned()], ..Whereabouts::default() };
        let gone =
            Whereabouts { last_seen: Some(OffsetDateTime::UNIX_EPOCH), ..Whereabouts::default() };
        let nothing = (PresenceState::Offline, 0, false);
        let contact = Relation { contact: true, ..STRANGER };
        for of in [there, gone] {
            let contacts = Whereabouts { visible_to: Some(WhoMay::Contacts), ..of.clone() };
            let nobody = Whereabouts { visible_to: Some(WhoMay::Nobody), ..of.clone() };
            let invisible = Whereabouts { invisible: true, ..of.clone() };
            let shown = seen(&of, STRANGER);
            assert_ne!(shown, nothing);
            assert_eq!(seen(&of, Relation { blocked: true, ..contact }), nothing);
            assert_eq!((seen(&contacts, STRANGER), seen(&contacts, contact)), (nothing, shown));
            assert_eq!((seen(&nobody, contact), seen(&invisible, contact)), (nothing, nothing));
            let same = Relation { same: true, ..STRANGER };
            assert_eq!(seen(&Whereabouts { invisible: true, ..nobody }, same), shown);
        }
    }

    #[test]
    fn when_somebody_was_there_is_told_to_the_minute() {
        let at = datetime!(2026-11-23 07:30:59.9 UTC);
        let gone = Whereabouts { last_seen: Some(at), ..Whereabouts::default() };
        let seen = gone.seen(UserId::from_stored("bob"), STRANGER, DEFAULTS);
        assert_eq!(seen.last_seen, Some(datetime!(2026-11-23 07:30 UTC)));
    }
}
