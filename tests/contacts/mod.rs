//! Contacts, and from whom users take messages and invitations.

mod invitations;
mod messages;
mod races;
mod requests;

use serde_json::{Value, json};

use crate::support::{
    api::ContactCall,
    terminal::Terminal,
    types::{ContactChanged, Kind},
};

/// Asks a user to be a contact, or agrees.
async fn set(terminal: &Terminal, user_id: &str) -> Value {
    let call = ContactCall::Set(user_id.to_owned(), json!({}));
    terminal.contact(call).await.expect("asked, or agreed")
}

/// Removes a contact, takes a request back or declines one.
async fn remove(terminal: &Terminal, user_id: &str) {
    terminal.contact(ContactCall::Remove(user_id.to_owned())).await.expect("removed");
}

/// Makes contacts of two.
async fn befriend(one: &Terminal, other: &Terminal) {
    set(one, &other.user_id).await;
    assert_eq!(set(other, &one.user_id).await["state"], "ACCEPTED");
}

/// Sets who may write to a user, or who may add it to groups.
async fn lets(terminal: &Terminal, setting: &str, who: &str) {
    let call = ContactCall::UpdateSettings(json!({ setting: who }));
    terminal.contact(call).await.expect("set");
}

/// The contacts and requests of a user, each as its id and state.
async fn contacts(terminal: &Terminal) -> Vec<(String, String)> {
    let listed = terminal.contact(ContactCall::List(String::new())).await.expect("a page");
    let contact = |contact: &Value| {
        let text = |member: &str| contact[member].as_str().expect("a text").to_owned();
        (text("user_id"), text("state"))
    };
    listed["contacts"].as_array().expect("a list").iter().map(contact).collect()
}

/// What a user's timeline says of contacts, each as the other's id and what became of it.
async fn told(terminal: &Terminal) -> Vec<(String, String)> {
    let changed = terminal.timeline().await.into_iter().filter_map(|entry| match entry.kind {
        Kind::ContactChanged(ContactChanged { user_id, change, .. }) => Some((user_id, change)),
        _ => None,
    });
    changed.collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(one, other)| ((*one).to_owned(), (*other).to_owned())).collect()
}
