//! A message is known by its client's id after its copies have been purged (I7).

use std::time::Duration;

use serde_json::json;

use super::purge::{restarted, restarted_impatient, rows};
use crate::support::{
    api::{GroupCall, Outgoing, Transport},
    cluster::Cluster,
    eventually, on_both_transports,
    terminal::Terminal,
    types::Sent,
};

on_both_transports! {
    i7_a_retry_of_a_purged_message_returns_the_first_result,
    i7_a_retry_of_a_purged_message_to_a_group_returns_the_first_result,
    i7_the_id_of_a_purged_message_is_not_free_for_another,
    a_message_that_the_purge_took_from_its_sender_is_still_recalled,
    what_tells_a_retry_is_seen_by_nobody,
    what_tells_a_retry_goes_when_its_time_is_over,
    an_account_takes_what_told_its_retries_with_it,
}

/// Hides all but the newest messages of `user_id`, and purges what is hidden.
async fn purge_all_but(imd: &Cluster, user_id: &str, messages: i64) {
    imd.admin().set_limits(user_id, None, Some(messages)).await.expect("limits");
    imd.admin().purge().await.expect("a purge");
}

/// Says three things of no weight.
async fn three_more(terminal: &Terminal, to: &str) {
    for n in 1..=3 {
        terminal.say(to, &format!("filler {n}")).await;
    }
}

/// Messages that still say something, of all timelines.
async fn bodies(imd: &Cluster) -> i64 {
    let sql = imd.database.sql().await;
    let count = "SELECT count(*) FROM entries WHERE kind = 1 AND body <> ''";
    sql.query_one(count, &[]).await.expect("a number").get(0)
}

/// Rows of a timeline, what is kept of purged messages included.
async fn all_rows(imd: &Cluster, user_id: &str) -> i64 {
    let sql = imd.database.sql().await;
    let count = "SELECT count(*) FROM entries JOIN users ON user_no = owner WHERE user_id = $1";
    sql.query_one(count, &[&user_id]).await.expect("a number").get(0)
}

/// Panics unless every timeline is dense from where it was purged to its end.
async fn assert_gap_free(imd: &Cluster) {
    let sql = imd.database.sql().await;
    let uneven = "
        SELECT t.owner, t.purged_to, t.last_seq, count(e.seq), max(e.seq)
        FROM timelines t LEFT JOIN entries e ON e.owner = t.owner AND e.seq > t.purged_to
        GROUP BY t.owner
        HAVING count(e.seq) <> t.last_seq - t.purged_to OR coalesce(max(e.seq), t.purged_to) <> t.last_seq";
    let uneven = sql.query(uneven, &[]).await.expect("the timelines");
    assert!(uneven.is_empty(), "{uneven:?}");
}

/// Lets time pass for all messages.
async fn age(imd: &Cluster, days: i32) {
    let sql = imd.database.sql().await;
    let age = "UPDATE entries SET appended_at = appended_at - make_interval(days => $1)";
    sql.execute(age, &[&days]).await.expect("older entries");
}

async fn i7_a_retry_of_a_purged_message_returns_the_first_result(imd: Cluster) {
    let imd = restarted_impatient(imd).await;
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    let messages = [Outgoing::text("ben", "pay 100"), Outgoing::data("ben", "a/b", b"pay 100")];
    let mut sent = Vec::new();
    for message in &messages {
        sent.push(ann.send(message).await.expect("sent"));
    }
    three_more(&ann, "ben").await;
    purge_all_but(&imd, "ann", 2).await;
    purge_all_but(&imd, "ben", 2).await;
    let before = (ann.timeline().await, ben.timeline().await);
    for (message, sent) in messages.iter().zip(sent) {
        let again = ann.send(message).await.expect("the first result");
        assert_eq!(again, Sent { duplicate: true, ..sent });
    }
    assert_eq!((ann.timeline().await, ben.timeline().await), before, "nothing is stored twice");
    assert_gap_free(&imd).await;
}

async fn i7_a_retry_of_a_purged_message_to_a_group_returns_the_first_result(imd: Cluster) {
    let imd = restarted_impatient(imd).await;
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    let oslo = json!({ "group_id": "oslo", "name": "Oslo", "member_ids": ["ben"] });
    ann.group(GroupCall::Create(oslo)).await.expect("a group");
    let message = Outgoing::text("group:oslo", "pay 100");
    let sent = ann.send(&message).await.expect("sent");
    three_more(&ann, "group:oslo").await;
    purge_all_but(&imd, "ann", 2).await;
    let again = ann.send(&message).await.expect("the first result");
    assert_eq!(again, Sent { duplicate: true, ..sent });
    let last = ann.say("group:oslo", "last").await;
    eventually("ben has the last", async || {
        let texts = ben.texts().await;
        (texts.last().map(String::as_str) == Some("last")).then_some(())
    })
    .await;
    assert_eq!(ben.texts().await, ["pay 100", "filler 1", "filler 2", "filler 3", "last"]);
    let page = ann.history("group:oslo", 0, "").await.expect("a page");
    assert_eq!(page.entries.iter().map(|e| e.seq).max(), Some(last.seq));
    assert_gap_free(&imd).await;
}

async fn i7_the_id_of_a_purged_message_is_not_free_for_another(imd: Cluster) {
    let imd = restarted_impatient(imd).await;
    let ann = imd.user_with_phone("ann").await;
    imd.users(["ben", "cleo"]).await;
    let message = Outgoing::text("ben", "one");
    ann.send(&message).await.expect("sent");
    three_more(&ann, "ben").await;
    purge_all_but(&imd, "ann", 0).await;
    let id = || message.client_message_id.clone();
    for other in [
        Outgoing { client_message_id: id(), ..Outgoing::text("ben", "two") },
        Outgoing { client_message_id: id(), ..Outgoing::text("cleo", "one") },
    ] {
        let refused = ann.send(&other).await.expect_err("a conflict");
        assert_eq!(refused.code, "client_message_id_conflict");
    }
}

async fn a_message_that_the_purge_took_from_its_sender_is_still_recalled(imd: Cluster) {
    let imd = restarted_impatient(imd).await;
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    let sent = ann.say("ben", "a secret").await;
    let late = ann.say("ben", "said long ago").await;
    three_more(&ann, "ben").await;
    purge_all_but(&imd, "ann", 1).await;
    for _ in 0..2 {
        ann.recall(&sent.message_id).await.expect("recalled");
    }
    let page = ben.history("ann", 0, "").await.expect("a page");
    assert_eq!(page.entries.last().expect("the first").message().content, None);
    assert_eq!(page.entries.len(), 5);
    assert!(!format!("{:?}", ben.timeline().await).contains("a secret"));
    age(&imd, 1).await;
    let refused = ann.recall(&late.message_id).await.expect_err("a day later");
    assert_eq!(refused.code, "recall_window_over");
    assert_gap_free(&imd).await;
}

async fn what_tells_a_retry_is_seen_by_nobody(imd: Cluster) {
    let imd = restarted_impatient(imd).await;
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    let sent = ann.say("ben", "a secret").await;
    ann.say("ann", "a note").await;
    ben.say("ann", "an answer").await;
    purge_all_but(&imd, "ann", 0).await;
    assert_eq!(bodies(&imd).await, 2, "ben's copies");
    assert_eq!((rows(&imd, "ann").await, all_rows(&imd, "ann").await), (0, 2), "what she sent");
    imd.admin().set_tier("ann", "unlimited").await.expect("no limit any more");

    assert_eq!(ann.timeline().await, []);
    let listed = ann.api.conversations(&ann.token, 0, "").await.expect("a page");
    assert_eq!(listed.conversations.len(), 0);
    for peer in ["ben", "ann"] {
        let page = ann.history(peer, 0, "").await.expect("a page");
        assert_eq!((page.entries.len(), page.end.as_deref()), (0, Some("RETENTION_LIMIT")));
    }
    let refused = ann.delete("ben", sent.seq).await.expect_err("it is gone");
    assert_eq!(refused.code, "message_not_found");
    assert_eq!(ann.mark_read("ben", sent.seq).await.expect("no mark"), 0);
    let exported = imd.admin().export("ann", None).await.expect("an export");
    assert_eq!(exported, []);

    ben.say("ann", "one more").await;
    assert_eq!(ann.conversation("ben").await.unread_count, 1);
    assert_eq!(ann.texts().await, ["one more"]);
}

async fn what_tells_a_retry_goes_when_its_time_is_over(imd: Cluster) {
    let imd = restarted_impatient(imd).await;
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    let old = Outgoing::text("ben", "long ago");
    ann.send(&old).await.expect("sent");
    // More than the purge takes at once.
    ann.say_at_once("ben", (0..1200).map(|n| n.to_string())).await;
    age(&imd, 60).await;
    let young = Outgoing::text("ben", "lately");
    let sent = ann.send(&young).await.expect("sent");
    purge_all_but(&imd, "ann", 0).await;
    assert_eq!(all_rows(&imd, "ann").await, 1202);
    assert!(ann.send(&old).await.expect("the first result").duplicate, "60 days later");

    age(&imd, 31).await;
    imd.admin().purge().await.expect("a purge");
    assert_eq!(all_rows(&imd, "ann").await, 1, "91 days later");
    let again = ann.send(&young).await.expect("the first result");
    // Its time was set back with all others.
    assert_eq!(again, Sent { duplicate: true, sent_at: again.sent_at, ..sent });
    let anew = ann.send(&old).await.expect("sent");
    assert!(!anew.duplicate, "the id is free again");
    assert_eq!(ben.pull("").await.expect("a stretch").state.last_seq, 1204);
    assert_gap_free(&imd).await;
}

async fn an_account_takes_what_told_its_retries_with_it(imd: Cluster) {
    let imd = restarted_impatient(imd).await;
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    ann.say("ben", "a secret").await;
    three_more(&ann, "ben").await;
    purge_all_but(&imd, "ann", 1).await;
    assert_eq!(all_rows(&imd, "ann").await, 4);
    imd.admin().delete("ann", true).await.expect("deleted");
    assert_eq!(all_rows(&imd, "ann").await, 0);
    assert!(!format!("{:?}", ben.timeline().await).contains("secret"), "erased with the account");
}

/// How long a retry is known is a setting of its own; what may be recalled is known as long.
#[tokio::test]
async fn nothing_is_kept_where_nothing_is_to_be() {
    let imd = Cluster::start(Transport::Grpc).await;
    let imd = restarted(imd, |settings| {
        settings.retention.purge_after = Duration::ZERO;
        settings.messages.dedupe_for = Duration::ZERO;
        settings.messages.recall_window = Duration::ZERO;
    })
    .await;
    let ann = imd.user_with_phone("ann").await;
    imd.user("ben").await;
    ann.say("ben", "hello").await;
    purge_all_but(&imd, "ann", 0).await;
    assert_eq!(all_rows(&imd, "ann").await, 0);
}
