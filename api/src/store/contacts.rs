//! Who is whose contact, and from whom users take messages and invitations. A send reads both in its own
//! transaction: see `append`. Each of two contacts has a row of its own; both are written behind the locks
//! of both timelines.

use std::collections::{BTreeMap, BTreeSet};

use time::OffsetDateTime;
use tokio_postgres::Row;

use super::{
    Store, Transaction,
    blocks::blocks,
    sessions::require_live,
    timelines::{About, Place, no_timeline, why_closed},
    transaction,
};
use crate::model::{
    ChangeSettings, Contact, ContactChange, ContactChanged, ContactState, Entry, EntryKind, Error,
    IfBlocked, MOST_CONTACTS, Result, SessionId, SettingChange, UserId, UserNo, UserSettings,
    WhoMay,
};

/// A user's wish to have another for a contact.
#[derive(Debug)]
pub struct SetContact {
    /// Whose wish.
    pub owner: (UserNo, UserId),
    /// The session that says so, which must be live.
    pub session_id: SessionId,
    /// Whom.
    pub user: (UserNo, UserId),
    /// What the owner calls the user; `None` to leave that as it is.
    pub remark: Option<String>,
    /// For the user, where it is asked.
    pub note: String,
    /// What becomes of the request where the user blocks the owner.
    pub if_blocked: IfBlocked,
}

/// A user's wish not to have another for a contact.
#[derive(Debug)]
pub struct RemoveContact {
    /// Whose wish.
    pub owner: (UserNo, UserId),
    /// The session that says so, which must be live.
    pub session_id: SessionId,
    /// Whom not.
    pub user: (UserNo, UserId),
}

/// The entries that tell both of a change.
type Told = Vec<(UserNo, Entry)>;

/// What a user has in its table of contacts of another.
struct Known {
    state: ContactState,
    remark: String,
    note: String,
    changed_at: OffsetDateTime,
}

impl Store {
    /// Asks a user to be a contact, agrees where it has asked, or changes the remark: how the two stand
    /// then, and the entries that say so; none where nothing has changed.
    ///
    /// Errors: [`Error::UserNotFound`], [`Error::ImportUnfinished`]; [`Error::Blocked`],
    /// [`Error::RecipientBlocked`]; [`Error::TooManyContacts`]; [`Error::SessionEnded`],
    /// [`Error::InvalidToken`].
    pub async fn set_contact(&self, set: &SetContact) -> Result<(Contact, Told)> {
        transaction!(self, async |tx| {
            let (owner, user) = (set.owner.0, set.user.0);
            let mut places = Place::take_each(&tx, &BTreeSet::from([owner, user])).await?;
            require_live(&tx, owner, set.session_id).await?;
            let own = places.remove(&owner).ok_or_else(|| no_timeline(owner))?;
            let Some(theirs) = places.remove(&user) else {
                return Err(why_closed(&tx, user).await?);
            };
            let before = known(&tx, owner, user).await?;
            let at = own.at;
            let (change, told) = set.apply(&tx, before.as_ref(), at).await?;
            let after = known(&tx, owner, user).await?;
            let after = after.ok_or_else(|| Error::internal("a contact that was set is gone"))?;
            let mut entries = Vec::new();
            match change {
                Some(change) => {
                    let changed = after.changed(&set.user.1, change);
                    entries.push((owner, fill(&tx, own, changed).await?));
                }
                None => own.give_back(&tx).await?,
            }
            match told {
                Some(change) => {
                    let seen = known(&tx, user, owner).await?;
                    let seen =
                        seen.ok_or_else(|| Error::internal("a contact has no other side"))?;
                    let changed = seen.changed(&set.owner.1, change);
                    entries.push((user, fill(&tx, theirs, changed).await?));
                }
                None => theirs.give_back(&tx).await?,
            }
            tx.commit().await?;
            Ok((after.contact(&set.user), entries))
        })
    }

    /// Removes a contact, takes a request back or declines one, and says so to both: the entries; none
    /// where there was nothing.
    ///
    /// Errors: [`Error::SessionEnded`], [`Error::InvalidToken`].
    pub async fn remove_contact(&self, remove: &RemoveContact) -> Result<Told> {
        transaction!(self, async |tx| {
            let (owner, user) = (remove.owner.0, remove.user.0);
            let mut places = Place::take_each(&tx, &BTreeSet::from([owner, user])).await?;
            require_live(&tx, owner, remove.session_id).await?;
            let own = places.remove(&owner).ok_or_else(|| no_timeline(owner))?;
            let Some(before) = forget(&tx, owner, user).await? else {
                // Nothing is committed: the places are given back.
                return Ok(Vec::new());
            };
            let change = match before.state {
                ContactState::Sent => ContactChange::Withdrawn,
                ContactState::Received => ContactChange::Declined,
                ContactState::Accepted => ContactChange::Removed,
            };
            let gone = |user_id: &UserId| ContactChanged {
                user_id: user_id.clone(),
                change,
                remark: String::new(),
                note: String::new(),
            };
            let mut entries = vec![(owner, fill(&tx, own, gone(&remove.user.1)).await?)];
            // A request that a block has withheld the other does not know of.
            let known = forget(&tx, user, owner).await?.is_some();
            match places.remove(&user) {
                Some(place) if known => {
                    entries.push((user, fill(&tx, place, gone(&remove.owner.1)).await?));
                }
                Some(place) => place.give_back(&tx).await?,
                None => {}
            }
            tx.commit().await?;
            Ok(entries)
        })
    }

    /// Takes a user whose account is deleted from the contacts of the next who has it there, and tells
    /// that one: the entries; `None` when nobody is left.
    pub async fn leave_next_contact(&self, user_no: UserNo) -> Result<Option<Told>> {
        let user_id = self.user_id(user_no).await?;
        transaction!(self, async |tx| {
            let next = tx
                .query_opt(
                    "SELECT contact FROM contacts WHERE owner = $1 ORDER BY contact LIMIT 1",
                    &[&user_no.0],
                )
                .await?;
            let Some(next) = next else { return Ok(None) };
            let contact = UserNo(next.get(0));
            let place = Place::take_if_open(&tx, contact).await?;
            forget(&tx, user_no, contact).await?;
            let known = forget(&tx, contact, user_no).await?.is_some();
            let mut entries = Vec::new();
            match place {
                Some(place) if known => {
                    let changed = ContactChanged {
                        user_id: user_id.clone(),
                        change: ContactChange::Removed,
                        remark: String::new(),
                        note: String::new(),
                    };
                    entries.push((contact, fill(&tx, place, changed).await?));
                }
                Some(place) => place.give_back(&tx).await?,
                None => {}
            }
            tx.commit().await?;
            Ok(Some(entries))
        })
    }

    /// The contacts of a user and the requests that wait, in the order of the others' numbers: at most
    /// `limit`, all after `after`, in the given state if one is given.
    pub async fn contacts(
        &self,
        owner: UserNo,
        state: Option<ContactState>,
        after: UserNo,
        limit: i64,
    ) -> Result<Vec<Contact>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT contact, state, remark, note, changed_at FROM contacts
                 WHERE owner = $1 AND contact > $2 AND ($3::smallint IS NULL OR state = $3)
                 ORDER BY contact LIMIT $4",
            )
            .await?;
        let state = state.map(|state| state as i16);
        let rows = client.query(&statement, &[&owner.0, &after.0, &state, &limit]).await?;
        drop(client);
        let users = self.known_users(&rows.iter().map(|row| row.get("contact")).collect()).await?;
        let contact = |row: &Row| {
            let user_no = row.get("contact");
            let known = users.get(&user_no).ok_or_else(|| no_timeline(UserNo(user_no)))?;
            Ok(Known::read(row)?.contact(&(UserNo(user_no), known.user_id.clone())))
        };
        rows.iter().map(contact).collect()
    }

    /// What a user takes from whom, where `default` is what the deployment says.
    pub async fn user_settings(
        &self,
        owner: UserNo,
        default: UserSettings,
    ) -> Result<UserSettings> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT messages_from, invite_from, presence_to, presence_types, invisible
                 FROM timelines WHERE owner = $1",
            )
            .await?;
        match client.query_opt(&statement, &[&owner.0]).await? {
            Some(row) => read_settings(&row, default),
            None => Err(self.gone(owner).await),
        }
    }

    /// Changes what a user takes from whom: what holds then, and the entry that says so; none where
    /// nothing has changed.
    ///
    /// Errors: [`Error::SessionEnded`], [`Error::InvalidToken`].
    pub async fn change_settings(
        &self,
        owner: UserNo,
        session_id: SessionId,
        change: ChangeSettings,
        default: UserSettings,
    ) -> Result<(UserSettings, Option<Entry>)> {
        transaction!(self, async |tx| {
            // Whoever sends to the owner holds this lock, too, when it looks what the owner takes.
            let place = Place::take_if_open(&tx, owner).await?;
            require_live(&tx, owner, session_id).await?;
            let place = place.ok_or_else(|| no_timeline(owner))?;
            let number = |change: SettingChange| match change {
                SettingChange::Set(who) => Some(who as i16),
                SettingChange::Keep | SettingChange::Default => None,
            };
            let statement = tx
                .prepare_cached(
                    "UPDATE timelines SET
                         messages_from = CASE WHEN $2 THEN $3 ELSE messages_from END,
                         invite_from = CASE WHEN $4 THEN $5 ELSE invite_from END,
                         presence_to = CASE WHEN $6 THEN $7 ELSE presence_to END,
                         presence_types = coalesce($8, presence_types),
                         invisible = coalesce($9, invisible)
                     WHERE owner = $1 AND (($2 AND messages_from IS DISTINCT FROM $3)
                         OR ($4 AND invite_from IS DISTINCT FROM $5)
                         OR ($6 AND presence_to IS DISTINCT FROM $7)
                         OR $8 <> coalesce(presence_types, $10)
                         OR $9 <> coalesce(invisible, false))
                     RETURNING messages_from, invite_from, presence_to, presence_types, invisible",
                )
                .await?;
            let changed = tx
                .query_opt(
                    &statement,
                    &[
                        &owner.0,
                        &(change.messages_from != SettingChange::Keep),
                        &number(change.messages_from),
                        &(change.groups_invite_from != SettingChange::Keep),
                        &number(change.groups_invite_from),
                        &(change.presence_visible_to != SettingChange::Keep),
                        &number(change.presence_visible_to),
                        &change.presence_terminal_types,
                        &change.invisible,
                        &default.presence_terminal_types,
                    ],
                )
                .await?;
            let Some(row) = changed else {
                let row = tx
                    .query_one(
                        "SELECT messages_from, invite_from, presence_to, presence_types, invisible
                         FROM timelines WHERE owner = $1",
                        &[&owner.0],
                    )
                    .await?;
                // Nothing is committed: the place is given back.
                return Ok((read_settings(&row, default)?, None));
            };
            let settings = read_settings(&row, default)?;
            let event = EntryKind::SettingsChanged(settings);
            let entry = place.fill(&tx, About::default(), event).await?;
            tx.commit().await?;
            Ok((settings, Some(entry)))
        })
    }
}

impl SetContact {
    /// Writes what is to be; what that is for the owner, and for the other. `None` where it is told
    /// nothing.
    async fn apply(
        &self,
        tx: &Transaction<'_>,
        before: Option<&Known>,
        at: OffsetDateTime,
    ) -> Result<(Option<ContactChange>, Option<ContactChange>)> {
        let (owner, user) = (self.owner.0, self.user.0);
        let remark = self.remark.as_deref();
        let own_remark = remark.or(before.map(|known| &*known.remark)).unwrap_or_default();
        let remarked = before.is_some_and(|known| known.remark != own_remark);
        match before.map(|known| known.state) {
            Some(ContactState::Accepted) => {
                remember(tx, (owner, user), ContactState::Accepted, (own_remark, None), at).await?;
                Ok((remarked.then_some(ContactChange::Remarked), None))
            }
            Some(ContactState::Received) => {
                self.require_unblocked(tx).await?;
                remember(tx, (owner, user), ContactState::Accepted, (own_remark, None), at).await?;
                mark_accepted(tx, user, owner, at).await?;
                Ok((Some(ContactChange::Accepted), Some(ContactChange::Accepted)))
            }
            Some(ContactState::Sent) => {
                self.require_unblocked(tx).await?;
                remember(tx, (owner, user), ContactState::Sent, (own_remark, None), at).await?;
                // A block may have withheld the request.
                let asked = known(tx, user, owner).await?.is_some() || self.is_blocked(tx).await?;
                let told = if asked { None } else { self.ask(tx, at).await? };
                Ok((remarked.then_some(ContactChange::Remarked), told))
            }
            None => {
                self.require_unblocked(tx).await?;
                require_room(tx, &self.owner).await?;
                let blocked = self.is_blocked(tx).await?;
                if blocked && self.if_blocked == IfBlocked::Refuse {
                    return Err(Error::Blocked(self.user.1.clone()));
                }
                let lines = (own_remark, Some(&*self.note));
                remember(tx, (owner, user), ContactState::Sent, lines, at).await?;
                let told = if blocked { None } else { self.ask(tx, at).await? };
                Ok((Some(ContactChange::Sent), told))
            }
        }
    }

    /// Puts the request where the other sees it.
    async fn ask(&self, tx: &Transaction<'_>, at: OffsetDateTime) -> Result<Option<ContactChange>> {
        require_room(tx, &self.user).await?;
        let lines = ("", Some(&*self.note));
        remember(tx, (self.user.0, self.owner.0), ContactState::Received, lines, at).await?;
        Ok(Some(ContactChange::Received))
    }

    /// Errors: [`Error::RecipientBlocked`] where the owner blocks the user.
    async fn require_unblocked(&self, tx: &Transaction<'_>) -> Result<()> {
        if blocks(tx, self.owner.0, self.user.0).await? {
            return Err(Error::RecipientBlocked(self.user.1.clone()));
        }
        Ok(())
    }

    /// Whether the user blocks the owner.
    async fn is_blocked(&self, tx: &Transaction<'_>) -> Result<bool> {
        blocks(tx, self.user.0, self.owner.0).await
    }
}

impl Known {
    fn read(row: &Row) -> Result<Self> {
        let state = row.get("state");
        Ok(Self {
            state: ContactState::from_number(state)
                .ok_or_else(|| Error::internal(format!("no contact has state {state}")))?,
            remark: row.get("remark"),
            note: row.get("note"),
            changed_at: row.get("changed_at"),
        })
    }

    fn contact(self, (user_no, user_id): &(UserNo, UserId)) -> Contact {
        let Self { state, remark, note, changed_at } = self;
        Contact { user_id: user_id.clone(), user_no: *user_no, state, remark, note, changed_at }
    }

    fn changed(&self, user_id: &UserId, change: ContactChange) -> ContactChanged {
        ContactChanged {
            user_id: user_id.clone(),
            change,
            remark: self.remark.clone(),
            note: self.note.clone(),
        }
    }
}

async fn fill(tx: &Transaction<'_>, place: Place, changed: ContactChanged) -> Result<Entry> {
    place.fill(tx, About::default(), EntryKind::ContactChanged(changed)).await
}

/// What `owner` has of `user`.
async fn known(tx: &Transaction<'_>, owner: UserNo, user: UserNo) -> Result<Option<Known>> {
    let statement = tx
        .prepare_cached(
            "SELECT state, remark, note, changed_at FROM contacts
             WHERE owner = $1 AND contact = $2",
        )
        .await?;
    let row = tx.query_opt(&statement, &[&owner.0, &user.0]).await?;
    row.as_ref().map(Known::read).transpose()
}

/// Writes what `owner` has of `user`; without a note, that stays as it is.
async fn remember(
    tx: &Transaction<'_>,
    (owner, user): (UserNo, UserNo),
    state: ContactState,
    (remark, note): (&str, Option<&str>),
    at: OffsetDateTime,
) -> Result<()> {
    let statement = tx
        .prepare_cached(
            "INSERT INTO contacts (owner, contact, state, remark, note, changed_at)
             VALUES ($1, $2, $3, $4, coalesce($5, ''), $6)
             ON CONFLICT (owner, contact) DO UPDATE SET state = excluded.state,
                 remark = excluded.remark, note = coalesce($5, contacts.note),
                 changed_at = CASE WHEN contacts.state = excluded.state THEN contacts.changed_at
                     ELSE excluded.changed_at END",
        )
        .await?;
    tx.execute(&statement, &[&owner.0, &user.0, &(state as i16), &remark, &note, &at]).await?;
    Ok(())
}

/// Makes `user` a contact of `owner`, who has asked.
async fn mark_accepted(
    tx: &Transaction<'_>,
    owner: UserNo,
    user: UserNo,
    at: OffsetDateTime,
) -> Result<()> {
    let statement = tx
        .prepare_cached(
            "UPDATE contacts SET state = $3, changed_at = $4 WHERE owner = $1 AND contact = $2",
        )
        .await?;
    let accepted = ContactState::Accepted as i16;
    tx.execute(&statement, &[&owner.0, &user.0, &accepted, &at]).await?;
    Ok(())
}

/// Takes `user` from what `owner` has: what that was.
async fn forget(tx: &Transaction<'_>, owner: UserNo, user: UserNo) -> Result<Option<Known>> {
    let statement = tx
        .prepare_cached(
            "DELETE FROM contacts WHERE owner = $1 AND contact = $2
             RETURNING state, remark, note, changed_at",
        )
        .await?;
    let row = tx.query_opt(&statement, &[&owner.0, &user.0]).await?;
    row.as_ref().map(Known::read).transpose()
}

/// Errors: [`Error::TooManyContacts`] for who has as many as one may.
async fn require_room(tx: &Transaction<'_>, owner: &(UserNo, UserId)) -> Result<()> {
    let statement = tx.prepare_cached("SELECT count(*) FROM contacts WHERE owner = $1").await?;
    let count: i64 = tx.query_one(&statement, &[&owner.0.0]).await?.get(0);
    if count >= MOST_CONTACTS {
        return Err(Error::TooManyContacts(owner.1.clone()));
    }
    Ok(())
}

fn read_settings(row: &Row, default: UserSettings) -> Result<UserSettings> {
    Ok(UserSettings {
        messages_from: read_who(row.get("messages_from"))?.unwrap_or(default.messages_from),
        groups_invite_from: read_who(row.get("invite_from"))?.unwrap_or(default.groups_invite_from),
        presence_visible_to: read_who(row.get("presence_to"))?
            .unwrap_or(default.presence_visible_to),
        presence_terminal_types: row
            .get::<_, Option<bool>>("presence_types")
            .unwrap_or(default.presence_terminal_types),
        invisible: row.get::<_, Option<bool>>("invisible").unwrap_or_default(),
    })
}

pub(super) fn read_who(number: Option<i16>) -> Result<Option<WhoMay>> {
    let who = |number| {
        WhoMay::from_number(number)
            .ok_or_else(|| Error::internal(format!("no rule of who may has number {number}")))
    };
    number.map(who).transpose()
}

/// Those of `users` who let `by` add them to groups, where `default` is what the deployment says. Behind
/// the locks of all their timelines.
pub(super) async fn who_lets_invite(
    tx: &Transaction<'_>,
    by: UserNo,
    users: &[UserNo],
    default: WhoMay,
) -> Result<BTreeSet<UserNo>> {
    let numbers: Vec<i64> = users.iter().map(|no| no.0).collect();
    let settings =
        tx.prepare_cached("SELECT owner, invite_from FROM timelines WHERE owner = ANY($1)").await?;
    let rows = tx.query(&settings, &[&numbers]).await?;
    let mut rules = BTreeMap::new();
    for row in &rows {
        rules.insert(row.get::<_, i64>("owner"), read_who(row.get("invite_from"))?);
    }
    let rule = |no: &UserNo| rules.get(&no.0).copied().flatten().unwrap_or(default);
    let asking: Vec<i64> =
        users.iter().filter(|no| rule(no) == WhoMay::Contacts).map(|no| no.0).collect();
    let mut contacts = BTreeSet::new();
    if !asking.is_empty() {
        let statement = tx
            .prepare_cached(
                "SELECT owner FROM contacts WHERE owner = ANY($1) AND contact = $2 AND state = $3",
            )
            .await?;
        let accepted = ContactState::Accepted as i16;
        let rows = tx.query(&statement, &[&asking, &by.0, &accepted]).await?;
        contacts.extend(rows.iter().map(|row| row.get::<_, i64>(0)));
    }
    let lets = |no: &UserNo| match rule(no) {
        WhoMay::Anyone => true,
        WhoMay::Contacts => contacts.contains(&no.0),
        WhoMay::Nobody => false,
    };
    Ok(users.iter().copied().filter(lets).collect())
}
