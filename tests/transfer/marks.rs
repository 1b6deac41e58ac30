//! What stands with messages moves with them: edits, quotes, forwards, reactions and pins.

use imd_proto::v1::{
    EditRecord, Forwarded, MessageName, MessageRecord, PinRecord, ReactionRecord,
    edit_record::Before,
};

use super::{
    groups::{Timed, group_step, has, in_order, message_steps},
    record, records,
};
use crate::{
    append::assert_dense,
    groups::{IN_OSLO, OSLO, group_of, text as to_oslo},
    support::{
        api::{Outgoing, Transport},
        cluster::Cluster,
        failure::Failure,
        on_both_transports,
        terminal::Terminal,
        types::{Content, Message, Reaction},
    },
};

on_both_transports! {
    who_imports_what_was_exported_has_what_stood_with_it,
    members_of_a_group_have_what_stood_with_its_messages,
}

/// The message of a terminal that says this.
async fn message(terminal: &Terminal, text: &str) -> Message {
    let entries = terminal.timeline().await;
    let messages = entries.iter().filter(|entry| entry.as_message().is_some());
    let mut found = messages.filter(|entry| entry.text() == text);
    found.next().unwrap_or_else(|| panic!("{text:?} in {entries:?}")).message().clone()
}

/// What the message that it quotes says, as its reader sees that.
async fn quoted(terminal: &Terminal, text: &str) -> String {
    message(terminal, text).await.reply_to.expect("a quote").text
}

/// What the owners' exports say, without what is not imported, and each message once.
async fn all(imd: &Cluster, users: &[&str]) -> Vec<MessageRecord> {
    let mut all: Vec<MessageRecord> = Vec::new();
    for user_id in users {
        for record in records(imd.admin().export(user_id, None).await.expect("an export")) {
            let is_same = |other: &MessageRecord| {
                (&other.sender_id, &other.client_message_id)
                    == (&record.sender_id, &record.client_message_id)
            };
            if !all.iter().any(is_same) {
                all.push(record);
            }
        }
    }
    all.sort_by_key(|record| record.sent_at.map(|at| (at.seconds, at.nanos)));
    all
}

async fn who_imports_what_was_exported_has_what_stood_with_it(there: Cluster) {
    let from = Cluster::start(Transport::Grpc).await;
    let (_node, api) = from.start_node_with(|s| s.messages.keep_edits = true).await;
    let ann = from.user_with_phone("ann").await.through(api);
    let bob = from.user_with_phone("bob").await;
    let carol = from.user_with_phone("carol").await;
    let tip = carol.say("ann", "the museum").await;
    let plan = ann.say("bob", "at six").await;
    for said in ["at seven", "at eight"] {
        ann.edit(&plan.message_id, said).await.expect("edited");
    }
    bob.react(&plan.message_id, "👍").await.expect("given");
    ann.react(&plan.message_id, "seen").await.expect("given");
    bob.react(&plan.message_id, "seen").await.expect("given");
    bob.pin(&plan.message_id).await.expect("pinned");
    let answer = Outgoing { reply_to: plan.message_id, ..Outgoing::text("ann", "fine") };
    bob.send(&answer).await.expect("sent");
    ann.send(&Outgoing::forward("bob", &tip.message_id)).await.expect("sent");

    let users = ["ann", "bob", "carol"];
    let moved = all(&from, &users).await;
    assert_eq!(moved.len(), 4);
    there.users(users).await;
    let done = there.admin().import(&moved).await.expect("an import");
    assert_eq!((done.imported, done.duplicates), (4, 0));
    assert_eq!(all(&there, &users).await, moved, "what is exported again");
    let again = there.admin().import(&moved).await.expect("an import");
    assert_eq!((again.imported, again.duplicates), (0, 4));
    assert_eq!(all(&there, &users).await, moved, "what is repeated changes nothing");

    let ann = there.log_in("ann", "phone", "new").await;
    let bob = there.log_in("bob", "phone", "new").await;
    for (terminal, owner) in [(&ann, "ann"), (&bob, "bob")] {
        let plan = message(terminal, "at eight").await;
        assert_eq!(plan.edit_no, 2);
        let counts =
            |reaction: &Reaction| (reaction.reaction.clone(), reaction.count, reaction.own);
        let due = [("👍".to_owned(), 1, owner == "bob"), ("seen".to_owned(), 2, true)];
        assert_eq!(plan.reactions.iter().map(counts).collect::<Vec<_>>(), due);
        let edits = terminal.edits(&plan.message_id).await.expect("a page");
        let before = |no: i32, text: &str| (no, Some(Content::Text(text.to_owned())));
        assert_eq!(edits, [before(2, "at seven"), before(1, "at six")]);
        let peer = if owner == "ann" { "bob" } else { "ann" };
        let pins = terminal.pins(peer).await.expect("pins");
        assert_eq!(pins.len(), 1);
        assert_eq!((pins[0].0.text(), pins[0].1.as_str()), ("at eight", "bob"));
        assert_eq!(quoted(terminal, "fine").await, "at eight");
    }
    // What was moved is as live as what was sent: it is taken back, edited and quoted.
    let plan = message(&bob, "at eight").await;
    let left =
        there.api.react(&bob.token, &plan.message_id, "👍", false).await.expect("taken back");
    assert_eq!(left.len(), 1);
    ann.unpin(&plan.message_id).await.expect("unpinned");
    assert!(bob.pins("ann").await.expect("pins").is_empty());
    assert_dense(&there.database).await;
}

async fn members_of_a_group_have_what_stood_with_its_messages(there: Cluster) {
    let from = Cluster::start(Transport::Grpc).await;
    let [ann, ben, cleo] = group_of(&from, ["ann", "ben", "cleo"]).await;
    let first = ann.send(&to_oslo("at six")).await.expect("sent");
    has(&ben, 1).await;
    ann.edit(&first.message_id, "at seven").await.expect("edited");
    has(&cleo, 1).await;
    for member in [&ben, &cleo] {
        member.react(&first.message_id, "👍").await.expect("given");
    }
    ann.pin(&first.message_id).await.expect("pinned");
    let answer = Outgoing { reply_to: first.message_id.clone(), ..to_oslo("fine") };
    ben.send(&answer).await.expect("sent");
    for member in [&ann, &ben, &cleo] {
        has(member, 2).await;
    }

    let users = ["ann", "ben", "cleo"];
    let moved = all(&from, &users).await;
    let marked: Vec<_> = moved.iter().map(|record| record.reactions.len()).collect();
    assert_eq!(marked, [1, 0]);
    let (group, changes) = from.admin().export_group(OSLO).await.expect("an export");
    assert!(changes.is_empty());
    there.users(users).await;
    let steps: Vec<Timed> =
        std::iter::once(group_step(group)).chain(message_steps(moved.clone())).collect();
    there.admin().import_all(in_order(steps)).await.expect("an import");
    assert_eq!(all(&there, &users).await.len(), 2);
    // Ids of messages of groups stand for them, and are of each system.
    let known = |record: MessageRecord| MessageRecord {
        client_message_id: String::new(),
        reply_to: None,
        ..record
    };
    let again: Vec<_> = all(&there, &users).await.into_iter().map(known).collect();
    assert_eq!(again, moved.into_iter().map(known).collect::<Vec<_>>());

    for user_id in users {
        let member = there.log_in(user_id, "phone", "new").await;
        let first = message(&member, "at seven").await;
        assert_eq!(first.edit_no, 1);
        let reactions = &first.reactions;
        assert_eq!((reactions.len(), reactions[0].count), (1, 2));
        assert_eq!(reactions[0].own, user_id != "ann");
        assert_eq!(quoted(&member, "fine").await, "at seven", "{user_id}");
        let pins = member.pins(IN_OSLO).await.expect("pins");
        assert_eq!(pins.len(), 1);
    }
    assert_dense(&there.database).await;
}

/// A message of ann's to bob with which something stands.
fn marked(with: impl FnOnce(&mut MessageRecord)) -> MessageRecord {
    let mut marked = record("ann", "bob", 5, "marked");
    with(&mut marked);
    marked
}

async fn refusal(imd: &Cluster, records: &[MessageRecord]) -> Failure {
    imd.admin().import(records).await.expect_err("a refusal")
}

#[tokio::test]
async fn what_cannot_stand_with_a_message_is_refused_by_its_name() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.users(["ann", "bob", "carol"]).await;
    let at = |minutes: i64| record("ann", "bob", minutes, "").sent_at;
    let edit = |minutes: i64| EditRecord { edited_at: at(minutes), before: None };
    let reaction = |reaction: &str, users: &[&str]| ReactionRecord {
        reaction: reaction.to_owned(),
        user_ids: users.iter().map(|&user| user.to_owned()).collect(),
    };
    let pin =
        |by: &str, minutes: i64| PinRecord { pinned_by: by.to_owned(), pinned_at: at(minutes) };
    let kinds: Vec<_> = (0..21).map(|n| reaction(&format!("r{n}"), &["bob"])).collect();
    let cases: Vec<(&str, MessageRecord)> = vec![
        ("edits", marked(|m| m.edits = vec![edit(10)])),
        ("edits", marked(|m| m.edits = vec![edit(-10)])),
        ("edits", marked(|m| m.edits = vec![edit(2), edit(3)])),
        ("edits", marked(|m| m.edits = vec![EditRecord::default()])),
        ("edits", marked(|m| m.edits = vec![edit(1); 1001])),
        (
            "text",
            marked(|m| {
                let before = Some(Before::Text(String::new()));
                m.edits = vec![EditRecord { before, ..edit(1) }];
            }),
        ),
        ("reactions", marked(|m| m.reactions = vec![reaction("👍", &["carol"])])),
        ("reactions", marked(|m| m.reactions = vec![reaction("👍", &["bob", "bob"])])),
        ("reactions", marked(|m| m.reactions = vec![reaction("👍", &[])])),
        ("reactions", marked(|m| m.reactions = vec![reaction("", &["bob"])])),
        ("reactions", marked(|m| m.reactions = vec![reaction("👍", &["bob"]); 2])),
        ("reactions", marked(|m| m.reactions = kinds)),
        ("pinned", marked(|m| m.pinned = Some(pin("carol", 1)))),
        ("pinned", marked(|m| m.pinned = Some(pin("bob", 10)))),
        ("pinned", marked(|m| m.pinned = Some(PinRecord::default()))),
        (
            "forwarded",
            marked(|m| {
                m.forwarded = Some(Forwarded { sender_id: "carol".to_owned(), sent_at: at(1) });
            }),
        ),
        ("reply_to", marked(|m| m.reply_to = Some(MessageName::default()))),
    ];
    for (field, record) in cases {
        let refused = refusal(&imd, std::slice::from_ref(&record)).await;
        assert_eq!(refused.code, "invalid_argument", "{record:?}");
        assert_eq!((refused.detail("field"), refused.detail("line")), (field, "1"), "{refused:?}");
    }
    let elsewhere = record("carol", "bob", 9, "to bob alone");
    let name = MessageName {
        sender_id: "carol".to_owned(),
        client_message_id: elsewhere.client_message_id.clone(),
    };
    let refused = refusal(&imd, &[elsewhere, marked(|m| m.reply_to = Some(name))]).await;
    assert_eq!((refused.detail("field"), refused.detail("line")), ("reply_to", "2"));

    let pinned = |minutes| MessageRecord {
        pinned: Some(pin("bob", 1)),
        ..record("ann", "bob", minutes, "pinned")
    };
    let many: Vec<_> = (0..51).map(|n| pinned(60 - n)).collect();
    let refused = refusal(&imd, &many).await;
    assert_eq!((refused.code.as_str(), refused.detail("line")), ("too_many_pins", "51"));
    // Nothing of it stands.
    let count = "SELECT count(*) FROM entries";
    let sql = imd.database.sql().await;
    let count: i64 = sql.query_one(count, &[]).await.expect("a count").get(0);
    assert_eq!(count, 0);
}

#[tokio::test]
async fn a_quote_of_what_was_not_moved_is_one_of_what_is_gone() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.users(["ann", "bob"]).await;
    let name = MessageName {
        sender_id: "bob".to_owned(),
        client_message_id: uuid::Uuid::new_v4().to_string(),
    };
    imd.admin().import(&[marked(|m| m.reply_to = Some(name))]).await.expect("an import");
    for user_id in ["ann", "bob"] {
        let terminal = imd.log_in(user_id, "phone", "new").await;
        assert_eq!(quoted(&terminal, "marked").await, "");
    }
}
