//! Contacts, and what users take from whom.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::id::UserId;
use crate::model::{self, ChangeSettings, Page, SettingChange};

/// How two users stand to each other, as the caller sees it. The set is open.
///
/// `SENT`: the caller has asked, and waits for an answer. `RECEIVED`: the other has asked, and waits for the
/// caller's answer. `ACCEPTED`: they are contacts.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(in crate::rest) enum ContactState {
    Sent,
    Received,
    Accepted,
}

/// What is wished of a contact.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(examples(json!({ "remark": "Ben from the gym", "note": "We met on Sunday" })))]
pub(crate) struct SetContactRequest {
    /// What the caller calls the user: up to 64 characters on one line. Absent: stays as it is.
    pub(in crate::rest) remark: Option<String>,
    /// For the user who is asked: up to 200 characters on one line.
    #[serde(default)]
    pub(in crate::rest) note: String,
}

/// A user whom the caller knows, has asked, or who asks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "user_id": "ben",
    "state": "ACCEPTED",
    "remark": "Ben from the gym",
    "note": "We met on Sunday",
    "changed_at": "2026-11-23T07:30:00.123456Z",
})))]
pub(crate) struct Contact {
    user_id: UserId,
    state: ContactState,
    /// What the caller calls the user; may be empty. Nobody else sees it.
    remark: String,
    /// In the words of whoever asked; may be empty.
    note: String,
    /// Since when the two stand so.
    #[serde(with = "time::serde::rfc3339")]
    changed_at: OffsetDateTime,
}

/// A page of contacts and requests.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ContactList {
    contacts: Vec<Contact>,
    /// For the next page; empty on the last one.
    next_page_token: String,
}

/// Who may do something to a user. The set is open.
///
/// `ANYONE`: every user whom it does not block. `CONTACTS`: its contacts. `NOBODY`: nobody.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum WhoMay {
    Anyone,
    Contacts,
    Nobody,
}

/// Who is to be allowed something. `DEFAULT`: whom the deployment says, now and when that changes; the
/// others as in `WhoMay`.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum WhoIsToBe {
    Anyone,
    Contacts,
    Nobody,
    Default,
}

/// What is to change of the settings; what is absent stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(examples(json!({ "messages_from": "CONTACTS" })))]
pub(crate) struct UpdateSettingsRequest {
    messages_from: Option<WhoIsToBe>,
    groups_invite_from: Option<WhoIsToBe>,
    presence_visible_to: Option<WhoIsToBe>,
    presence_terminal_types: Option<bool>,
    invisible: Option<bool>,
}

/// What a user takes from whom.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Settings {
    /// Who may write to the user.
    messages_from: WhoMay,
    /// Who may add the user to groups; what others wish becomes an invitation, which the user may follow by
    /// joining.
    groups_invite_from: WhoMay,
    /// Who may see whether the user is there.
    presence_visible_to: WhoMay,
    /// Whether those see the types of the terminals that it is there with.
    presence_terminal_types: bool,
    /// Whether it looks to everybody as if it were not there.
    invisible: bool,
}

/// What became of a contact. The set is open.
///
/// `SENT`: the timeline's owner has asked the user. `RECEIVED`: the user has asked the owner. `ACCEPTED`: they
/// are contacts from now on. `DECLINED`: whoever was asked has declined. `WITHDRAWN`: whoever has asked takes
/// it back. `REMOVED`: they are contacts no longer, or the account of the user was deleted. `REMARKED`: the
/// owner calls the user something else.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum ContactChange {
    Sent,
    Received,
    Accepted,
    Declined,
    Withdrawn,
    Removed,
    Remarked,
}

/// A contact of the timeline's owner was made, changed or removed, by either of the two.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ContactChanged {
    user_id: UserId,
    change: ContactChange,
    /// What the owner calls the user; may be empty.
    remark: String,
    /// In the words of whoever asked; may be empty.
    note: String,
}

impl From<ContactState> for model::ContactState {
    fn from(state: ContactState) -> Self {
        match state {
            ContactState::Sent => Self::Sent,
            ContactState::Received => Self::Received,
            ContactState::Accepted => Self::Accepted,
        }
    }
}

impl From<model::Contact> for Contact {
    fn from(contact: model::Contact) -> Self {
        Self {
            user_id: (&contact.user_id).into(),
            state: match contact.state {
                model::ContactState::Sent => ContactState::Sent,
                model::ContactState::Received => ContactState::Received,
                model::ContactState::Accepted => ContactState::Accepted,
            },
            remark: contact.remark,
            note: contact.note,
            changed_at: contact.changed_at,
        }
    }
}

impl From<Page<model::Contact>> for ContactList {
    fn from(page: Page<model::Contact>) -> Self {
        Self {
            contacts: page.items.into_iter().map(Contact::from).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }
    }
}

impl From<model::WhoMay> for WhoMay {
    fn from(who: model::WhoMay) -> Self {
        match who {
            model::WhoMay::Anyone => Self::Anyone,
            model::WhoMay::Contacts => Self::Contacts,
            model::WhoMay::Nobody => Self::Nobody,
        }
    }
}

impl From<Option<WhoIsToBe>> for SettingChange {
    fn from(who: Option<WhoIsToBe>) -> Self {
        match who {
            None => Self::Keep,
            Some(WhoIsToBe::Anyone) => Self::Set(model::WhoMay::Anyone),
            Some(WhoIsToBe::Contacts) => Self::Set(model::WhoMay::Contacts),
            Some(WhoIsToBe::Nobody) => Self::Set(model::WhoMay::Nobody),
            Some(WhoIsToBe::Default) => Self::Default,
        }
    }
}

impl From<UpdateSettingsRequest> for ChangeSettings {
    fn from(request: UpdateSettingsRequest) -> Self {
        Self {
            messages_from: request.messages_from.into(),
            groups_invite_from: request.groups_invite_from.into(),
            presence_visible_to: request.presence_visible_to.into(),
            presence_terminal_types: request.presence_terminal_types,
            invisible: request.invisible,
        }
    }
}

impl From<&model::UserSettings> for Settings {
    fn from(settings: &model::UserSettings) -> Self {
        Self {
            messages_from: settings.messages_from.into(),
            groups_invite_from: settings.groups_invite_from.into(),
            presence_visible_to: settings.presence_visible_to.into(),
            presence_terminal_types: settings.presence_terminal_types,
            invisible: settings.invisible,
        }
    }
}

impl From<&model::ContactChanged> for ContactChanged {
    fn from(changed: &model::ContactChanged) -> Self {
        Self {
            user_id: (&changed.user_id).into(),
            change: match changed.change {
                model::ContactChange::Sent => ContactChange::Sent,
                model::ContactChange::Received => ContactChange::Received,
                model::ContactChange::Accepted => ContactChange::Accepted,
                model::ContactChange::Declined => ContactChange::Declined,
                model::ContactChange::Withdrawn => ContactChange::Withdrawn,
                model::ContactChange::Removed => ContactChange::Removed,
                model::ContactChange::Remarked => ContactChange::Remarked,
            },
            remark: changed.remark.clone(),
            note: changed.note.clone(),
        }
    }
}
