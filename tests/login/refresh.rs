//! Keeping logged in.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use imd::config::Settings;

use crate::{
    faults::held::waiting_for_locks,
    support::{
        api::Transport, cluster::Cluster, eventually, node::Node, on_both_transports,
        postgres::Database, terminal::Terminal, types::Event,
    },
};

/// Changes the row of a session behind the server's back.
async fn set(imd: &Cluster, terminal: &Terminal, assignment: &str) {
    let sql = imd.database.sql().await;
    let update =
        format!("UPDATE sessions SET {assignment} WHERE session_id = '{}'", terminal.session_id());
    assert_eq!(sql.execute(&update, &[]).await.expect("an update"), 1);
}

on_both_transports! {
    a_refresh_brings_two_new_tokens,
    a_lost_answer_logs_nobody_out,
    i2_a_token_whose_successor_was_used_ends_the_session,
    i2_a_token_that_was_exchanged_a_minute_ago_ends_the_session,
    i2_a_session_that_nobody_refreshed_in_time_has_expired,
    i2_a_session_that_ends_while_it_is_refreshed_says_why,
    i2_a_refresh_never_wins_a_place_back,
    a_forged_refresh_token_is_refused,
    refresh_tokens_are_stored_hashed,
    refreshes_at_once_all_lead_to_one_place,
}

async fn a_refresh_brings_two_new_tokens(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let tokens = imd.api.refresh(&phone.refresh_token).await.expect("new tokens");
    assert_eq!(tokens.expires_in, 15 * 60);
    assert_ne!(tokens.refresh_token, phone.refresh_token);
    let sessions = imd.api.sessions(&tokens.access_token).await.expect("the new access token");
    assert_eq!(sessions[0].session_id, phone.session_id());
    assert!(sessions[0].current);
    assert!(phone.sessions().await.is_ok(), "the old access token is good until it expires");
}

async fn a_lost_answer_logs_nobody_out(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let lost = imd.api.refresh(&phone.refresh_token).await.expect("new tokens");
    let again = imd.api.refresh(&phone.refresh_token).await.expect("the same once more");
    assert_eq!(again.refresh_token, lost.refresh_token);
    let next = imd.api.refresh(&again.refresh_token).await.expect("the next pair");
    imd.api.refresh(&next.refresh_token).await.expect("and the next");
}

async fn i2_a_token_whose_successor_was_used_ends_the_session(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let mut feed = phone.follow("now").await;
    let stolen = phone.refresh_token.clone();
    let second = imd.api.refresh(&stolen).await.expect("new tokens");
    let third = imd.api.refresh(&second.refresh_token).await.expect("new tokens");

    assert_eq!(imd.api.refresh(&stolen).await.expect_err("reused").end_reason(), "TOKEN_REUSED");
    let (_, last) = feed.to_the_end().await;
    assert!(matches!(&last, Event::SessionEnded(end) if end.reason == "TOKEN_REUSED"), "{last:?}");
    for newer in [&second.refresh_token, &third.refresh_token] {
        let refused = imd.api.refresh(newer).await.expect_err("the session has ended");
        assert_eq!(refused.end_reason(), "TOKEN_REUSED");
    }
    assert_eq!(phone.sessions().await.expect_err("ended").end_reason(), "TOKEN_REUSED");
    let records = imd.admin().audit("ann", 0, "").await.expect("records").records;
    assert_eq!((&*records[0].actor, &*records[0].action), ("(imd)", "end_session"));
    let details = serde_json::json!({
        "session_id": phone.session_id(), "end_reason": "TOKEN_REUSED", "sessions_ended": 1,
    });
    assert_eq!(records[0].details, details.to_string());
}

/// As PostgreSQL shows bytes.
fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

async fn refresh_tokens_are_stored_hashed(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let other = imd.log_in("ann", "pc", "desk").await;
    let refreshed = imd.api.refresh(&phone.refresh_token).await.expect("new tokens");
    let sql = imd.database.sql().await;
    let dump = "SELECT string_agg(s::text, '') FROM sessions s";
    let stored: String = sql.query_one(dump, &[]).await.expect("rows").get(0);
    for token in [&phone.refresh_token, &refreshed.refresh_token, &other.refresh_token] {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).expect("base64");
        // Whose it is, then 32 bytes that nobody can guess, then what seals it.
        let secret = hex(&bytes[24..56]);
        assert!(!stored.contains(token.as_str()) && !stored.contains(&secret));
    }
}

async fn i2_a_token_that_was_exchanged_a_minute_ago_ends_the_session(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    imd.api.refresh(&phone.refresh_token).await.expect("new tokens");
    set(&imd, &phone, "rotated_at = now() - interval '61 seconds'").await;
    let refused = imd.api.refresh(&phone.refresh_token).await.expect_err("too late");
    assert_eq!(refused.end_reason(), "TOKEN_REUSED");
}

async fn i2_a_session_that_nobody_refreshed_in_time_has_expired(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    set(&imd, &phone, "refresh_expires_at = now() - interval '1 second'").await;
    let refused = imd.api.refresh(&phone.refresh_token).await.expect_err("too late");
    assert_eq!(refused.end_reason(), "EXPIRED");
    assert_eq!(phone.sessions().await.expect_err("ended").end_reason(), "EXPIRED");
}

async fn i2_a_session_that_ends_while_it_is_refreshed_says_why(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    set(&imd, &phone, "refresh_expires_at = now() - interval '1 second'").await;
    let sql = imd.database.sql().await;
    sql.batch_execute("BEGIN; SELECT FROM timelines FOR UPDATE").await.expect("a lock");
    let end = async {
        waiting_for_locks(1, &imd.database).await;
        let end = "UPDATE sessions SET ended_at = now(), end_reason = 4; COMMIT";
        sql.batch_execute(end).await.expect("it has ended");
    };
    let (refused, ()) = futures::join!(imd.api.refresh(&phone.refresh_token), end);
    assert_eq!(refused.expect_err("too late").end_reason(), "LOGGED_OUT");
}

async fn i2_a_refresh_never_wins_a_place_back(imd: Cluster) {
    let first = imd.user_with_phone("ann").await;
    let tokens = imd.api.refresh(&first.refresh_token).await.expect("new tokens");
    let second = imd.log_in("ann", "phone", "second").await;
    for token in [&first.refresh_token, &tokens.refresh_token] {
        let refused = imd.api.refresh(token).await.expect_err("replaced");
        assert_eq!(refused.end_reason(), "REPLACED");
        assert_eq!(refused.detail("ended_by_device_name"), "ann's second");
    }
    assert_eq!(second.sessions().await.expect("live").len(), 1);
}

async fn a_forged_refresh_token_is_refused(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let mut forged = phone.refresh_token.clone().into_bytes();
    forged[20] = if forged[20] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).expect("ASCII");
    for token in ["", "garbage", &phone.token, &forged] {
        let refused = imd.api.refresh(token).await.expect_err("forged");
        assert_eq!(refused.code, "invalid_token", "{token:?}");
    }
    imd.api.refresh(&phone.refresh_token).await.expect("the true one is still good");
}

async fn refreshes_at_once_all_lead_to_one_place(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let refresh = || imd.api.refresh(&phone.refresh_token);
    let all = futures::future::join_all((0..8).map(|_| refresh())).await;
    let first = all[0].as_ref().expect("new tokens").refresh_token.clone();
    for tokens in all {
        assert_eq!(tokens.expect("new tokens").refresh_token, first);
    }
    imd.api.refresh(&first).await.expect("the successor is good");
}

#[tokio::test]
async fn an_access_token_expires_and_a_refresh_brings_the_next() {
    let database = Database::create().await;
    let short = |settings: &mut Settings| settings.tokens.access_ttl = Duration::from_secs(1);
    let node = Node::start_with(&database, short).await;
    let imd = Cluster::of(Transport::Grpc, database, node);
    let phone = imd.user_with_phone("ann").await;
    let refused = eventually("the end of the token", async || phone.sessions().await.err()).await;
    assert_eq!(refused.code, "invalid_token");
    let tokens = imd.api.refresh(&phone.refresh_token).await.expect("new tokens");
    assert!(imd.api.sessions(&tokens.access_token).await.is_ok());
}
