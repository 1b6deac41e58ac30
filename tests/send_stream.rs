//! Messages in order over one call of gRPC.

use std::time::Duration;

use futures::{StreamExt, stream::BoxStream};
use imd_client::{
    Connection, Error, Terminal as Client,
    proto::{
        self, SendRequest, SendStreamRequest, SendStreamResponse,
        message_service_client::MessageServiceClient, send_stream_response::Result as Answer,
    },
};
use tokio::sync::mpsc;
use tonic::{Code, Streaming};
use uuid::Uuid;

use crate::{
    append::assert_dense,
    limits::limited_to,
    support::{
        api::Transport,
        cluster::{Cluster, PASSWORD},
        failure::Failure,
        grpc::{channel, with_bearer},
        terminal::Terminal,
        within_deadline,
    },
};

fn message(to: &str, text: impl Into<String>) -> SendRequest {
    SendRequest {
        to: Some(proto::send_request::To::UserId(to.to_owned())),
        client_message_id: Uuid::new_v4().to_string(),
        content: Some(proto::send_request::Content::Text(text.into())),
        ..Default::default()
    }
}

/// An open stream of a terminal: where messages go in, and where answers come out.
async fn stream(
    imd: &Cluster,
    terminal: &Terminal,
) -> (mpsc::Sender<SendRequest>, Streaming<SendStreamResponse>) {
    let (messages, taken) = mpsc::channel(2000);
    let requests = futures::stream::unfold(taken, |mut taken| async move {
        let send = taken.recv().await;
        send.map(|send| (SendStreamRequest { send: Some(send) }, taken))
    });
    let requests: BoxStream<'static, SendStreamRequest> = requests.boxed();
    let mut client = MessageServiceClient::new(channel(imd.node.public_address()));
    let answers = client.send_stream(with_bearer(&terminal.token, requests)).await;
    (messages, answers.expect("a stream").into_inner())
}

async fn next(answers: &mut Streaming<SendStreamResponse>) -> Result<SendStreamResponse, Failure> {
    let answer = within_deadline("an answer", answers.message()).await;
    Ok(answer?.expect("the stream goes on"))
}

/// How the stream ends, after any number of answers.
async fn end(answers: &mut Streaming<SendStreamResponse>) -> Result<(), Failure> {
    within_deadline("the end", async {
        while answers.message().await?.is_some() {}
        Ok::<(), Failure>(())
    })
    .await
}

#[tokio::test]
async fn i5_a_thousand_messages_of_a_stream_are_stored_in_their_order() {
    const MESSAGES: usize = 1000;
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let (messages, mut answers) = stream(&imd, &ann).await;
    let mut sent = Vec::new();
    for n in 0..MESSAGES {
        let message = match n {
            // What is refused at once, what takes a look into the database, and what is too large.
            200 => SendRequest { to: None, ..message("bob", "to nobody") },
            400 => message("nobody", "to a stranger"),
            600 => message("bob", "x".repeat(16_385)),
            n => message("bob", n.to_string()),
        };
        messages.send(message.clone()).await.expect("the stream is open");
        sent.push(message);
    }
    drop(messages);
    let mut seqs = Vec::new();
    for (n, message) in sent.iter().enumerate() {
        let answer = next(&mut answers).await.expect("an answer");
        assert_eq!(answer.client_message_id, message.client_message_id, "the {n}th answer");
        match (n, answer.result.expect("a result")) {
            (200 | 400 | 600, Answer::Error(error)) => {
                let (code, grpc_code, field) = match n {
                    200 => ("invalid_argument", Code::InvalidArgument, Some("to")),
                    400 => ("user_not_found", Code::NotFound, None),
                    _ => ("invalid_argument", Code::InvalidArgument, Some("text")),
                };
                assert_eq!((error.code.as_str(), error.grpc_code), (code, grpc_code as i32));
                assert_eq!(error.details.get("field").map(String::as_str), field);
                assert!(!error.message.is_empty());
            }
            (_, Answer::Sent(sent)) => {
                assert!(!sent.duplicate);
                seqs.push(sent.seq);
            }
            (n, other) => panic!("the {n}th: {other:?}"),
        }
    }
    assert_eq!(end(&mut answers).await, Ok(()), "it ends behind the last answer");
    let stored = i64::try_from(MESSAGES - 3).expect("a small number");
    assert_eq!(seqs, (2..2 + stored).collect::<Vec<_>>());
    let received = bob.follow("").await.entries(MESSAGES - 2).await;
    let texts = received[1..].iter().map(|entry| entry.text().parse().expect("a number"));
    let due = (0..MESSAGES).filter(|n| ![200, 400, 600].contains(n));
    assert_eq!(texts.collect::<Vec<usize>>(), due.collect::<Vec<_>>());
    assert_dense(&imd.database).await;
}

#[tokio::test]
async fn i7_a_message_sent_again_on_another_stream_is_answered_again() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let message = message("ann", "once");
    let mut seqs = Vec::new();
    for duplicate in [false, true] {
        let (messages, mut answers) = stream(&imd, &ann).await;
        messages.send(message.clone()).await.expect("the stream is open");
        let answer = next(&mut answers).await.expect("an answer");
        let Some(Answer::Sent(sent)) = answer.result else { panic!("{answer:?}") };
        assert_eq!(sent.duplicate, duplicate);
        seqs.push(sent.seq);
    }
    assert_eq!(seqs, [2, 2]);
}

#[tokio::test]
async fn i2_the_end_of_its_session_ends_a_stream_with_the_reason() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let (messages, mut busy) = stream(&imd, &ann).await;
    let (_quiet_messages, mut quiet) = stream(&imd, &ann).await;
    messages.send(message("ann", "before")).await.expect("the stream is open");
    next(&mut busy).await.expect("an answer");
    let which = proto::kick_sessions_request::Which::All(true);
    imd.admin().kick("ann", Some(which), "lost").await.expect("kicked");
    messages.send(message("ann", "after")).await.expect("the stream is open");
    for answers in [&mut busy, &mut quiet] {
        let ended = end(answers).await.expect_err("the session is over");
        assert_eq!((ended.end_reason(), ended.detail("note")), ("KICKED", "lost"));
    }
    let phone = imd.log_in("ann", "phone", "another").await;
    assert_eq!(phone.texts().await, ["before"], "I3");
}

#[tokio::test]
async fn a_stream_has_the_limits_of_other_sends() {
    let imd = limited_to(Transport::Grpc, |settings| settings.limits.sends_per_session = 2).await;
    let ann = imd.user_with_phone("ann").await;
    let (messages, mut answers) = stream(&imd, &ann).await;
    for n in 0..40 {
        messages.send(message("ann", n.to_string())).await.expect("the stream is open");
    }
    let mut refused = 0;
    for _ in 0..40 {
        match next(&mut answers).await.expect("an answer").result.expect("a result") {
            Answer::Sent(_) => {}
            Answer::Error(error) => {
                assert_eq!(error.code, "rate_limited");
                assert_eq!(error.details["limit"], "sends_per_session");
                assert!(error.retry_after.is_some());
                refused += 1;
            }
        }
    }
    assert!((1..=20).contains(&refused), "{refused}");
}

#[tokio::test]
async fn i11_a_node_that_stops_sends_its_streams_elsewhere() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let (messages, mut answers) = stream(&imd, &ann).await;
    messages.send(message("ann", "before")).await.expect("the stream is open");
    next(&mut answers).await.expect("an answer");
    let (ended, ()) = within_deadline("both", async {
        tokio::join!(end(&mut answers), Box::pin(imd.node.stop()))
    })
    .await;
    assert_eq!(ended.expect_err("it is to come back").code, "unavailable");
}

#[tokio::test]
async fn the_client_pipelines() {
    let imd = Cluster::start(Transport::Grpc).await;
    imd.user("ann").await;
    let server = format!("http://{}", imd.node.public_address()).parse().expect("a URL");
    let login = proto::LoginRequest {
        user_id: "ann".to_owned(),
        credential: Some(proto::login_request::Credential::Password(PASSWORD.to_owned())),
        terminal: Some(proto::Terminal {
            r#type: "phone".to_owned(),
            device_id: "phone".to_owned(),
            device_name: String::new(),
        }),
        ..Default::default()
    };
    let connection = Connection::new(&[server]).expect("a server");
    let phone = Client::login(connection, login).await.expect("a session");
    let (requests, mut answers) = phone.send_stream().await.expect("a stream");
    let sending = async {
        for n in 0..200 {
            let to = if n == 100 { "nobody" } else { "ann" };
            requests.send(message(to, n.to_string())).await.expect("it is taken");
        }
        drop(requests);
    };
    let reading = async {
        let mut seqs = Vec::new();
        while let Some((_, answer)) = answers.next().await.expect("the stream goes on") {
            match answer {
                Ok(sent) => seqs.push(sent.seq),
                Err(error) => assert_eq!(error.code(), "user_not_found"),
            }
        }
        seqs
    };
    let ((), seqs) = within_deadline("all answers", async { tokio::join!(sending, reading) }).await;
    assert_eq!(seqs, (2..201).collect::<Vec<_>>());
    let (_requests, mut answers) = phone.send_stream().await.expect("a stream");
    let which = proto::kick_sessions_request::Which::All(true);
    imd.admin().kick("ann", Some(which), "").await.expect("kicked");
    let ended = tokio::time::timeout(Duration::from_secs(10), answers.next()).await;
    let ended = ended.expect("the stream ends").expect_err("with the session");
    assert!(matches!(ended, Error::SessionEnded(_)), "{ended:?}");
}
