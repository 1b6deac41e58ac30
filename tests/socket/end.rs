//! How connections end: told why (I2), or asked to come back (I11).

use imd_proto::v1::kick_sessions_request::Which;
use serde_json::json;

use super::{cluster, connected, expect, following, next, send};
use crate::{
    faults::held::{Held, waiting_for_locks},
    support::{
        api::Outgoing,
        cluster::{Cluster, PASSWORD},
        terminal::Terminal,
        within_deadline,
    },
};

/// The close code behind `session_ended`.
const NORMAL: u16 = 1000;

/// The close code behind `reconnect`.
const RESTART: u16 = 1012;

async fn end_by(imd: &Cluster, phone: &Terminal, reason: &str) {
    let admin = imd.admin();
    match reason {
        "REPLACED" => drop(imd.log_in("ann", "phone", "another").await),
        "SUPERSEDED" => drop(imd.log_in("ann", "phone", "ann-phone").await),
        "KICKED" => drop(admin.kick("ann", Some(Which::All(true)), "lost").await.expect("kicked")),
        "LOGGED_OUT" => phone.logout().await.expect("logged out"),
        "PASSWORD_CHANGED" => {
            drop(admin.set_password("ann", &format!("new {PASSWORD}")).await.expect("changed"));
        }
        "USER_DISABLED" => drop(admin.disable("ann", "").await.expect("disabled")),
        "TOKEN_REUSED" => {
            let first = imd.api.refresh(&phone.refresh_token).await.expect("tokens");
            imd.api.refresh(&first.refresh_token).await.expect("tokens");
            imd.api.refresh(&phone.refresh_token).await.expect_err("it was used before");
        }
        _ => unreachable!("{reason}"),
    }
}

#[tokio::test]
async fn i2_every_connection_is_told_why_its_session_ended() {
    for reason in [
        "REPLACED",
        "SUPERSEDED",
        "KICKED",
        "LOGGED_OUT",
        "PASSWORD_CHANGED",
        "USER_DISABLED",
        "TOKEN_REUSED",
    ] {
        let imd = cluster().await;
        let phone = imd.user_with_phone("ann").await;
        let (mut socket, _) = following(&imd, &phone, "now").await;
        end_by(&imd, &phone, reason).await;
        let end = expect(&mut socket, "session_ended").await;
        assert_eq!(end["reason"], reason);
        assert_eq!(end["note"], if reason == "KICKED" { "lost" } else { "" });
        let by = if reason == "REPLACED" {
            "ann's another"
        } else {
            end["by_device_name"].as_str().unwrap_or("?")
        };
        assert_eq!(end["by_device_name"], by);
        assert_eq!(socket.close_code().await, NORMAL, "{reason}");
    }
}

#[tokio::test]
async fn i11_a_node_that_stops_answers_what_is_under_way_and_sends_its_connections_elsewhere() {
    let imd = cluster().await;
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    let (mut follows, _) = following(&imd, &ann, "now").await;
    let mut only_sends = connected(&imd, &ann).await;
    let held = Held::timeline_of("bob", &imd.database).await;
    let message = Outgoing::text("bob", "in flight");
    only_sends.say(&send(&message)).await;
    waiting_for_locks(1, &imd.database).await;

    let node = imd.node;
    let ends = async {
        assert_eq!(next(&mut follows).await, ("reconnect".to_owned(), json!({})));
        assert_eq!(follows.close_code().await, RESTART);
        held.release().await;
        let sent = expect(&mut only_sends, "sent").await;
        assert_eq!(sent["client_message_id"], message.client_message_id);
        expect(&mut only_sends, "reconnect").await;
        assert_eq!(only_sends.close_code().await, RESTART);
    };
    let both = async { tokio::join!(Box::pin(node.stop()), ends) };
    within_deadline("the stop", both).await;
}
