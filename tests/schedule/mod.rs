//! Scheduled messages: they are sent once at their time, and not when they were taken back.

mod faults;

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    append::assert_dense,
    groups::{IN_OSLO, OSLO, group_of, text},
    support::{
        api::{GroupCall, Outgoing, ScheduleCall},
        cluster::Cluster,
        eventually,
        failure::Failure,
        on_every_transport,
        terminal::Terminal,
        types::{Entry, Kind, ScheduledChanged},
    },
};

on_every_transport! {
    a_message_is_sent_at_its_time,
    i7_a_message_is_scheduled_once,
    what_is_scheduled_is_listed_changed_and_taken_back,
    who_is_logged_out_has_its_messages_sent,
    blocks_and_mutes_are_asked_when_a_message_is_due,
    a_scheduled_message_is_checked,
    a_hundred_messages_wait,
    scheduled_messages_are_listed_in_pages,
    another_ones_scheduled_messages_are_not_to_be_had,
    scheduled_messages_go_with_the_account,
}

/// A time so far from now, as text.
fn in_time(ahead: Duration) -> String {
    let at = (OffsetDateTime::now_utc() + ahead).replace_nanosecond(0).expect("a time");
    at.format(&Rfc3339).expect("a time")
}

pub(crate) async fn schedule(
    from: &Terminal,
    message: &Outgoing,
    ahead: Duration,
) -> Result<Value, Failure> {
    from.schedule(ScheduleCall::Schedule(message.clone(), in_time(ahead))).await
}

/// What waits or was refused: the texts, with the codes of refusals.
pub(crate) async fn list(terminal: &Terminal) -> Vec<String> {
    let listed = terminal.schedule(ScheduleCall::List(0, String::new())).await.expect("a page");
    let one = |one: &Value| match one["refusal"]["code"].as_str() {
        Some(code) => format!("{}: {code}", one["text"].as_str().expect("a text")),
        None => one["text"].as_str().expect("a text").to_owned(),
    };
    listed["scheduled_messages"].as_array().expect("a list").iter().map(one).collect()
}

/// What a timeline tells of scheduled messages.
fn told(entries: &[Entry]) -> Vec<&ScheduledChanged> {
    let told = entries.iter().filter_map(|entry| match &entry.kind {
        Kind::ScheduledChanged(changed) => Some(changed),
        _ => None,
    });
    told.collect()
}

/// The states that a timeline tells of.
async fn states(terminal: &Terminal) -> Vec<String> {
    let entries = terminal.timeline().await;
    told(&entries).iter().map(|changed| changed.state.clone()).collect()
}

/// Has all that waits be due.
pub(crate) async fn make_due(imd: &Cluster) {
    let sql = imd.database.sql().await;
    let due = "UPDATE scheduled_messages SET send_at = now(), due_at = now() WHERE refused IS NULL";
    sql.execute(due, &[]).await.expect("it is due");
}

async fn a_message_is_sent_at_its_time(imd: Cluster) {
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    let pc = imd.log_in("ann", "pc", "desk").await;
    let (_node, elsewhere) = imd.start_node().await;
    let mut feeds = [ann.follow("now").await, pc.through(elsewhere).follow("now").await];
    let message = Outgoing::text("bob", "later");
    let ahead = Duration::seconds(2);
    let before = OffsetDateTime::now_utc();
    let scheduled = schedule(&ann, &message, ahead).await.expect("scheduled");
    assert_eq!(scheduled["duplicate"], false);
    let of_it = &scheduled["scheduled_message"];
    assert_eq!((&of_it["text"], &of_it["conversation_id"]), (&json!("later"), &json!("user:bob")));
    assert_eq!(list(&ann).await, ["later"]);
    assert!(bob.texts().await.is_empty());
    for feed in &mut feeds {
        let entries = feed.entries(3).await;
        let changes = told(&entries);
        assert_eq!(
            changes.iter().map(|one| one.state.as_str()).collect::<Vec<_>>(),
            ["WAITING", "SENT"]
        );
        for change in changes {
            assert_eq!(change.client_message_id, message.client_message_id);
            assert_eq!((change.conversation_id.as_str(), &change.refusal), ("user:bob", &None));
        }
        let sent = entries.iter().find_map(Entry::as_message).expect("the message");
        assert_eq!(sent.client_message_id.as_ref(), Some(&message.client_message_id));
    }
    let entries = bob.timeline().await;
    let received = entries.last().expect("the message");
    assert_eq!((received.text(), received.message().sender_id.as_str()), ("later", "ann"));
    assert!(received.appended_at >= before + ahead - Duration::seconds(1), "not before its time");
    assert_eq!(list(&ann).await, [""; 0]);
    assert!(ann.send(&message).await.expect("a retry of the send").duplicate);
    assert_dense(&imd.database).await;
}

async fn i7_a_message_is_scheduled_once(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user_with_phone("bob").await;
    let message = Outgoing::text("bob", "later");
    let at = in_time(Duration::hours(1));
    let call =
        |message: &Outgoing, at: &str| ScheduleCall::Schedule(message.clone(), at.to_owned());
    ann.schedule(call(&message, &at)).await.expect("scheduled");
    let again = ann.schedule(call(&message, &at)).await.expect("a retry");
    assert_eq!(again["duplicate"], true);
    let other = Outgoing { content: text("other").content, ..message.clone() };
    for (message, at) in [(&other, &at), (&message, &in_time(Duration::hours(2)))] {
        let refused = ann.schedule(call(message, at)).await.expect_err("not the same");
        assert_eq!(refused.code, "client_message_id_conflict");
    }
    assert_eq!((list(&ann).await, states(&ann).await.len()), (vec!["later".to_owned()], 1));
}

async fn what_is_scheduled_is_listed_changed_and_taken_back(imd: Cluster) {
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    let [first, second] = [Outgoing::text("bob", "first"), Outgoing::text("bob", "second")];
    schedule(&ann, &first, Duration::hours(1)).await.expect("scheduled");
    schedule(&ann, &second, Duration::hours(2)).await.expect("scheduled");
    assert_eq!(list(&ann).await, ["first", "second"]);
    let update = |message: &Outgoing, body: Value| {
        ScheduleCall::Update(message.client_message_id.clone(), body)
    };
    let at = in_time(Duration::hours(3));
    let changed = json!({ "text": "first, changed", "send_at": at });
    let changed = ann.schedule(update(&first, changed)).await.expect("changed");
    assert_eq!(changed["text"], "first, changed");
    assert_eq!(list(&ann).await, ["second", "first, changed"]);
    ann.schedule(update(&first, json!({}))).await.expect("nothing is changed");
    let cancel = |message: &Outgoing| ScheduleCall::Cancel(message.client_message_id.clone());
    ann.schedule(cancel(&second)).await.expect("taken back");
    let refused = ann.schedule(cancel(&second)).await.expect_err("gone");
    assert_eq!(refused.code, "scheduled_not_found");
    let refused = ann.schedule(update(&second, json!({ "text": "x" }))).await;
    assert_eq!(refused.expect_err("gone").code, "scheduled_not_found");
    assert_eq!(states(&ann).await, ["WAITING", "WAITING", "WAITING", "CANCELLED"]);
    make_due(&imd).await;
    eventually("it is sent", async || (!bob.texts().await.is_empty()).then_some(())).await;
    assert_eq!(bob.texts().await, ["first, changed"]);
    eventually("it is noted", async || list(&ann).await.is_empty().then_some(())).await;
    assert_dense(&imd.database).await;
}

async fn who_is_logged_out_has_its_messages_sent(imd: Cluster) {
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    let later = Outgoing::text("bob", "later");
    schedule(&ann, &later, Duration::hours(1)).await.expect("scheduled");
    ann.logout().await.expect("logged out");
    make_due(&imd).await;
    eventually("it is sent", async || (bob.texts().await == ["later"]).then_some(())).await;
    let ann = imd.log_in("ann", "phone", "ann-phone").await;
    schedule(&ann, &Outgoing::text("bob", "never"), Duration::hours(1)).await.expect("scheduled");
    imd.admin().disable("ann", "for a while").await.expect("disabled");
    make_due(&imd).await;
    let sql = imd.database.sql().await;
    eventually("it is refused", async || {
        let refused = "SELECT refused FROM scheduled_messages";
        let refused: Option<String> = sql.query_one(refused, &[]).await.expect("a row").get(0);
        (refused.as_deref() == Some("user_not_found")).then_some(())
    })
    .await;
    assert_eq!(bob.texts().await, ["later"]);
}

async fn blocks_and_mutes_are_asked_when_a_message_is_due(imd: Cluster) {
    let [ann, ben] = group_of(&imd, ["ann", "ben"]).await;
    let blocked = Outgoing::text("ann", "blocked");
    let muted = text("muted");
    for message in [&blocked, &muted] {
        schedule(&ben, message, Duration::hours(1)).await.expect("scheduled");
    }
    ann.block("ben").await.expect("blocked");
    ann.group(GroupCall::Update(OSLO.to_owned(), json!({ "muted": true }))).await.expect("muted");
    make_due(&imd).await;
    let refused = eventually("both are refused", async || {
        let mut listed = list(&ben).await;
        listed.sort();
        (listed == ["blocked: blocked", "muted: muted"]).then_some(ben.timeline().await)
    })
    .await;
    let refused = told(&refused);
    assert_eq!(refused.len(), 4);
    for change in &refused[2..] {
        let refusal = change.refusal.as_ref().expect("why");
        assert_eq!(change.state, "REFUSED");
        assert!(
            ["blocked", "muted"].contains(&refusal.code.as_str()) && !refusal.message.is_empty()
        );
    }
    ann.unblock("ben").await.expect("unblocked");
    let again = json!({ "send_at": in_time(Duration::seconds(0)) });
    let again = ScheduleCall::Update(blocked.client_message_id.clone(), again);
    ben.schedule(again).await.expect("tried once more");
    eventually("it is sent", async || {
        ann.texts().await.iter().any(|text| text == "blocked").then_some(())
    })
    .await;
    ben.schedule(ScheduleCall::Cancel(muted.client_message_id)).await.expect("taken back");
    eventually("nothing is left", async || list(&ben).await.is_empty().then_some(())).await;
    assert_eq!(ann.history(IN_OSLO, 0, "").await.expect("a page").entries, []);
    assert_dense(&imd.database).await;
}

async fn a_scheduled_message_is_checked(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let sent = ann.say("bob", "hello").await;
    let soon = Duration::hours(1);
    let nobody = Outgoing { to: None, ..Outgoing::text("", "x") };
    let bad = [
        (Outgoing::text("bob", ""), soon, "text"),
        (Outgoing { content: None, ..Outgoing::text("bob", "") }, soon, "text"),
        (nobody, soon, "to"),
        (
            Outgoing { client_message_id: "7".to_owned(), ..Outgoing::text("bob", "x") },
            soon,
            "client_message_id",
        ),
        (Outgoing::text("bob", "x"), Duration::hours(-1), "send_at"),
        (Outgoing::text("bob", "x"), Duration::days(400), "send_at"),
        (Outgoing { mention_all: true, ..Outgoing::text("bob", "x") }, soon, "mention_all"),
        (Outgoing::forward("bob", &sent.message_id), soon, "forward_of"),
    ];
    for (message, ahead, field) in bad {
        let refused = schedule(&ann, &message, ahead).await.expect_err("not valid");
        assert_eq!((refused.code.as_str(), refused.detail("field")), ("invalid_argument", field));
    }
    let no_time = ScheduleCall::Schedule(Outgoing::text("bob", "x"), String::new());
    assert_eq!(ann.schedule(no_time).await.expect_err("no time").detail("field"), "send_at");
    let refused = schedule(&ann, &Outgoing::text("nobody", "x"), soon).await;
    assert_eq!(refused.expect_err("nobody").code, "user_not_found");
    let reply = |to: &str, text: &str| Outgoing {
        reply_to: sent.message_id.clone(),
        ..Outgoing::text(to, text)
    };
    let refused = schedule(&ann, &reply("ann", "x"), soon).await;
    assert_eq!(refused.expect_err("of another conversation").code, "message_not_found");
    schedule(&ann, &reply("bob", "an answer"), soon).await.expect("scheduled");
    schedule(&ann, &Outgoing::text("bob", "in a year"), Duration::days(365)).await.expect("so far");
    let late = json!({ "send_at": in_time(Duration::days(400)) });
    let listed = ann.schedule(ScheduleCall::List(0, String::new())).await.expect("a page");
    let id = listed["scheduled_messages"][0]["client_message_id"].as_str().expect("an id");
    let refused = ann.schedule(ScheduleCall::Update(id.to_owned(), late)).await;
    assert_eq!(refused.expect_err("too far").detail("field"), "send_at");
    make_due(&imd).await;
    let entry = eventually("the answer", async || {
        let entries = bob.timeline().await;
        entries.into_iter().find(|entry| entry.as_message().is_some_and(|m| m.reply_to.is_some()))
    })
    .await;
    assert_eq!(entry.text(), "an answer");
}

async fn a_hundred_messages_wait(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    for n in 0..100 {
        let message = Outgoing::text("ann", format!("{n}"));
        schedule(&ann, &message, Duration::hours(1)).await.expect("scheduled");
    }
    let more = Outgoing::text("ann", "one more");
    let refused = schedule(&ann, &more, Duration::hours(1)).await.expect_err("one too many");
    assert_eq!(refused.code, "too_many_scheduled");
}

async fn scheduled_messages_are_listed_in_pages(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    for n in 0..5 {
        let message = Outgoing::text("ann", format!("{n}"));
        schedule(&ann, &message, Duration::hours(n)).await.expect("scheduled");
    }
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let page = ann.schedule(ScheduleCall::List(2, token.clone())).await.expect("a page");
        let texts = page["scheduled_messages"].as_array().expect("a list");
        found.extend(texts.iter().map(|one| one["text"].as_str().expect("a text").to_owned()));
        page["next_page_token"].as_str().expect("a token").clone_into(&mut token);
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(found[found.len() - 4..], ["1", "2", "3", "4"]);
    let nowhere = ann.schedule(ScheduleCall::List(0, "nowhere".to_owned())).await;
    assert_eq!(nowhere.expect_err("no token").detail("field"), "page_token");
}

async fn another_ones_scheduled_messages_are_not_to_be_had(imd: Cluster) {
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    let message = Outgoing::text("bob", "a secret");
    schedule(&ann, &message, Duration::hours(1)).await.expect("scheduled");
    assert_eq!(list(&bob).await, [""; 0]);
    let id = message.client_message_id.clone();
    for call in
        [ScheduleCall::Cancel(id.clone()), ScheduleCall::Update(id, json!({ "text": "mine" }))]
    {
        let refused = bob.schedule(call).await.expect_err("ann's");
        assert_eq!(refused.code, "scheduled_not_found");
    }
    schedule(&bob, &message, Duration::hours(1)).await.expect("bob's own");
    assert_eq!(list(&ann).await, ["a secret"]);
}

async fn scheduled_messages_go_with_the_account(imd: Cluster) {
    let [ann, bob] = [imd.user_with_phone("ann").await, imd.user_with_phone("bob").await];
    schedule(&ann, &Outgoing::text("bob", "a secret"), Duration::hours(1))
        .await
        .expect("scheduled");
    schedule(&bob, &Outgoing::text("ann", "to nobody"), Duration::hours(1))
        .await
        .expect("scheduled");
    imd.admin().delete("ann", false).await.expect("deleted");
    let sql = imd.database.sql().await;
    let left = "SELECT count(*) FROM scheduled_messages";
    assert_eq!(sql.query_one(left, &[]).await.expect("a count").get::<_, i64>(0), 1);
    make_due(&imd).await;
    eventually("it is refused", async || {
        (list(&bob).await == ["to nobody: user_not_found"]).then_some(())
    })
    .await;
}
