//! Groups: who sees what, in which order, and who may do what.

mod changes;
mod deletion;
mod fence;
mod joining;
mod messages;
mod races;
mod refusals;
mod retention;
mod trace;

use serde_json::{Value, json};

use crate::support::{
    api::{GroupCall, Outgoing},
    cluster::Cluster,
    eventually,
    terminal::Terminal,
    types::{Entry, Kind},
};

/// The group that most tests are about.
pub(crate) const OSLO: &str = "oslo";
pub(crate) const IN_OSLO: &str = "group:oslo";

/// Users with a phone each, of whom the first owns a group of them all. Each has been told of it.
pub(crate) async fn group_of<const N: usize>(imd: &Cluster, names: [&str; N]) -> [Terminal; N] {
    let mut phones = Vec::with_capacity(N);
    for name in names {
        phones.push(imd.user_with_phone(name).await);
    }
    let phones: [Terminal; N] = phones.try_into().unwrap_or_else(|_| unreachable!("one each"));
    create(&phones[0], &names[1..]).await;
    for phone in &phones {
        seen(phone, 1).await;
    }
    phones
}

pub(crate) async fn create(owner: &Terminal, members: &[&str]) -> Value {
    let group = json!({ "group_id": OSLO, "name": "Trip to Oslo", "member_ids": members });
    owner.group(GroupCall::Create(group)).await.expect("a group")
}

fn oslo() -> String {
    OSLO.to_owned()
}

/// What a member's timeline has of the group, once it has `count` entries of it.
async fn seen(terminal: &Terminal, count: usize) -> Vec<Entry> {
    eventually("all of it", async || {
        let entries = seen_now(terminal).await;
        (entries.len() >= count).then_some(entries)
    })
    .await
}

/// What a member's timeline has of the group now.
async fn seen_now(terminal: &Terminal) -> Vec<Entry> {
    let is_of_group = |entry: &Entry| match &entry.kind {
        Kind::Message(message) => message.conversation_id == IN_OSLO,
        Kind::MessageRecalled(gone) => gone.conversation_id == IN_OSLO,
        Kind::MessagesErased(erased) => erased.conversation_id == IN_OSLO,
        Kind::GroupChanged(change) => change.group_id == OSLO,
        Kind::MemberChanged(change) => change.group_id == OSLO,
        _ => false,
    };
    let mut entries = terminal.timeline().await;
    entries.retain(is_of_group);
    entries
}

/// The texts of a member's messages of the group.
fn texts(entries: &[Entry]) -> Vec<String> {
    entries.iter().filter(|e| e.as_message().is_some()).map(|e| e.text().to_owned()).collect()
}

/// What entries are, in a word each.
fn words(entries: &[Entry]) -> Vec<String> {
    let word = |entry: &Entry| match &entry.kind {
        Kind::Message(message) if message.content.is_none() => "tombstone".to_owned(),
        Kind::Message(_) => entry.text().to_owned(),
        Kind::MessageRecalled(_) => "recalled".to_owned(),
        Kind::GroupChanged(change) if change.dissolved => "dissolved".to_owned(),
        Kind::GroupChanged(change) => format!("version {}", change.version),
        Kind::MemberChanged(change) => {
            format!("{} {}", change.user_ids.join("+"), change.change)
        }
        other => panic!("{other:?}"),
    };
    entries.iter().map(word).collect()
}

/// A text to the group.
pub(crate) fn text(text: &str) -> Outgoing {
    Outgoing::text(IN_OSLO, text)
}
