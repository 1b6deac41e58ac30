//! Strings that mean something to SQL, to C, to a terminal or to a reader, in every field there is.

use imd_proto::v1::{self, kick_sessions_request::Which};

use crate::support::{
    api::{Credential, Login, Outgoing, Transport},
    cluster::{Cluster, login},
    failure::Failure,
    on_both_transports,
};

const STRINGS: [&str; 14] = [
    "'; DROP TABLE entries; --",
    "\" OR 1=1 --",
    "$1",
    "\\'",
    "%00",
    "%",
    "\u{0}",
    "a\u{0}b",
    "\u{1b}[2J",
    "\r\nx-injected: 1",
    "\u{202e}txt.exe",
    "\u{2066}a\u{2069}",
    "\u{feff}\u{200b}",
    "\u{10ffff}\u{fffd}",
];

/// What may be wrong with a string. Never `internal`, and never no answer.
const CODES: [&str; 6] = [
    "invalid_argument",
    "invalid_credentials",
    "invalid_assertion",
    "invalid_token",
    "user_not_found",
    "terminal_occupied",
];

fn check<T>(field: &str, string: &str, answer: Result<T, Failure>) {
    if let Err(refused) = answer {
        assert!(CODES.contains(&&*refused.code), "{string:?} as {field}: {refused:?}");
    }
}

on_both_transports! {
    no_string_of_a_login_means_anything,
    no_string_of_a_call_means_anything,
    a_text_arrives_as_it_was_sent,
    a_device_cannot_turn_the_names_around_it,
}

async fn no_string_of_a_login_means_anything(imd: Cluster) {
    imd.user("ann").await;
    let good = login("ann", "phone", "p");
    for string in STRINGS {
        let text = || string.to_owned();
        let logins = [
            ("user_id", Login { user_id: text(), ..good.clone() }),
            ("password", good.clone().password(string)),
            ("assertion", Login { credential: Credential::Assertion(text()), ..good.clone() }),
            ("type", Login { terminal_type: text(), ..good.clone() }),
            ("device_id", Login { device_id: text(), ..good.clone() }),
            ("device_name", Login { device_name: text(), ..good.clone() }),
        ];
        for (field, login) in logins {
            check(field, string, imd.api.login(&login).await);
        }
        check("refresh_token", string, imd.api.refresh(string).await);
    }
    imd.log_in("ann", "phone", "p").await;
}

async fn no_string_of_a_call_means_anything(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let (api, token) = (&imd.api, &phone.token);
    for string in STRINGS {
        check("to", string, phone.send(&Outgoing::text(string, "hello")).await);
        let id = Outgoing { client_message_id: string.to_owned(), ..Outgoing::text("ann", "x") };
        check("client_message_id", string, phone.send(&id).await);
        check("content_type", string, phone.send(&Outgoing::data("ann", string, b"x")).await);
        let media_type = format!("text/{string}");
        check("content_type", string, phone.send(&Outgoing::data("ann", &media_type, b"x")).await);
        check("page_token", string, api.conversations(token, 0, string).await);
        check("page_token", string, phone.history("ann", 0, string).await);
        check("after", string, phone.pull(string).await);
        check("after", string, api.subscribe(token, string).await);
        // A path can only carry these when they are escaped.
        if imd.transport == Transport::Grpc {
            check("conversation_id", string, api.history(token, string, 0, "").await);
            check("session_id", string, phone.end_session(string).await);
        }
    }
    assert!(phone.sessions().await.is_ok());
}

async fn a_text_arrives_as_it_was_sent(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let mut feed = phone.follow("now").await;
    for string in STRINGS {
        phone.say("ann", string).await;
        assert_eq!(feed.entry().await.text(), string);
    }
}

async fn a_device_cannot_turn_the_names_around_it(imd: Cluster) {
    imd.user("ann").await;
    for name in ["\u{202e}enohp s'nna", "a\u{2067}b", "a\u{0}b", "\u{1b}[31m", "a\u{85}b"] {
        let login = Login { device_name: name.to_owned(), ..login("ann", "phone", "p") };
        let refused = imd.api.login(&login).await.expect_err(name);
        assert_eq!(refused.field(), "terminal.device_name");
    }
    for name in ["طلال's phone", "התקן", "安的手机", "Zoë 📱"] {
        let login = Login { device_name: name.to_owned(), ..login("ann", "phone", "p") };
        let phone = imd.try_log_in(&login).await.expect(name);
        assert_eq!(phone.session.terminal.device_name, name);
    }
}

#[tokio::test]
async fn no_string_of_an_administrator_means_anything() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.user_with_phone("ann").await;
    let admin = imd.admin();
    for string in STRINGS {
        let text = || string.to_owned();
        check("user_id", string, admin.create_user(string, "long enough").await);
        check("user_id", string, admin.user(string).await);
        check("user_id", string, admin.audit(string, 0, "").await);
        check("page_token", string, admin.audit("", 0, string).await);
        check("page_token", string, admin.users(0, string).await);
        check("note", string, admin.disable("ann", string).await);
        check("note", string, admin.kick("ann", Some(Which::All(true)), string).await);
        let which = Some(Which::TerminalType(text()));
        check("terminal_type", string, admin.kick("ann", which, "").await);
        check("session_id", string, admin.kick("ann", Some(Which::SessionId(text())), "").await);
        let sessions = v1::ListSessionsRequest { terminal_type: text(), ..Default::default() };
        check("terminal_type", string, admin.sessions(sessions).await);
    }
    assert_eq!(admin.users(0, "").await.expect("users").users.len(), 1);
}
