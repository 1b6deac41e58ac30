//! gzip, for clients that ask for it.

use imd_proto::v1::{self, message_service_client::MessageServiceClient};
use tonic::codec::CompressionEncoding;

use crate::support::{
    api::Transport,
    cluster::Cluster,
    grpc::{channel, with_bearer},
};

#[tokio::test]
async fn requests_and_answers_are_compressed_for_a_client_that_asks_for_it() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let plain = MessageServiceClient::new(channel(imd.node.public_address()));
    let mut gzipped = plain
        .clone()
        .send_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Gzip);
    let text = "again and ".repeat(1000);
    let send = v1::SendRequest {
        to: Some(v1::send_request::To::UserId("ann".to_owned())),
        client_message_id: uuid::Uuid::new_v4().to_string(),
        content: Some(v1::send_request::Content::Text(text.clone())),
        ..Default::default()
    };
    gzipped.send(with_bearer(&ann.token, send)).await.expect("sent");

    for (mut client, encoding) in [(gzipped, Some("gzip")), (plain, None)] {
        let pull = with_bearer(&ann.token, v1::PullTimelineRequest::default());
        let response = client.pull_timeline(pull).await.expect("the timeline");
        let used =
            response.metadata().get("grpc-encoding").map(|value| value.to_str().expect("ASCII"));
        assert_eq!(used, encoding);
        let entries = response.into_inner().entries;
        let Some(v1::entry::Kind::Message(message)) = &entries[1].kind else {
            panic!("{entries:?}")
        };
        assert_eq!(message.content, Some(v1::message::Content::Text(text.clone())));
    }
}
