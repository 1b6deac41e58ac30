//! Accounts' states, terminals and sessions.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{DeviceId, Error, Result, SessionId, UserId, error::did_you_mean, nearest};

/// The longest name for people, in characters.
const MAX_DISPLAY_NAME_LENGTH: usize = 64;

/// A session that was used within this time, or has a stream open, occupies its place (see
/// [`IfOccupied::Refuse`]).
pub const RECENT_USE: Duration = Duration::from_mins(2);

/// The largest limit of live sessions of one terminal type.
pub const MAX_SESSION_LIMIT: i32 = 100;

/// Whether a user may log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserState {
    /// May log in.
    Active,
    /// May not log in; still receives messages.
    Disabled,
    /// Is no more; its id is not given out again.
    Deleted,
    /// Speaks for the system: nobody logs in as it, and it can be sent to.
    System,
}

/// A kind of terminal, how many live sessions a user may have of it, and beside which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TerminalType {
    /// `phone`, `pc` …
    pub name: String,
    /// At least 1.
    pub session_limit: i32,
    /// The types of which a user has no live session beside one of this type, by name.
    pub excludes: Vec<String>,
}

impl TerminalType {
    /// What [`TerminalType::is_name`] asks for, as an error says it.
    pub const NAME_RULE: &str = "must be 1–32 characters of a-z 0-9 _ - that begin with a letter";

    /// Whether `name` can name a terminal type: a letter, then up to 31 letters, digits, `_` or `-`,
    /// all in lower case.
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        let rest = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        name.len() <= 32
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(rest)
    }

    /// Says that what was given as `field` is none of the types that there are.
    #[must_use]
    pub fn none_of(field: &'static str, all: &[Self]) -> Error {
        let names: Vec<&str> = all.iter().map(|of| of.name.as_str()).collect();
        Error::invalid(field, format!("must be one of {}", names.join(", ")))
    }

    /// Says that `name`, given among others as `names`, is none of the types that there are.
    pub fn unknown<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Error {
        let meant = did_you_mean(nearest(name, known));
        Error::invalid("names", format!("there is no terminal type {name:?}{meant}"))
    }
}

/// What a session is opened on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminal {
    /// The name of a terminal type.
    #[serde(rename = "type")]
    pub terminal_type: String,
    /// The installation.
    pub device_id: DeviceId,
    /// What people call the device; may be empty.
    pub device_name: String,
}

impl Terminal {
    /// Checks what a client gave as `terminal`. Whether the type exists is known to the store alone.
    pub fn parse(terminal_type: String, device_id: String, device_name: String) -> Result<Self> {
        if !TerminalType::is_name(&terminal_type) {
            let reason = format!("{}, such as phone", TerminalType::NAME_RULE);
            return Err(Error::invalid("terminal.type", reason));
        }
        if !is_display_name(&device_name) {
            let reason = format!(
                "must be at most {MAX_DISPLAY_NAME_LENGTH} characters, none of them a control character or a change of direction"
            );
            return Err(Error::invalid("terminal.device_name", reason));
        }
        let device_id = DeviceId::parse("terminal.device_id", device_id)?;
        Ok(Self { terminal_type, device_id, device_name })
    }
}

/// Whether people may call a device or a user by `name`: at most 64 characters, none of them unfit for
/// a line of text; it may be empty.
#[must_use]
pub fn is_display_name(name: &str) -> bool {
    name.chars().count() <= MAX_DISPLAY_NAME_LENGTH && is_line(name)
}

/// Whether a text can stand in a line beside others: no control characters, and none that change the
/// direction of what stands around it.
#[must_use]
pub fn is_line(text: &str) -> bool {
    let turns = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !text.chars().any(|c| c.is_control() || turns(c))
}

/// What a login does when its terminal type has no place free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IfOccupied {
    /// End the oldest sessions of the type.
    #[default]
    Replace,
    /// Refuse the login while a session that would have to end has a stream open or was used within
    /// [`RECENT_USE`].
    Refuse,
}

/// One login of one device.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Session {
    /// Its id.
    pub session_id: SessionId,
    /// Where it was opened.
    pub terminal: Terminal,
    /// When the login committed.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// The last login, refresh, or start or end of a stream.
    #[serde(with = "time::serde::rfc3339")]
    pub last_used_at: OffsetDateTime,
    /// Whether a stream of it is open on some node. Known to listings alone.
    #[serde(skip)]
    pub online: bool,
    /// How it ended; `None` while it is live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<SessionEnd>,
}

/// How and why a session ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEnd {
    /// Why.
    pub reason: EndReason,
    /// The type of the terminal that ended it; empty when none did.
    pub by_terminal_type: String,
    /// The name of the device that ended it; empty when none did.
    pub by_device_name: String,
    /// When, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub ended_at: OffsetDateTime,
    /// A word from the administrator; may be empty.
    pub note: String,
}

impl Session {
    /// Who a login would disturb by ending this session for `reason`: nobody when the session is the
    /// same device's, or has no stream and was not used within [`RECENT_USE`].
    #[must_use]
    pub fn occupant(
        &self,
        user_id: &UserId,
        reason: EndReason,
        now: OffsetDateTime,
    ) -> Option<Occupant> {
        let in_use = self.online || now - self.last_used_at < RECENT_USE;
        (reason == EndReason::Replaced && in_use).then(|| Occupant {
            user_id: user_id.clone(),
            terminal_type: self.terminal.terminal_type.clone(),
            device_name: self.terminal.device_name.clone(),
            last_used_at: self.last_used_at,
        })
    }
}

/// The sessions that have to end so that `terminal` can log in, with the reasons (I1): the device's
/// own earlier ones, of those of its type so many of the oldest that its limit holds again, and all of
/// the types that it excludes. `live` is sorted, the oldest first.
#[must_use]
pub fn make_room(
    live: &[Session],
    terminal: &Terminal,
    terminal_type: &TerminalType,
) -> Vec<(Session, EndReason)> {
    let limit = usize::try_from(terminal_type.session_limit).unwrap_or(0).max(1);
    let (own, others): (Vec<_>, Vec<_>) =
        live.iter().cloned().partition(|session| session.terminal.device_id == terminal.device_id);
    let (mut of_type, others): (Vec<_>, Vec<_>) = others
        .into_iter()
        .partition(|session| session.terminal.terminal_type == terminal_type.name);
    of_type.truncate((of_type.len() + 1).saturating_sub(limit));
    let excluded = others
        .into_iter()
        .filter(|session| terminal_type.excludes.contains(&session.terminal.terminal_type));
    let superseded = own.into_iter().map(|session| (session, EndReason::Superseded));
    let replaced =
        of_type.into_iter().chain(excluded).map(|session| (session, EndReason::Replaced));
    superseded.chain(replaced).collect()
}

/// Why a session ended. Numbered as in the contract and in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EndReason {
    /// Another device logged in as the same terminal type, or as one that excludes it.
    Replaced = 1,
    /// The same device logged in again.
    Superseded = 2,
    /// An administrator ended it.
    Kicked = 3,
    /// The user ended it.
    LoggedOut = 4,
    /// Not used for longer than a refresh token lasts.
    Expired = 5,
    /// The password was changed.
    PasswordChanged = 6,
    /// The account was disabled.
    UserDisabled = 7,
    /// The account was deleted.
    UserDeleted = 8,
    /// A refresh token that had been exchanged already was used again.
    TokenReused = 9,
}

impl EndReason {
    const ALL: [Self; 9] = [
        Self::Replaced,
        Self::Superseded,
        Self::Kicked,
        Self::LoggedOut,
        Self::Expired,
        Self::PasswordChanged,
        Self::UserDisabled,
        Self::UserDeleted,
        Self::TokenReused,
    ];

    /// The reason with this number, if there is one.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as i16 == number)
    }

    /// The name in the contract: `REPLACED` …
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Replaced => "REPLACED",
            Self::Superseded => "SUPERSEDED",
            Self::Kicked => "KICKED",
            Self::LoggedOut => "LOGGED_OUT",
            Self::Expired => "EXPIRED",
            Self::PasswordChanged => "PASSWORD_CHANGED",
            Self::UserDisabled => "USER_DISABLED",
            Self::UserDeleted => "USER_DELETED",
            Self::TokenReused => "TOKEN_REUSED",
        }
    }
}

/// Who holds the place that a login with [`IfOccupied::Refuse`] wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occupant {
    /// The account.
    pub user_id: UserId,
    /// The terminal type.
    pub terminal_type: String,
    /// The device's name.
    pub device_name: String,
    /// When it was last used.
    pub last_used_at: OffsetDateTime,
}
