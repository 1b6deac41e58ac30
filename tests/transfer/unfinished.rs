//! While an import is unfinished nothing else is appended, and any import can be taken up again.

use imd_proto::v1::{ImportBegin, ImportEnd, MessageRecord, import_messages_request::Step};

use super::record;
use crate::support::{
    admin::messages,
    api::Outgoing,
    cluster::{Cluster, PASSWORD, login},
    on_both_transports,
};

on_both_transports! {
    nothing_else_is_appended_until_the_end,
    i5_an_import_that_broke_off_is_taken_up_again,
    what_was_left_can_be_finished_as_it_is,
    a_user_whose_import_is_unfinished_can_be_deleted,
}

/// Imports messages and breaks off.
async fn break_off(imd: &Cluster, talk: &[MessageRecord]) {
    let begin = Step::Begin(ImportBegin { create_users: false });
    let steps = std::iter::once(begin).chain(messages(talk)).collect();
    let broken = imd.admin().import_steps(steps).await.expect_err("there is no end");
    assert_eq!(broken.field(), "step");
}

fn talk() -> Vec<MessageRecord> {
    (0..1_200).map(|n| record("ann", "bob", 1_200 - n, &n.to_string())).collect()
}

async fn nothing_else_is_appended_until_the_end(imd: Cluster) {
    imd.users(["ann", "bob"]).await;
    let carol = imd.user_with_phone("carol").await;
    let talk = talk();
    break_off(&imd, &talk[..700]).await;
    let refused = imd.try_log_in(&login("ann", "phone", "new")).await.err().expect("not yet");
    assert_eq!(refused.code, "import_unfinished");
    assert!(refused.retry_after.is_some());
    let refused = carol.send(&Outgoing::text("bob", "hi")).await.expect_err("not yet");
    assert_eq!(refused.code, "import_unfinished");
    // Not to one that does not know the password, though.
    let wrong = login("ann", "phone", "new").password("a wrong password");
    assert_eq!(imd.try_log_in(&wrong).await.err().expect("wrong").code, "invalid_credentials");
    let refused = imd.admin().set_password("ann", PASSWORD).await.expect_err("not yet");
    assert_eq!(refused.code, "import_unfinished");
    carol.say("carol", "all others go on").await;

    imd.admin().import(&talk[..0]).await.expect("nothing imported");
    let still =
        imd.try_log_in(&login("ann", "phone", "new")).await.err().expect("of another import");
    assert_eq!(still.code, "import_unfinished");
    // What was refused meanwhile leaves nothing behind that the rest would have to come after.
    let done = imd.admin().import(&talk).await.expect("imported");
    assert_eq!((done.imported + done.duplicates, done.timelines), (1_200, 2));
}

async fn i5_an_import_that_broke_off_is_taken_up_again(imd: Cluster) {
    imd.users(["ann", "bob"]).await;
    let talk = talk();
    break_off(&imd, &talk[..800]).await;
    let stood: i64 = {
        let count = "SELECT count(*) FROM entries WHERE kind = 1 AND sender = owner";
        imd.database.sql().await.query_one(count, &[]).await.expect("a count").get(0)
    };
    assert!(stood > 0, "whole transactions stand");
    let done = imd.admin().import(&talk).await.expect("imported");
    assert_eq!((done.imported, done.duplicates, done.timelines), (1_200 - stood, stood, 2));
    let bob = imd.log_in("bob", "phone", "new").await;
    let entries = bob.follow("").await.entries(1_201).await;
    for (n, entry) in (0..).zip(&entries[..1_200]) {
        assert_eq!((entry.seq, entry.text()), (n + 1, &*n.to_string()));
    }
}

async fn what_was_left_can_be_finished_as_it_is(imd: Cluster) {
    imd.users(["ann", "bob"]).await;
    break_off(&imd, &talk()[..1_100]).await;
    let end = Step::End(ImportEnd { finish_all: true });
    let done = imd.admin().import_steps(vec![end]).await.expect("finished").pop();
    assert_eq!(done.map(|done| (done.imported, done.timelines)), Some((0, 2)));
    let bob = imd.log_in("bob", "phone", "new").await;
    let seen = bob.pull("").await.expect("the timeline");
    assert_eq!(seen.entries[0].text(), "0");
    bob.say("ann", "it goes on").await;
}

async fn a_user_whose_import_is_unfinished_can_be_deleted(imd: Cluster) {
    imd.users(["ann", "bob"]).await;
    break_off(&imd, &talk()[..600]).await;
    imd.admin().delete("ann", true).await.expect("done");
    let end = Step::End(ImportEnd { finish_all: true });
    imd.admin().import_steps(vec![end]).await.expect("finished");
    let bob = imd.log_in("bob", "phone", "new").await;
    let entries = bob.pull("").await.expect("the timeline").entries;
    assert_eq!(entries[0].message().tombstone.as_deref(), Some("ERASED"));
}
