//! Health and reflection, as load balancers and tools ask for them.

use prost::Message;
use tonic::{Code, Request, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::support::{api::Transport, cluster::Cluster, grpc::channel, within_deadline};

async fn cluster() -> (Cluster, Channel) {
    let imd = Cluster::start(Transport::Grpc).await;
    let channel = channel(imd.node.public_address());
    (imd, channel)
}

fn about(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[tokio::test]
async fn the_health_of_each_service_can_be_asked() {
    let (_imd, channel) = cluster().await;
    let mut health = HealthClient::new(channel);
    for service in ["", "im.v1.AuthService", "im.v1.MessageService"] {
        let answer = health.check(about(service)).await.expect("an answer").into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service:?}");
    }
    let unknown = health.check(about("im.v1.Nothing")).await.expect_err("no such service");
    assert_eq!(unknown.code(), Code::NotFound);
}

#[tokio::test]
async fn i11_a_node_that_stops_says_so_before_it_goes() {
    let (imd, channel) = cluster().await;
    let mut health = HealthClient::new(channel);
    let watched = health.watch(about("im.v1.MessageService")).await.expect("a stream");
    let mut watched = watched.into_inner();
    let first = watched.message().await.expect("a message").expect("a status");
    assert_eq!(first.status(), ServingStatus::Serving);
    let changed = async {
        let next = watched.message().await.expect("a message").expect("a status");
        assert_eq!(next.status(), ServingStatus::NotServing);
        drop(watched);
    };
    let both = async { tokio::join!(Box::pin(imd.node.stop()), changed) };
    within_deadline("the stop", both).await;
}

/// What reflection is asked, and the answers, in the one dialect and the older one.
macro_rules! reflected {
    ($version:ident, $channel:expr) => {{
        use tonic_reflection::pb::$version::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
        };
        let ask = |request| ServerReflectionRequest {
            host: String::new(),
            message_request: Some(request),
        };
        let questions = vec![
            ask(MessageRequest::ListServices(String::new())),
            ask(MessageRequest::FileContainingSymbol("im.v1.MessageService.Send".to_owned())),
        ];
        let request = Request::new(futures::stream::iter(questions));
        let mut client = ServerReflectionClient::new($channel);
        let answers = client.server_reflection_info(request).await.expect("answers");
        let mut answers = answers.into_inner();
        let listed = answers.message().await.expect("an answer").expect("one");
        let Some(MessageResponse::ListServicesResponse(listed)) = listed.message_response else {
            panic!("{listed:?}");
        };
        let found = answers.message().await.expect("an answer").expect("one");
        let Some(MessageResponse::FileDescriptorResponse(files)) = found.message_response else {
            panic!("{found:?}");
        };
        let names: Vec<String> = listed.service.into_iter().map(|service| service.name).collect();
        (names, files.file_descriptor_proto)
    }};
}

#[tokio::test]
async fn tools_can_ask_what_the_contract_is() {
    let (_imd, channel) = cluster().await;
    for (names, files) in [reflected!(v1, channel.clone()), reflected!(v1alpha, channel)] {
        for service in
            ["im.v1.AuthService", "im.v1.MessageService", "im.v1.BlockService", "im.v1.InfoService"]
        {
            assert!(names.iter().any(|name| name == service), "{service} in {names:?}");
        }
        assert!(!names.iter().any(|name| name == "im.v1.AdminService"), "that is not here");
        let file = prost_types::FileDescriptorProto::decode(&files[0][..]).expect("a file");
        assert_eq!(file.package(), "im.v1");
        assert!(file.service.iter().any(|service| service.name() == "MessageService"));
    }
}

#[tokio::test]
async fn strangers_learn_nothing_of_the_calls_of_administrators() {
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest,
        server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest::{FileByFilename, FileContainingSymbol},
        server_reflection_response::MessageResponse,
    };
    let (_imd, channel) = cluster().await;
    let questions = [
        FileContainingSymbol("im.v1.AdminService".to_owned()),
        FileContainingSymbol("im.v1.KickSessionsRequest".to_owned()),
        FileByFilename("im/v1/admin.proto".to_owned()),
    ];
    for question in questions {
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(question.clone()),
        };
        let asked = Request::new(futures::stream::iter([request]));
        let mut client = ServerReflectionClient::new(channel.clone());
        let answers = client.server_reflection_info(asked).await.expect("answers");
        let told = answers.into_inner().message().await;
        if let Ok(Some(told)) = told {
            let error = matches!(told.message_response, Some(MessageResponse::ErrorResponse(_)));
            assert!(error, "{question:?}: {told:?}");
        }
    }
}
