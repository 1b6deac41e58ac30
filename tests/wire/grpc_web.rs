//! gRPC-web, which browsers speak.

use imd_proto::v1::{self, login_request::Credential, subscribe_response::Event};
use prost::Message;

use super::raw::{TRAILERS, answer, call, take_frame, trailers};
use crate::support::{
    api::{Outgoing, Transport},
    cluster::{Cluster, PASSWORD, login},
    terminal::Terminal,
    within_deadline,
};

async fn scene() -> (Cluster, Terminal) {
    let imd = Cluster::start(Transport::Rest).await;
    let phone = imd.user_with_phone("ann").await;
    (imd, phone)
}

#[tokio::test]
async fn a_call_is_answered_in_binary_and_in_text() {
    let (imd, _phone) = scene().await;
    for form in ["proto", "text"] {
        let login = login("ann", "web", form);
        let request = v1::LoginRequest {
            user_id: login.user_id,
            credential: Some(Credential::Password(PASSWORD.to_owned())),
            terminal: Some(v1::Terminal {
                r#type: login.terminal_type,
                device_id: login.device_id,
                device_name: login.device_name,
            }),
            ..Default::default()
        };
        let response = call(&imd, form, "AuthService/Login", "", &request).await;
        let (logged_in, trailers) = answer::<v1::LoginResponse>(form, response).await;
        assert_eq!(trailers["grpc-status"], "0");
        let token = logged_in.tokens.expect("tokens").access_token;
        let sessions = v1::ListMySessionsRequest {};
        let response = call(&imd, form, "AuthService/ListMySessions", &token, &sessions).await;
        let (listed, _) = answer::<v1::ListMySessionsResponse>(form, response).await;
        assert!(listed.sessions[0].current, "its own is the newest");
    }
}

#[tokio::test]
async fn a_refusal_is_in_the_headers_with_its_details() {
    let (imd, phone) = scene().await;
    let bad = v1::PullTimelineRequest { limit: -1, ..Default::default() };
    let response = call(&imd, "proto", "MessageService/PullTimeline", &phone.token, &bad).await;
    let headers = response.headers();
    assert_eq!(
        (&headers["grpc-status"], &headers["grpc-message"].to_str().is_ok()),
        (&"3".parse().expect("a value"), &true)
    );
    assert!(headers.contains_key("grpc-status-details-bin"));
}

#[tokio::test]
async fn a_stream_comes_as_it_happens() {
    let (imd, phone) = scene().await;
    let request = v1::SubscribeRequest { after: "now".to_owned(), ..Default::default() };
    let mut response =
        call(&imd, "proto", "MessageService/Subscribe", &phone.token, &request).await;
    let mut bytes = Vec::new();
    let mut next = async || loop {
        if let Some((flag, data)) = take_frame(&mut bytes) {
            if flag == TRAILERS {
                return Err(trailers(&data));
            }
            let event = v1::SubscribeResponse::decode(&data[..]).expect("an event").event;
            match event.expect("it is known") {
                Event::Heartbeat(_) => continue,
                event => return Ok(event),
            }
        }
        let chunk = within_deadline("bytes", response.chunk()).await.expect("bytes");
        bytes.extend_from_slice(&chunk.expect("no end before the trailers"));
    };
    assert!(matches!(next().await, Ok(Event::Opened(_))));
    let sent = phone.send(&Outgoing::text("ann", "live")).await.expect("sent");
    let Ok(Event::Entry(entry)) = next().await else { panic!("not an entry") };
    assert_eq!(entry.cursor, sent.cursor);
    phone.logout().await.expect("logged out");
    let Ok(Event::SessionEnded(end)) = next().await else { panic!("not the end") };
    assert_eq!(end.reason(), v1::EndReason::LoggedOut);
    assert_eq!(next().await.expect_err("the trailers")["grpc-status"], "0");
}
