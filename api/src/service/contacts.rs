//! Contacts, and what users take from whom.

use super::{Service, access::Identity};
use crate::{
    model::{
        ChangeSettings, Contact, ContactState, Error, Page, PageSize, Result, UserId, UserNo,
        UserSettings, check_contact_lines,
    },
    store::{RemoveContact, SetContact},
};

impl Service {
    /// Asks a user to be a contact of the caller, agrees where it has asked, or changes the remark; tells
    /// the terminals of both. Returns how the two stand then.
    ///
    /// Errors: [`Error::InvalidArgument`], for the caller's own id, too; [`Error::UserNotFound`],
    /// [`Error::ImportUnfinished`]; [`Error::Blocked`], [`Error::RecipientBlocked`];
    /// [`Error::TooManyContacts`].
    pub async fn set_contact(
        &self,
        token: Option<&str>,
        user_id: &str,
        remark: Option<String>,
        note: String,
    ) -> Result<Contact> {
        // The session is checked in the transaction, behind the lock.
        let caller = self.identify(token).await?;
        let set = match self.read_contact(&caller, user_id, remark, note).await {
            Ok(set) => set,
            Err(refusal) => return Err(self.refuse(&caller, refusal).await),
        };
        let (contact, told) = self.store.set_contact(&set).await?;
        self.delivery.relations_changed(told.iter().map(|(user_no, _)| *user_no));
        self.announce(told);
        Ok(contact)
    }

    /// Removes a contact, takes a request back or declines one; tells the terminals of both. Once this has
    /// returned, nothing that the user sends arrives where the caller takes messages from contacts alone.
    /// Of who is no contact nobody is told.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::UserNotFound`].
    pub async fn remove_contact(&self, token: Option<&str>, user_id: &str) -> Result<()> {
        let caller = self.identify(token).await?;
        let user = match self.other_user(&caller, user_id).await {
            Ok(user) => user,
            Err(refusal) => return Err(self.refuse(&caller, refusal).await),
        };
        let owner = (caller.user_no, caller.user_id);
        let remove = RemoveContact { owner, session_id: caller.session_id, user };
        let told = self.store.remove_contact(&remove).await?;
        self.delivery.relations_changed(told.iter().map(|(user_no, _)| *user_no));
        self.announce(told);
        Ok(())
    }

    /// The caller's contacts and the requests that wait, in the given state if one is given.
    pub async fn list_contacts(
        &self,
        token: Option<&str>,
        state: Option<ContactState>,
        page_size: i32,
        page_token: &str,
    ) -> Result<Page<Contact>> {
        let caller = self.authenticate(token).await?;
        self.contact_page(caller.user_no, state, page_size, page_token).await
    }

    /// The contacts of a user. Errors: [`Error::InvalidArgument`].
    pub(super) async fn contact_page(
        &self,
        owner: UserNo,
        state: Option<ContactState>,
        page_size: i32,
        page_token: &str,
    ) -> Result<Page<Contact>> {
        let size = PageSize::parse("page_size", page_size, 50, 1000)?;
        let scope = format!("contacts/{}", owner.0);
        let after = UserNo(self.read_after(&scope, page_token)?);
        let mut items = self.store.contacts(owner, state, after, size.get() + 1).await?;
        let more = size.cut(&mut items);
        let next = items.last().filter(|_| more).map(|c| self.place_token(&scope, c.user_no.0));
        Ok(Page { items, next_page_token: next })
    }

    /// What the caller takes from whom.
    pub async fn settings(&self, token: Option<&str>) -> Result<UserSettings> {
        let caller = self.authenticate(token).await?;
        self.store.user_settings(caller.user_no, self.limits.settings).await
    }

    /// Changes what the caller takes from whom, and tells its terminals. Once this has returned, it holds on
    /// every node. Returns what holds.
    pub async fn change_settings(
        &self,
        token: Option<&str>,
        change: ChangeSettings,
    ) -> Result<UserSettings> {
        let caller = self.identify(token).await?;
        let (owner, session_id) = (caller.user_no, caller.session_id);
        let default = self.limits.settings;
        let (settings, entry) =
            self.store.change_settings(owner, session_id, change, default).await?;
        if entry.is_some() {
            self.delivery.presence_changed([owner]);
        }
        self.announce(entry.map(|entry| (owner, entry)));
        Ok(settings)
    }

    async fn read_contact(
        &self,
        caller: &Identity,
        user_id: &str,
        remark: Option<String>,
        note: String,
    ) -> Result<SetContact> {
        check_contact_lines(remark.as_deref(), &note)?;
        Ok(SetContact {
            owner: (caller.user_no, caller.user_id.clone()),
            session_id: caller.session_id,
            user: self.other_user(caller, user_id).await?,
            remark,
            note,
            if_blocked: self.limits.if_blocked,
        })
    }

    /// The user that a client names, another than the caller.
    async fn other_user(&self, caller: &Identity, user_id: &str) -> Result<(UserNo, UserId)> {
        let user_id = UserId::parse("user_id", user_id)?;
        if user_id == caller.user_id {
            return Err(Error::invalid("user_id", "must not be one's own"));
        }
        Ok((self.store.user_no(&user_id).await?, user_id))
    }
}
