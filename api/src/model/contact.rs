//! Contacts, and from whom users take messages and invitations.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Error, Result, UserId, UserNo, is_line};

/// How many contacts and requests one may have.
pub const MOST_CONTACTS: i64 = 5000;

/// The longest remark, in characters.
const MAX_REMARK_LENGTH: usize = 64;

/// The longest note of a request, in characters.
const MAX_NOTE_LENGTH: usize = 200;

/// Who may do something to a user. Numbered as in the contract and in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", rename_all = "lowercase")]
pub enum WhoMay {
    /// Every user whom it does not block.
    Anyone = 1,
    /// Its contacts.
    Contacts = 2,
    /// Nobody.
    Nobody = 3,
}

impl WhoMay {
    const ALL: [Self; 3] = [Self::Anyone, Self::Contacts, Self::Nobody];

    /// The one with this number, if there is one.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|who| *who as i16 == number)
    }

    /// The name in the contract: `ANYONE` …
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Anyone => "ANYONE",
            Self::Contacts => "CONTACTS",
            Self::Nobody => "NOBODY",
        }
    }
}

impl TryFrom<String> for WhoMay {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        match name.as_str() {
            "anyone" => Ok(Self::Anyone),
            "contacts" => Ok(Self::Contacts),
            "nobody" => Ok(Self::Nobody),
            _ => Err("expected `anyone`, `contacts` or `nobody`"),
        }
    }
}

/// What a user takes from whom. Stored as JSON: fields are added, never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub struct UserSettings {
    /// Who may write to it.
    pub messages_from: WhoMay,
    /// Who may add it to groups at once.
    pub groups_invite_from: WhoMay,
    /// Who may see whether it is there.
    #[serde(default = "anyone")]
    pub presence_visible_to: WhoMay,
    /// Whether those see the types of the terminals that it is there with.
    #[serde(default = "shown")]
    pub presence_terminal_types: bool,
    /// Whether it looks as if it were not there.
    #[serde(default)]
    pub invisible: bool,
}

/// What held before there was a choice.
fn anyone() -> WhoMay {
    WhoMay::Anyone
}

/// What held before there was a choice.
fn shown() -> bool {
    true
}

/// What is to become of one of [`UserSettings`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SettingChange {
    /// It stays as it is.
    #[default]
    Keep,
    /// It follows the deployment, now and when that changes.
    Default,
    /// It is the user's own.
    Set(WhoMay),
}

/// What is to change of [`UserSettings`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChangeSettings {
    /// Who may write to the user.
    pub messages_from: SettingChange,
    /// Who may add it to groups at once.
    pub groups_invite_from: SettingChange,
    /// Who may see whether it is there.
    pub presence_visible_to: SettingChange,
    /// Whether those see the types of its terminals; `None` to leave that as it is.
    pub presence_terminal_types: Option<bool>,
    /// Whether it looks as if it were not there; `None` to leave that as it is.
    pub invisible: Option<bool>,
}

/// How two users stand to each other, as one of them sees it. Numbered as in the contract and in the
/// database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContactState {
    /// The one has asked.
    Sent = 1,
    /// The other has asked.
    Received = 2,
    /// They are contacts.
    Accepted = 3,
}

impl ContactState {
    const ALL: [Self; 3] = [Self::Sent, Self::Received, Self::Accepted];

    /// The state with this number, if there is one.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as i16 == number)
    }
}

/// A user whom another knows, has asked, or who asks.
#[derive(Debug, Clone)]
pub struct Contact {
    /// Which user.
    pub user_id: UserId,
    /// The same, by number.
    pub user_no: UserNo,
    /// How the two stand to each other.
    pub state: ContactState,
    /// What the owner calls the user; may be empty.
    pub remark: String,
    /// In the words of whoever asked; may be empty.
    pub note: String,
    /// Since when they stand so.
    pub changed_at: OffsetDateTime,
}

/// What became of a contact. Numbered as in the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ContactChange {
    /// The timeline's owner has asked the user.
    Sent = 1,
    /// The user has asked the timeline's owner.
    Received = 2,
    /// They are contacts from now on.
    Accepted = 3,
    /// Whoever was asked has declined.
    Declined = 4,
    /// Whoever has asked takes it back.
    Withdrawn = 5,
    /// They are contacts no longer.
    Removed = 6,
    /// The timeline's owner calls the user something else.
    Remarked = 7,
}

/// A change of a contact. Stored as JSON: fields are added, never renamed.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct ContactChanged {
    /// Which user.
    pub user_id: UserId,
    /// What became of it.
    pub change: ContactChange,
    /// What the owner calls the user; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remark: String,
    /// In the words of whoever asked; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// Checks what is said of a contact. Errors: [`Error::InvalidArgument`].
pub fn check_contact_lines(remark: Option<&str>, note: &str) -> Result<()> {
    for (field, value, most) in
        [("remark", remark.unwrap_or_default(), MAX_REMARK_LENGTH), ("note", note, MAX_NOTE_LENGTH)]
    {
        if value.chars().count() > most || !is_line(value) {
            let reason = format!("must be a line of at most {most} characters");
            return Err(Error::invalid(field, reason));
        }
    }
    Ok(())
}
