//! Calls about contacts over gRPC, answered in the JSON of REST.

use imd_proto::v1::{self, contact_service_client::ContactServiceClient};
use serde_json::{Value, json};
use tonic::transport::Channel;

use super::{convert::name, with_bearer};
use crate::support::api::{ContactCall, Result};

pub(super) async fn call(channel: &Channel, token: &str, call: &ContactCall) -> Result<Value> {
    let mut client = ContactServiceClient::new(channel.clone());
    Ok(match call.clone() {
        ContactCall::List(query) => {
            let mut request = v1::ListContactsRequest::default();
            for (key, value) in
                query.trim_start_matches('?').split('&').filter_map(|p| p.split_once('='))
            {
                match key {
                    "page_size" => request.page_size = value.parse().expect("a number"),
                    "page_token" => value.clone_into(&mut request.page_token),
                    "state" => {
                        let state = format!("CONTACT_STATE_{value}");
                        let state = v1::ContactState::from_str_name(&state).expect("a state");
                        request.set_state(state);
                    }
                    other => panic!("{other}"),
                }
            }
            let listed = client.list_contacts(with_bearer(token, request)).await?.into_inner();
            let contacts: Vec<Value> = listed.contacts.iter().map(contact).collect();
            json!({ "contacts": contacts, "next_page_token": listed.next_page_token })
        }
        ContactCall::Set(user_id, body) => {
            let text = |member: &str| body.get(member).and_then(Value::as_str).map(str::to_owned);
            let (remark, note) = (text("remark"), text("note").unwrap_or_default());
            let request = v1::SetContactRequest { user_id, remark, note };
            let set = client.set_contact(with_bearer(token, request)).await?.into_inner();
            contact(&set.contact.expect("a contact"))
        }
        ContactCall::Remove(user_id) => {
            let request = v1::RemoveContactRequest { user_id };
            client.remove_contact(with_bearer(token, request)).await?;
            Value::Null
        }
        ContactCall::Settings => {
            let request = with_bearer(token, v1::GetSettingsRequest {});
            settings(client.get_settings(request).await?.into_inner().settings)
        }
        ContactCall::UpdateSettings(body) => {
            let who = |member: &str| {
                let name = body.get(member).and_then(Value::as_str);
                let who = name.map(|name| v1::WhoMay::from_str_name(&format!("WHO_MAY_{name}")));
                // One that there is not goes as a number that there is not.
                who.map_or(0, |who| who.map_or(99, Into::into))
            };
            let request = v1::UpdateSettingsRequest {
                messages_from: who("messages_from"),
                groups_invite_from: who("groups_invite_from"),
                presence_visible_to: who("presence_visible_to"),
                presence_terminal_types: body
                    .get("presence_terminal_types")
                    .and_then(Value::as_bool),
                invisible: body.get("invisible").and_then(Value::as_bool),
            };
            let updated = client.update_settings(with_bearer(token, request)).await?;
            settings(updated.into_inner().settings)
        }
    })
}

fn contact(contact: &v1::Contact) -> Value {
    json!({
        "user_id": contact.user_id,
        "state": name(contact.state().as_str_name(), "CONTACT_STATE_"),
        "remark": contact.remark,
        "note": contact.note,
    })
}

fn settings(settings: Option<v1::Settings>) -> Value {
    let settings = settings.expect("settings");
    json!({
        "messages_from": name(settings.messages_from().as_str_name(), "WHO_MAY_"),
        "groups_invite_from": name(settings.groups_invite_from().as_str_name(), "WHO_MAY_"),
        "presence_visible_to": name(settings.presence_visible_to().as_str_name(), "WHO_MAY_"),
        "presence_terminal_types": settings.presence_terminal_types,
        "invisible": settings.invisible,
    })
}
