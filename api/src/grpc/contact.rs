//! `ContactService`.

use std::sync::Arc;

use imd_proto::v1;
use tonic::{Request, Response, Status, async_trait};

use super::{bearer, convert, status::status};
use crate::{
    model::{ChangeSettings, Contact, ContactState, Error, SettingChange, WhoMay},
    service::Service,
};

pub(super) struct Contacts(pub(super) Arc<Service>);

#[async_trait]
impl v1::contact_service_server::ContactService for Contacts {
    async fn set_contact(
        &self,
        request: Request<v1::SetContactRequest>,
    ) -> Result<Response<v1::SetContactResponse>, Status> {
        let (metadata, _, asked) = request.into_parts();
        let v1::SetContactRequest { user_id, remark, note } = asked;
        let set = self.0.set_contact(bearer(&metadata), &user_id, remark, note).await;
        let contact = Some(contact(set.map_err(status)?));
        Ok(Response::new(v1::SetContactResponse { contact }))
    }

    async fn remove_contact(
        &self,
        request: Request<v1::RemoveContactRequest>,
    ) -> Result<Response<v1::RemoveContactResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        self.0.remove_contact(token, &asked.user_id).await.map_err(status)?;
        Ok(Response::new(v1::RemoveContactResponse {}))
    }

    async fn list_contacts(
        &self,
        request: Request<v1::ListContactsRequest>,
    ) -> Result<Response<v1::ListContactsResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        let (state, size) = (state(asked.state()), asked.page_size);
        let page = self.0.list_contacts(token, state, size, &asked.page_token).await;
        let page = page.map_err(status)?;
        Ok(Response::new(v1::ListContactsResponse {
            contacts: page.items.into_iter().map(contact).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }))
    }

    async fn get_settings(
        &self,
        request: Request<v1::GetSettingsRequest>,
    ) -> Result<Response<v1::GetSettingsResponse>, Status> {
        let settings = self.0.settings(bearer(request.metadata())).await.map_err(status)?;
        let settings = Some(convert::settings(settings));
        Ok(Response::new(v1::GetSettingsResponse { settings }))
    }

    async fn update_settings(
        &self,
        request: Request<v1::UpdateSettingsRequest>,
    ) -> Result<Response<v1::UpdateSettingsResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        let change = ChangeSettings {
            messages_from: who_may("messages_from", asked.messages_from).map_err(status)?,
            groups_invite_from: who_may("groups_invite_from", asked.groups_invite_from)
                .map_err(status)?,
            presence_visible_to: who_may("presence_visible_to", asked.presence_visible_to)
                .map_err(status)?,
            presence_terminal_types: asked.presence_terminal_types,
            invisible: asked.invisible,
        };
        let settings = self.0.change_settings(token, change).await.map_err(status)?;
        let settings = Some(convert::settings(settings));
        Ok(Response::new(v1::UpdateSettingsResponse { settings }))
    }
}

/// What is to be of a setting.
fn who_may(field: &'static str, number: i32) -> Result<SettingChange, Error> {
    Ok(match v1::WhoMay::try_from(number) {
        Ok(v1::WhoMay::Unspecified) => SettingChange::Keep,
        Ok(v1::WhoMay::Anyone) => SettingChange::Set(WhoMay::Anyone),
        Ok(v1::WhoMay::Contacts) => SettingChange::Set(WhoMay::Contacts),
        Ok(v1::WhoMay::Nobody) => SettingChange::Set(WhoMay::Nobody),
        Ok(v1::WhoMay::Default) => SettingChange::Default,
        Err(_) => {
            return Err(Error::invalid(field, "must be ANYONE, CONTACTS, NOBODY or DEFAULT"));
        }
    })
}

/// As a filter.
pub(super) fn state(state: v1::ContactState) -> Option<ContactState> {
    match state {
        v1::ContactState::Unspecified => None,
        v1::ContactState::Sent => Some(ContactState::Sent),
        v1::ContactState::Received => Some(ContactState::Received),
        v1::ContactState::Accepted => Some(ContactState::Accepted),
    }
}

pub(super) fn contact(contact: Contact) -> v1::Contact {
    v1::Contact {
        user_id: contact.user_id.to_string(),
        // The numbers are the contract's.
        state: contact.state as i32,
        remark: contact.remark,
        note: contact.note,
        changed_at: Some(convert::timestamp(contact.changed_at)),
    }
}
