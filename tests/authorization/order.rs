//! Who asks is looked at before what is asked: a terminal whose session has ended learns so, and a
//! stranger learns nothing, however wrong the rest of the call is.

use serde_json::json;

use crate::support::{
    api::{Api, Outgoing, ProfileCall, ScheduleCall},
    cluster::Cluster,
    failure::Failure,
    on_both_transports,
    types::{FileCall, SearchCall},
};

on_both_transports! {
    i3_an_ended_session_is_told_so_whatever_it_asks,
    a_stranger_is_told_nothing_else,
}

/// A message id of a user that there is not.
const NOBODYS: &str = "AAAAAAAAJw8AAAAAAAAAAQ";

/// The id of no message.
const NO_ID: &str = "0199e0a4-5b1c-7c3e-9d2f-3a1b5c7d9e99";

/// Calls that are wrong in other ways, too; how each was refused.
async fn wrong_calls(api: &dyn Api, token: &str) -> Vec<(&'static str, Failure)> {
    let schedule = |at: &str| ScheduleCall::Schedule(Outgoing::text("ann", "x"), at.to_owned());
    let file = |name: &str| FileCall {
        file_name: name.to_owned(),
        content_type: "text/plain".to_owned(),
        size: 1,
        sha256: String::new(),
    };
    let no_text = Outgoing { content: None, ..Outgoing::text("ann", "") };
    let refused = |call: &'static str, refusal: Option<Failure>| {
        (call, refusal.unwrap_or_else(|| panic!("{call} succeeded")))
    };
    let to_nobody = Outgoing::text("nobody", "hello");
    let pin = json!({ "pinned": true });
    vec![
        refused("send nothing", api.send(token, &no_text).await.err()),
        refused("send to nobody", api.send(token, &to_nobody).await.err()),
        refused("end no UUID", api.end_session(token, "no-uuid").await.err()),
        refused("follow from nowhere", api.subscribe(token, "nowhere").await.err()),
        refused("pull from nowhere", api.pull(token, "nowhere", 0).await.err()),
        refused("pull less than nothing", api.pull(token, "", -1).await.err()),
        refused("list less than nothing", api.conversations(token, -1, "").await.err()),
        refused("list from nowhere", api.conversations(token, 0, "nowhere").await.err()),
        refused("read with no user", api.history(token, "user:", 0, "").await.err()),
        refused("read with nobody", api.history(token, "user:nobody", 0, "").await.err()),
        refused("pin nobody", api.update_conversation(token, "user:nobody", &pin).await.err()),
        refused("draft for nobody", api.set_draft(token, "user:nobody", "begun").await.err()),
        refused("mark no place", api.mark_read(token, "user:ann", 0).await.err()),
        refused("mark what is not there", api.mark_read(token, "user:ann", 999).await.err()),
        refused("mark with nobody", api.mark_read(token, "user:nobody", 1).await.err()),
        refused("recall no message", api.recall(token, "no-id").await.err()),
        refused("recall another's", api.recall(token, NOBODYS).await.err()),
        refused("edit no message", api.edit(token, "no-id", &Outgoing::text("", "x")).await.err()),
        refused("edit another's", api.edit(token, NOBODYS, &Outgoing::text("", "x")).await.err()),
        refused("list edits of no message", api.edits(token, "no-id", 0, "").await.err()),
        refused(
            "profile of nobody",
            api.profile(token, &ProfileCall::Get("nobody".to_owned())).await.err(),
        ),
        refused(
            "profiles of no users",
            api.profile(token, &ProfileCall::List(Vec::new())).await.err(),
        ),
        refused(
            "an avatar that is no URL",
            api.profile(token, &ProfileCall::Update(json!({ "avatar_url": "x" }))).await.err(),
        ),
        refused("schedule for no time", api.schedule(token, &schedule("")).await.err()),
        refused(
            "schedule for the past",
            api.schedule(token, &schedule("2020-01-01T00:00:00Z")).await.err(),
        ),
        refused(
            "change what is not scheduled",
            api.schedule(token, &ScheduleCall::Update(NO_ID.to_owned(), json!({}))).await.err(),
        ),
        refused(
            "take back what is not scheduled",
            api.schedule(token, &ScheduleCall::Cancel(NO_ID.to_owned())).await.err(),
        ),
        refused(
            "take back no id",
            api.schedule(token, &ScheduleCall::Cancel("7".to_owned())).await.err(),
        ),
        refused("a file without a name", api.create_attachment(token, &file("")).await.err()),
        refused("a file of another's", api.attachment_link(token, NOBODYS, NO_ID).await.err()),
        refused("search for nothing", api.search(token, &SearchCall::default()).await.err()),
        refused("pin no message", api.pin(token, "no-id", true).await.err()),
        refused("pin another's", api.pin(token, NOBODYS, true).await.err()),
        refused("unpin another's", api.pin(token, NOBODYS, false).await.err()),
        refused("list pins with nobody", api.pins(token, "user:nobody").await.err()),
        refused("react to no message", api.react(token, "no-id", "x", true).await.err()),
        refused("react with two", api.react(token, NOBODYS, "a b", true).await.err()),
        refused("react to another's", api.react(token, NOBODYS, "x", true).await.err()),
        refused("take back from another's", api.react(token, NOBODYS, "x", false).await.err()),
        refused(
            "list reactions to no message",
            api.reactions(token, "no-id", "", 0, "").await.err(),
        ),
        refused("delete with nobody", api.delete_message(token, "user:nobody", 1).await.err()),
        refused("delete no message", api.delete_message(token, "user:ann", 1).await.err()),
        refused("block oneself", api.block_user(token, "ann").await.err()),
        refused("block nobody", api.block_user(token, "nobody").await.err()),
        refused("unblock nobody", api.unblock_user(token, "nobody").await.err()),
        refused("list blocks from nowhere", api.blocked_users(token, 0, "nowhere").await.err()),
        refused("read from nowhere", api.history(token, "user:ann", 0, "nowhere").await.err()),
    ]
}

async fn i3_an_ended_session_is_told_so_whatever_it_asks(imd: Cluster) {
    let first = imd.user_with_phone("ann").await;
    imd.log_in("ann", "phone", "second").await;
    let refusals = wrong_calls(&*imd.api, &first.token).await;
    let otherwise: Vec<_> = refusals.iter().filter(|(_, r)| r.code != "session_ended").collect();
    assert!(otherwise.is_empty(), "{otherwise:#?}");
}

async fn a_stranger_is_told_nothing_else(imd: Cluster) {
    imd.user("ann").await;
    let refusals = wrong_calls(&*imd.api, "garbage").await;
    let otherwise: Vec<_> = refusals.iter().filter(|(_, r)| r.code != "invalid_token").collect();
    assert!(otherwise.is_empty(), "{otherwise:#?}");
}
