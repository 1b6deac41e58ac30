//! `google.rpc` error details, which every gRPC library reads.

use imd_proto::v1::{
    self, auth_service_client::AuthServiceClient, message_service_client::MessageServiceClient,
};
use tonic::Code;
use tonic_types::StatusExt;

use crate::support::{
    api::Transport,
    cluster::{Cluster, login},
    grpc::{channel, with_bearer},
};

#[tokio::test]
async fn a_wrong_field_is_named_in_a_bad_request() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let mut client = MessageServiceClient::new(channel(imd.node.public_address()));
    let send = v1::SendRequest { client_message_id: "7".to_owned(), ..Default::default() };
    let refused = client.send(with_bearer(&ann.token, send)).await.expect_err("no recipient");
    assert_eq!(refused.code(), Code::InvalidArgument);
    let details = refused.get_error_details();
    let info = details.error_info().expect("an ErrorInfo");
    assert_eq!((info.domain.as_str(), info.reason.as_str()), ("imd", "invalid_argument"));
    assert_eq!(info.metadata["field"], "to");
    let violations = &details.bad_request().expect("a BadRequest").field_violations;
    assert_eq!((violations.len(), violations[0].field.as_str()), (1, "to"));
    assert!(!violations[0].description.is_empty());
    assert!(details.retry_info().is_none());
}

#[tokio::test]
async fn i2_the_end_of_a_session_is_told_in_an_error_info() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    imd.log_in("ann", "phone", "second").await;
    let mut client = AuthServiceClient::new(channel(imd.node.public_address()));
    let request = with_bearer(&ann.token, v1::ListMySessionsRequest {});
    let refused = client.list_my_sessions(request).await.expect_err("replaced");
    assert_eq!(refused.code(), Code::Unauthenticated);
    let info = refused.get_details_error_info().expect("an ErrorInfo");
    assert_eq!(
        (info.reason.as_str(), info.metadata["end_reason"].as_str()),
        ("session_ended", "REPLACED")
    );
    assert_eq!(info.metadata["ended_by_device_name"], "ann's second");
}

#[tokio::test]
async fn a_login_refused_for_its_terminal_says_who_is_there() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let _online = ann.follow("now").await;
    let mut second = login("ann", "phone", "second");
    second.refuse = true;
    let refused = imd.api.login(&second).await.expect_err("occupied");
    assert_eq!(
        (refused.code.as_str(), refused.detail("device_name")),
        ("terminal_occupied", "ann's ann-phone")
    );
}
