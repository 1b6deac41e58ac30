//! Messages of groups: what of them is exported, and that none is imported.

use imd_proto::v1::MessageRecord;

use super::{record, records, text};
use crate::{
    groups::{IN_OSLO, OSLO, group_of, text as to_oslo},
    support::{
        api::{Outgoing, Transport},
        cluster::Cluster,
        eventually,
        terminal::Terminal,
    },
};

/// Waits until the timeline of a member has so many messages.
async fn has(terminal: &Terminal, count: usize) {
    eventually("all messages", async || {
        let entries = terminal.timeline().await;
        let messages = entries.iter().filter(|entry| entry.as_message().is_some());
        (messages.count() >= count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_export_has_the_messages_of_groups_that_its_owner_has() {
    let imd = Cluster::start(Transport::Grpc).await;
    let [ann, ben, cleo] = group_of(&imd, ["ann", "ben", "cleo"]).await;
    let mention = Outgoing { mentions: vec!["ben".to_owned()], ..to_oslo("@ben") };
    ann.send(&mention).await.expect("sent");
    let recalled = ben.say(IN_OSLO, "recalled").await;
    ben.recall(&recalled.message_id).await.expect("recalled");
    cleo.say("ben", "to you alone").await;
    let last = ann.send(&Outgoing { mention_all: true, ..to_oslo("@all") }).await.expect("sent");
    for member in [&ann, &ben, &cleo] {
        has(member, 3).await;
    }

    let of_ben = imd.admin().export("ben", None).await.expect("an export");
    assert_eq!(of_ben[2].message_id, last.message_id);
    let of_ben = records(of_ben);
    let shown: Vec<_> =
        of_ben.iter().map(|r| (&*r.sender_id, &*r.recipient_id, &*r.group_id, text(r))).collect();
    let due =
        [("ann", "", OSLO, "@ben"), ("cleo", "ben", "", "to you alone"), ("ann", "", OSLO, "@all")];
    assert_eq!(shown, due);
    assert_eq!((&of_ben[0].mentions, of_ben[0].mention_all), (&vec!["ben".to_owned()], false));
    assert_eq!((of_ben[2].mentions.len(), of_ben[2].mention_all), (0, true));
    // Each message has one id, whoever's timeline it is taken from: its sender's, too.
    for member in ["ann", "cleo"] {
        let theirs = records(imd.admin().export(member, None).await.expect("an export"));
        let in_group: Vec<_> = theirs.iter().filter(|r| r.group_id == OSLO).collect();
        let ids = [&of_ben[0].client_message_id, &of_ben[2].client_message_id];
        assert_eq!(in_group.iter().map(|r| &r.client_message_id).collect::<Vec<_>>(), ids);
    }
}

#[tokio::test]
async fn a_message_of_a_group_is_not_imported() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.users(["ann", "ben"]).await;
    let in_group = MessageRecord {
        recipient_id: String::new(),
        group_id: OSLO.to_owned(),
        ..record("ann", "", 5, "hello")
    };
    let refused = imd.admin().import(&[record("ann", "ben", 6, "hi"), in_group]).await;
    let refused = refused.expect_err("a refusal");
    assert_eq!((refused.field(), refused.detail("line")), ("group_id", "2"));
}
