//! Hours in which a user is told of nothing.

use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::{bind, call, provider::Provider, with_webhook};
use crate::support::{
    api::{Outgoing, Transport},
    cluster::Cluster,
    failure::Failure,
    terminal::Terminal,
};

/// Sets the hours, or takes them back.
async fn set(imd: &Cluster, terminal: &Terminal, hours: Option<Value>) -> Result<(), Failure> {
    let url = format!("http://{}/v1/push/quiet_hours", imd.node.public_address());
    let method = if hours.is_some() { Method::PUT } else { Method::DELETE };
    let mut request = Client::new().request(method, url).bearer_auth(&terminal.token);
    if let Some(hours) = hours {
        request = request.json(&hours);
    }
    let answer = request.send().await.map_err(Failure::lost)?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let problem = answer.json().await.expect("a problem");
    Err(Failure::from_problem(status.as_u16(), problem))
}

/// The hours that are set.
async fn get(imd: &Cluster, terminal: &Terminal) -> Value {
    let mut state = call(&imd.node, terminal, Method::GET, None).await.expect("its state");
    state["quiet_hours"].take()
}

/// Hours that begin and end so far from now, by the clocks of a zone.
async fn hours(imd: &Cluster, zone: &str, from: &str, to: &str) -> Value {
    let sql = imd.database.sql().await;
    let at = "SELECT to_char(now() AT TIME ZONE $1 + $2::text::interval, 'HH24:MI'),
                  to_char(now() AT TIME ZONE $1 + $3::text::interval, 'HH24:MI')";
    let row = sql.query_one(at, &[&zone, &from, &to]).await.expect("times");
    let [from, to]: [String; 2] = [row.get(0), row.get(1)];
    json!({ "from": from, "to": to, "time_zone": zone })
}

#[tokio::test]
async fn in_quiet_hours_nobody_is_told_and_afterwards_of_what_is_unread() {
    let mut provider = Provider::start().await;
    let imd = with_webhook(Transport::Grpc, &provider.url).await;
    let [ann, carl] = [imd.user_with_phone("ann").await, imd.user_with_phone("carl").await];
    let bob = imd.user_with_phone("bob").await;
    let pad = imd.log_in("bob", "pad", "tablet").await;
    bind(&imd, &bob, "bob").await;
    bind(&imd, &carl, "carl").await;
    let quiet = hours(&imd, "UTC", "-1 hour", "1 hour").await;
    set(&imd, &bob, Some(quiet)).await.expect("set");
    carl.say("bob", "read elsewhere").await;
    let read = pad.timeline().await.last().expect("a message").seq;
    // One of the two ends on the next day there, whatever the time is.
    for zone in ["Pacific/Kiritimati", "America/Adak"] {
        let quiet = hours(&imd, zone, "-6 hours", "6 hours").await;
        set(&imd, &bob, Some(quiet.clone())).await.expect("set");
        assert_eq!(get(&imd, &pad).await, quiet, "they are the user's");
        for text in ["one", "two"] {
            ann.say("bob", text).await;
        }
        pad.mark_read("carl", read).await.expect("marked");
        ann.say("carl", "hello").await;
        assert_eq!(provider.told(1).await[0].0, "carl", "others are told");
        provider.gets_nothing().await;
        // They are over.
        let over = hours(&imd, zone, "6 hours", "-6 hours").await;
        set(&imd, &bob, Some(over)).await.expect("set");
        let (token, told) = provider.told(1).await.remove(0);
        assert_eq!(
            (token.as_str(), told["text"].as_str(), &told["count"]),
            ("bob", Some("two"), &json!(2))
        );
        provider.gets_nothing().await;
    }
    let quiet = hours(&imd, "UTC", "-1 hour", "1 hour").await;
    set(&imd, &pad, Some(quiet)).await.expect("set");
    let mention = Outgoing::text("bob", "taken back");
    ann.send(&mention).await.expect("sent");
    for _ in 0..2 {
        set(&imd, &bob, None).await.expect("taken back");
    }
    assert_eq!(get(&imd, &bob).await, Value::Null);
    assert_eq!(provider.told(1).await[0].1["text"], "taken back");
}

#[tokio::test]
async fn hours_that_make_no_sense_are_refused() {
    let imd = with_webhook(Transport::Grpc, "http://127.0.0.1:9").await;
    let bob = imd.user_with_phone("bob").await;
    for (from, to, zone, field) in [
        ("", "07:00", "UTC", "from"),
        ("24:00", "07:00", "UTC", "from"),
        ("7:00", "09:00", "UTC", "from"),
        ("22:00:00", "07:00", "UTC", "from"),
        ("22:00", "7 am", "UTC", "to"),
        ("22:00", "22:00", "UTC", "to"),
        ("22:00", "07:00", "", "time_zone"),
        ("22:00", "07:00", "CET", "time_zone"),
        ("22:00", "07:00", "FOO+3", "time_zone"),
        ("22:00", "07:00", "Europe/Atlantis", "time_zone"),
        ("22:00", "07:00", "../../etc/passwd", "time_zone"),
        ("22:00", "07:00", &format!("Europe/{}", "x".repeat(64)), "time_zone"),
    ] {
        let hours = json!({ "from": from, "to": to, "time_zone": zone });
        let refused = set(&imd, &bob, Some(hours)).await.expect_err("refused");
        assert_eq!(refused.field(), field, "{from} {to} {zone}: {refused:?}");
    }
    let refused = set(&imd, &bob, Some(json!({}))).await.expect_err("refused");
    assert_eq!(refused.field(), "from");
    assert_eq!(get(&imd, &bob).await, Value::Null);
}

#[tokio::test]
async fn quiet_hours_go_with_the_account() {
    let imd = with_webhook(Transport::Grpc, "http://127.0.0.1:9").await;
    let bob = imd.user_with_phone("bob").await;
    let hours = json!({ "from": "22:00", "to": "07:00", "time_zone": "Asia/Tokyo" });
    set(&imd, &bob, Some(hours)).await.expect("set");
    let sql = imd.database.sql().await;
    let count = async || -> i64 {
        sql.query_one("SELECT count(*) FROM quiet_hours", &[]).await.expect("a number").get(0)
    };
    assert_eq!(count().await, 1);
    imd.admin().delete("bob", false).await.expect("deleted");
    crate::support::eventually("they are gone", async || (count().await == 0).then_some(())).await;
}
