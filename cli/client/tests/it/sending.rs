//! Sending.

use std::time::Duration;

use futures::future::join_all;
use imd_client::{Error, proto};
use tonic::{Code, Status};

use crate::scripted::{Server, error, login, soon, tokens};

const PATIENCE: Duration = Duration::from_secs(8);

fn message(client_message_id: &str) -> proto::SendRequest {
    proto::SendRequest {
        to: Some(proto::send_request::To::UserId("bob".to_owned())),
        client_message_id: client_message_id.to_owned(),
        content: Some(proto::send_request::Content::Text("hello".to_owned())),
        ..proto::SendRequest::default()
    }
}

fn stored(message_id: &str) -> proto::SendResponse {
    proto::SendResponse { message_id: message_id.to_owned(), seq: 1, ..Default::default() }
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_under_the_same_id() {
    let (mut first, mut second) = (Server::start(900).await, Server::start(900).await);
    let terminal = login(&[&first, &second]).await;
    let server = async {
        let call = first.sends.recv().await.expect("the server runs");
        let sent = call.request.clone();
        call.fail(Status::unavailable("pulled the plug"));
        // The other server takes it.
        let call = second.sends.recv().await.expect("the server runs");
        assert_eq!(call.request, sent);
        call.answer(proto::SendResponse { duplicate: true, ..stored("m1") });
    };
    let (sent, ()) =
        soon(async { tokio::join!(Box::pin(terminal.send(message("id"), PATIENCE)), server) })
            .await;
    let sent = sent.expect("it was stored");
    assert_eq!((sent.response.message_id.as_str(), sent.attempts), ("m1", 2));
}

#[tokio::test]
async fn a_message_that_is_refused_is_not_sent_again() {
    let mut server = Server::start(900).await;
    let terminal = login(&[&server]).await;
    let refusing = async {
        let call = server.sends.recv().await.expect("the server runs");
        call.fail(error(Code::NotFound, "user_not_found", &[]));
    };
    let (sent, ()) =
        soon(async { tokio::join!(Box::pin(terminal.send(message("id"), PATIENCE)), refusing) })
            .await;
    let given_up = sent.expect_err("there is no such user");
    assert_eq!((given_up.cause.code(), given_up.outcome_unknown), ("user_not_found", false));
    assert!(server.sends.try_recv().is_err());
}

#[tokio::test]
async fn a_message_given_up_for_want_of_an_answer_is_of_unknown_outcome() {
    let mut server = Server::start(900).await;
    let terminal = login(&[&server]).await;
    let sent = soon(terminal.send(message("id"), Duration::from_millis(200))).await;
    let given_up = sent.expect_err("nobody answers");
    assert!(matches!(given_up.cause, Error::Timeout), "{given_up:?}");
    assert!(given_up.outcome_unknown);
    assert!(server.sends.try_recv().is_ok());
}

#[tokio::test]
async fn however_many_calls_need_a_new_token_it_is_got_once() {
    let mut server = Server::start(900).await;
    let terminal = login(&[&server]).await;
    let ids: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    let sends = join_all(ids.iter().map(|id| terminal.send(message(id), PATIENCE)));
    let serving = async {
        let mut expired = Vec::new();
        for _ in &ids {
            expired.push(server.sends.recv().await.expect("the server runs"));
        }
        for call in expired {
            assert_eq!(call.token, "access-0");
            call.fail(error(Code::Unauthenticated, "invalid_token", &[]));
        }
        server.refreshes.recv().await.expect("the server runs").answer(tokens(1, 900));
        for _ in &ids {
            let call = server.sends.recv().await.expect("the server runs");
            assert_eq!(call.token, "access-1");
            call.answer(stored("m"));
        }
    };
    let (sent, ()) = soon(async { tokio::join!(sends, serving) }).await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    assert!(server.refreshes.try_recv().is_err());
}

#[tokio::test]
async fn a_token_about_to_expire_is_replaced_before_it_is_used() {
    let mut server = Server::start(0).await;
    let terminal = login(&[&server]).await;
    let serving = async {
        server.refreshes.recv().await.expect("the server runs").answer(tokens(1, 900));
        let call = server.sends.recv().await.expect("the server runs");
        assert_eq!(call.token, "access-1");
        call.answer(stored("m"));
    };
    let (sent, ()) =
        soon(async { tokio::join!(Box::pin(terminal.send(message("id"), PATIENCE)), serving) })
            .await;
    sent.expect("it was stored");
}

#[tokio::test]
async fn after_the_end_of_the_session_nothing_is_sent_any_more() {
    let mut server = Server::start(900).await;
    let terminal = login(&[&server]).await;
    let ending = async {
        let call = server.sends.recv().await.expect("the server runs");
        call.fail(error(Code::Unauthenticated, "session_ended", &[("end_reason", "REPLACED")]));
    };
    let (sent, ()) =
        soon(async { tokio::join!(Box::pin(terminal.send(message("1"), PATIENCE)), ending) }).await;
    assert!(matches!(sent.expect_err("it ended").cause, Error::SessionEnded(_)));
    let sent = soon(terminal.send(message("2"), PATIENCE)).await;
    assert!(matches!(sent.expect_err("it has ended").cause, Error::SessionEnded(_)));
    assert!(server.sends.try_recv().is_err());
}
